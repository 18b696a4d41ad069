"""Blending one plane in one pass; see `rvm.compositing.blend`.

Alpha is looked at in blocks of samples. Where a block is all 0 or all 255 its samples are copied;
the arithmetic and the model's colour are for the other blocks only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rvm.jit import compiled

Samples = npt.NDArray[Any]
Alpha = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

#: Samples along a row.
_BLOCK = 64
_EMPTY, _SOLID, _MIXED = 0, 1, 2


@compiled
def blend(
    front: Samples,
    back: Samples,
    alpha: Alpha,
    change: Floats,
    rows: tuple[Any, Any],
    max_value: np.float32,
    out: Samples,
) -> None:
    """out = back + alpha * (front + change - back), correctly rounded; change only where mixed.

    Args:
        front, back: (rows, columns or more) codes of at most 12 bits.
        alpha: (rows, columns).
        change: (h + 2, columns) in codes, see `widened`; of size 0 if there is none.
        rows: `bilinear_axis(h, rows)`.
        max_value: largest code.
        out: the result.
    """
    width = alpha.shape[1]
    for y in range(alpha.shape[0]):
        left = 0
        while left < width:
            kind = _kind(alpha[y, left : left + _BLOCK])
            stop = left + _BLOCK
            while stop < width and kind != _MIXED and _kind(alpha[y, stop : stop + _BLOCK]) == kind:
                stop += _BLOCK
            stop = min(stop, width)
            if kind == _EMPTY:
                _copy(back[y, left:stop], out[y, left:stop])
            elif kind == _SOLID:
                _copy(front[y, left:stop], out[y, left:stop])
            elif change.size == 0:
                _mix(
                    front[y, left:stop], back[y, left:stop], alpha[y, left:stop], out[y, left:stop]
                )
            else:
                small_row = rows[0][y]
                _mix_changed(
                    front[y, left:stop], back[y, left:stop], alpha[y, left:stop],
                    change[small_row, left:stop], change[small_row + 1, left:stop], rows[1][y],
                    max_value, out[y, left:stop],
                )  # fmt: skip
            left = stop


@compiled
def _kind(alpha: Alpha) -> int:
    """Whether a block is all 0, all 255, or neither."""
    union, common = np.uint8(0), np.uint8(255)
    for x in range(alpha.size):
        union = np.uint8(union | alpha[x])
        common = np.uint8(common & alpha[x])
    if union == 0:
        return _EMPTY
    return _SOLID if common == 255 else _MIXED


@compiled
def _copy(samples: Samples, out: Samples) -> None:
    for x in range(out.size):  # twice as fast as assigning a slice
        out[x] = samples[x]


@compiled
def _mix(front: Samples, back: Samples, alpha: Alpha, out: Samples) -> None:
    """Exact: the sums are whole numbers below 2^24, and a quotient is 1/510 off any half."""
    for x in range(out.size):
        weight = np.float32(alpha[x])
        total = np.float32(front[x]) * weight + np.float32(back[x]) * (np.float32(255) - weight)
        out[x] = np.int32(total * np.float32(1 / 255) + np.float32(0.5))


@compiled
def _mix_changed(
    front: Samples, back: Samples, alpha: Alpha, above: Floats, below: Floats, share: np.float32,
    max_value: np.float32, out: Samples,
) -> None:  # fmt: skip
    """`_mix` with the change added to mixed samples, rounded and clamped to 0..`max_value`."""
    for x in range(out.size):
        weight = np.float32(alpha[x])
        own = np.float32(front[x])
        moved = own + above[x] + share * (below[x] - above[x])
        moved = np.floor(min(max(moved, np.float32(0)), max_value) + np.float32(0.5))
        moved = own if weight == 255 else moved
        total = moved * weight + np.float32(back[x]) * (np.float32(255) - weight)
        out[x] = np.int32(total * np.float32(1 / 255) + np.float32(0.5))
