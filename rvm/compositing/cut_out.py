"""The person alone, for pictures that keep their transparency (straight alpha).

Where alpha is below 255 the person's own colour is shown as far as the model knows it. It goes on
a little beyond the person, so that scaling or encoding does not draw a fringe into the edge;
farther than that the picture is black: a transparent video of a person should not carry the room
along, for anyone to uncover by dropping the alpha.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from rvm.colour import chroma, rgb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import FloatImage, Frame

Alpha = npt.NDArray[np.uint8]
#: log2 of the cells that are kept or blacked as a whole: 16 pixels.
_CELL_SHIFT = 4
_BLACK = np.zeros((1, 1, 3), np.uint8)


def cut_out(
    frame: Frame,
    alphas: Sequence[Alpha],
    changes: Sequence[FloatImage | None],
    out: Sequence[npt.NDArray[Any]],
) -> None:
    """Write the person's own colours into `out`; black where nobody is within 16 pixels.

    Args:
        frame: the picture.
        alphas: alpha at the size of each plane.
        changes: what to add to each plane to get the person's colour, or None. Used wherever
            alpha is below 255, so that the colour goes on a little under alpha 0.
        out: contiguous planes of the frame's format.
    """
    black = rgb.planes_from_display(_BLACK, frame.format, frame.colour)
    near = near_mask(alphas[0])
    step_x, step_y = 1 << frame.format.chroma_shift[0], 1 << frame.format.chroma_shift[1]
    masks = [near] + [np.ascontiguousarray(near[::step_y, ::step_x])] * (len(out) - 1)
    parts = zip(frame.planes, alphas, changes, out, black, masks, strict=True)
    for plane, alpha, change, target, nothing, mask in parts:
        target[:] = nothing[0, 0]
        cv2.copyTo(plane, mask, target)
        if change is not None:
            _recolour(target, change, (alpha < 255) & (mask > 0), frame.format.max_value)


def _recolour(
    target: npt.NDArray[Any], change: FloatImage, where: npt.NDArray[np.bool_], max_value: int
) -> None:
    """Add `change` to `target` at some pixels, clamped."""
    at = np.flatnonzero(where)
    channels = target.shape[2] if target.ndim == 3 else 1
    samples = target.reshape(-1, channels)
    moved = samples[at] + change.reshape(-1, channels)[at]
    samples[at] = np.clip(np.rint(moved, out=moved), 0, max_value).astype(target.dtype)


def near_mask(alpha: Alpha) -> Alpha:
    """(rows, columns) non-zero at least within 16 pixels of any alpha above 0."""
    small: npt.NDArray[Any] = cv2.threshold(alpha, 0, 255, cv2.THRESH_BINARY)[1]
    for _ in range(_CELL_SHIFT):
        small = chroma.downsample(small, (1, 1))  # one pixel of 256 still leaves 255 / 256 > 0.5
    small = cv2.dilate(small, np.ones((3, 3), np.uint8))
    size = (small.shape[1] << _CELL_SHIFT, small.shape[0] << _CELL_SHIFT)
    rows, columns = alpha.shape
    grown = cv2.resize(small, size, interpolation=cv2.INTER_NEAREST)[:rows, :columns]
    return np.ascontiguousarray(grown)
