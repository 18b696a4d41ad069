"""Blending one plane: out = background + alpha * (foreground - background), correctly rounded.

Nearly all of a matte is 0 or 255, so the work is a copy of the background, a masked copy of the
foreground, and arithmetic only for the runs of eight samples that hold a mixed alpha. They are
found eight at a time (a run of 0 or of 255 is one 64-bit word), gathered, blended and put back.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]
Alpha = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.intp]

_RUN = 8
#: Above this share of mixed runs it is faster to blend everything than to gather.
_DENSE = 0.25


def mixed_runs(alpha: Alpha) -> Indices:
    """Which runs of eight samples (of the flattened plane) are neither all 0 nor all 255.

    Args:
        alpha: contiguous (rows, columns) uint8. A last run of fewer than eight is not reported;
            `blend_plane` always blends it.
    """
    flat = alpha.reshape(-1)
    words = flat[: flat.size // _RUN * _RUN].view(np.uint64)
    # 0 + 1 is 1 and all ones + 1 wraps to 0; every mixed word is larger.
    return np.flatnonzero((words + np.uint64(1)) > np.uint64(1))


def blend_plane(
    foreground: Samples,
    background: Samples,
    alpha: Alpha,
    out: Samples,
    max_value: int,
    residual: Samples | None = None,
) -> None:
    """Blend one plane into `out`.

    Args:
        foreground, background: (rows, columns) or (rows, columns, 3), uint8 or uint16.
        alpha: (rows, columns) uint8, at the plane's own size.
        out: contiguous, as `foreground`.
        max_value: largest code value.
        residual: float32 of the same shape; added to `foreground` where 0 < alpha < 255.
    """
    alpha = np.ascontiguousarray(alpha)
    runs = mixed_runs(alpha)
    if runs.size * _RUN > _DENSE * alpha.size:
        _blend_blocks(foreground, background, alpha, out, max_value, residual)
        return
    np.copyto(out, background)
    _blend_runs(runs, foreground, alpha, out, max_value, residual)


def _blend_runs(
    runs: Indices,
    foreground: Samples,
    alpha: Alpha,
    out: Samples,
    max_value: int,
    residual: Samples | None,
) -> None:
    """Bring the foreground into `out`, which holds the background: by mask, and by blending."""
    channels = out.shape[2] if out.ndim == 3 else 1
    target, tail = _runs_and_tail(out)
    front, front_tail = _runs_and_tail(foreground)
    weight, weight_tail = _runs_and_tail(alpha)
    change = change_tail = None
    if residual is not None:
        table, change_tail = _runs_and_tail(residual)
        change = table.take(runs, axis=0)
    weights = np.repeat(weight.take(runs, axis=0), channels, axis=1)
    mixed = mix(front.take(runs, axis=0), target.take(runs, axis=0), weights, max_value, change)
    mixed_tail = mix(front_tail, tail, np.repeat(weight_tail, channels), max_value, change_tail)
    cv2.copyTo(foreground, alpha, out)  # any alpha > 0; the mixed ones are put right here:
    target[runs] = mixed
    tail[:] = mixed_tail


def _runs_and_tail(samples: Samples) -> tuple[Samples, Samples]:
    """Views: (runs, 8 * channels), and the last samples that fill no run."""
    channels = samples.shape[2] if samples.ndim == 3 else 1
    flat = np.ascontiguousarray(samples).reshape(-1)
    end = flat.size // (_RUN * channels) * _RUN * channels
    return flat[:end].reshape(-1, _RUN * channels), flat[end:]


def _blend_blocks(
    foreground: Samples,
    background: Samples,
    alpha: Alpha,
    out: Samples,
    max_value: int,
    residual: Samples | None,
) -> None:
    """Everything, a few rows at a time so that the intermediates stay in the cache."""
    rows = max(1, 32768 // out[0].size)
    for top in range(0, out.shape[0], rows):
        part = slice(top, top + rows)
        weights = alpha[part]
        if out.ndim == 3:
            weights = np.asarray(cv2.merge([weights] * 3), np.uint8)
        change = None if residual is None else residual[part]
        out[part] = mix(foreground[part], background[part], weights, max_value, change)


def mix(
    front: Samples, back: Samples, alpha: Alpha, max_value: int, change: Samples | None
) -> Samples:
    """round((front + change) * alpha + back * (255 - alpha)) / 255), in integers.

    The change counts only where 0 < alpha < 255 and never leaves 0..`max_value`.
    """
    if change is not None:
        front = shifted(front, change, alpha, max_value)
    wide = np.uint16 if front.dtype == np.uint8 else np.uint32
    total = np.multiply(front, alpha, dtype=wide)
    total += np.multiply(back, 255 - alpha, dtype=wide)
    total += wide(127)
    total //= wide(255)
    return total.astype(front.dtype)


def shifted(front: Samples, change: Samples, alpha: Alpha, max_value: int) -> Samples:
    """`front` plus `change` where 0 < alpha < 255, clamped; `front` elsewhere."""
    moved = np.add(front, change, dtype=np.float32)
    np.clip(np.rint(moved, out=moved), 0, max_value, out=moved)
    return np.where(is_mixed(alpha), moved.astype(front.dtype), front)


def is_mixed(alpha: Alpha) -> npt.NDArray[np.bool_]:
    """Where 0 < alpha < 255; alpha - 1 wraps 0 to 255, so mixed is what lies below 254."""
    return np.asarray((alpha - np.uint8(1)) < 254)
