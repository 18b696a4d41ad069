"""Blending one plane in one pass; see `rvm.compositing.blend`.

Alpha is looked at in blocks of samples. Where a block is all 0 or all 255 its samples are copied;
the arithmetic and the model's colour are for the other blocks only.

The loops index whole planes by row and column instead of taking slices: a slice is an object, whose
owner is counted in and out, and for blocks this short that cost twice as much as the arithmetic.
Their indices are unsigned, so that the compiler need not ask whether one counts from the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rvm.fused_rows import widen
from rvm.jit import compiled

Samples = npt.NDArray[Any]
Alpha = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float32]

#: Samples along a row, and how many of them are looked at as one number.
_BLOCK, _WORD = 64, 8
_EMPTY, _SOLID, _MIXED, _NONE = 0, 1, 2, 3
_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_INDEX = np.uintp


@compiled
def blend(
    front: Samples,
    back: Samples,
    alpha: Alpha,
    words: Words,
    change: Floats,
    columns: tuple[Any, Any],
    rows: tuple[Any, Any],
    max_value: np.float32,
    out: Samples,
) -> None:
    """out = back + alpha * (front + change - back), correctly rounded; change only where mixed.

    Args:
        front, back: (rows, columns or more) codes of at most 12 bits.
        alpha: (rows, columns or more).
        words: alpha, eight samples a number.
        change: (h, w) in codes, enlarged bilinearly; of size 0 if there is none.
        columns, rows: `bilinear_axis(w, columns)` and `bilinear_axis(h, rows)`.
        max_value: largest code.
        out: the result, (rows, columns).
    """
    width = _INDEX(out.shape[1])
    blocks = width // _INDEX(_BLOCK)
    wide = np.empty((2, out.shape[1]), np.float32)
    is_wide = np.zeros(out.shape[1] // _BLOCK + 1, np.bool_)
    row_before = _INDEX(change.shape[0] + 2)
    for y in range(_INDEX(out.shape[0])):
        row = _INDEX(rows[0][y])
        if row != row_before:
            row_before = row
            is_wide[:] = False
        left, kind = _INDEX(0), _NONE
        for block in range(blocks + _INDEX(2)):
            # What fills no block at the end of a row is always mixed; after it nothing follows.
            now = _MIXED if block == blocks else _NONE
            if block < blocks:
                now = _kind(words, y, block)
            if now == kind:
                continue
            stop = min(block * _INDEX(_BLOCK), width)
            if kind == _EMPTY:
                _copy(back, y, left, stop, out)
            elif kind == _SOLID:
                _copy(front, y, left, stop, out)
            elif kind == _MIXED and change.size == 0:
                _mix(front, back, alpha, y, left, stop, out)
            elif kind == _MIXED:
                _widen_blocks(change, row, columns, left, stop, wide, is_wide)
                _mix_changed(front, back, alpha, wide, rows[1][y], max_value, y, left, stop, out)
            left, kind = stop, now


@compiled
def _kind(words: Words, y: Any, block: Any) -> int:
    """Whether a block is all 0, all 255, or neither."""
    first = block * _INDEX(_BLOCK // _WORD)
    union = words[y, first]
    common = union
    for index in range(first + _INDEX(1), first + _INDEX(_BLOCK // _WORD)):
        union |= words[y, index]
        common &= words[y, index]
    if union == np.uint64(0):
        return _EMPTY
    return _SOLID if common == _ALL else _MIXED


@compiled
def _copy(samples: Samples, y: Any, left: Any, stop: Any, out: Samples) -> None:
    for x in range(left, stop):
        out[y, x] = samples[y, x]


@compiled
def _mix(
    front: Samples, back: Samples, alpha: Alpha, y: Any, left: Any, stop: Any, out: Samples
) -> None:
    """Exact: the sums are whole numbers below 2^24, and a quotient is 1/510 off any half."""
    for x in range(left, stop):
        weight = np.float32(alpha[y, x])
        total = np.float32(front[y, x]) * weight
        total += np.float32(back[y, x]) * (np.float32(255) - weight)
        out[y, x] = np.int32(total * np.float32(1 / 255) + np.float32(0.5))


@compiled
def _mix_changed(
    front: Samples, back: Samples, alpha: Alpha, wide: Floats, share: np.float32,
    max_value: np.float32, y: Any, left: Any, stop: Any, out: Samples,
) -> None:  # fmt: skip
    """`_mix` with the change added to mixed samples, rounded and clamped to 0..`max_value`."""
    for x in range(left, stop):
        weight = np.float32(alpha[y, x])
        own = np.float32(front[y, x])
        above = wide[0, x]
        moved = own + above + share * (wide[1, x] - above)
        moved = min(max(moved, np.float32(0)), max_value) + np.float32(0.5)
        moved = np.float32(np.int32(moved))
        moved = own if weight == np.float32(255) else moved
        total = moved * weight + np.float32(back[y, x]) * (np.float32(255) - weight)
        out[y, x] = np.int32(total * np.float32(1 / 255) + np.float32(0.5))


@compiled
def _widen_blocks(
    change: Floats, row: Any, columns: tuple[Any, Any], left: Any, stop: Any, wide: Floats,
    is_wide: npt.NDArray[np.bool_],
) -> None:  # fmt: skip
    """Enlarge what lies before and after `row` along its rows, in the blocks that lack it."""
    size, width = _INDEX(_BLOCK), _INDEX(wide.shape[1])
    for block in range(left // size, (stop + size - _INDEX(1)) // size):
        if not is_wide[block]:
            is_wide[block] = True
            first = block * size
            widen(change, row, columns, first, min(first + size, width), wide, _INDEX(0))
