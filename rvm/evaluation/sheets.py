"""Contact sheets: what a number cannot tell is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
import numpy.typing as npt

from rvm.evaluation.metrics import mad
from rvm.evaluation.sets import Example

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Runner = Callable[[Example], list[Float32]]
"""A model: sequence in, its mattes out, from a fresh state."""

GREEN = np.array([60, 200, 90], np.float32)
GAP = 3


def fit(picture: UInt8, height: int) -> UInt8:
    """Scaled to ``height`` rows, aspect kept; [h,w,3]."""
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def over_green(rgb: UInt8, alpha: Float32) -> UInt8:
    """The frame where alpha is 1, green where it is 0."""
    a = alpha[..., None]
    return np.asarray(rgb * a + GREEN * (1 - a), np.uint8)


def gray(alpha: Float32) -> UInt8:
    """A matte as a picture [h,w,3]."""
    return np.repeat(np.rint(alpha * 255).astype(np.uint8)[..., None], 3, 2)


def stack_rows(rows: list[UInt8]) -> UInt8:
    """Rows of any width below each other, padded with black."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(r, ((0, GAP), (0, width - r.shape[1]), (0, 0))) for r in rows]
    return np.vstack(padded).astype(np.uint8)


def comparison(models: dict[str, Runner], examples: Iterable[Example], height: int = 180) -> UInt8:
    """A row an example: last frame, target over green, then cut-out and matte of each model."""
    rows = []
    for example in examples:
        rgb, true = example.rgb[-1], example.alpha[-1].astype(np.float32) / 255
        tiles = [rgb, over_green(rgb, true)]
        for run in models.values():
            matte = run(example)[-1]
            tiles += [over_green(rgb, matte), gray(matte)]
        rows.append(np.hstack([fit(tile, height) for tile in tiles]))
    return stack_rows(rows)


def failures(run: Runner, examples: Iterable[Example], count: int = 8, height: int = 120) -> UInt8:
    """The worst examples by MAD of the last frame: target matte beside ours; no pictures."""
    judged: list[tuple[float, UInt8]] = []
    for example in examples:
        true = example.alpha[-1].astype(np.float32) / 255
        ours = run(example)[-1]
        pair = np.hstack([fit(gray(true), height), fit(gray(ours), height)])
        judged.append((mad(ours, true), pair))
    judged.sort(key=lambda item: -item[0])
    pairs = [pair for _, pair in judged[:count]]
    return stack_rows(pairs)
