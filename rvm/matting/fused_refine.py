"""Full-size alpha in one pass over the frame's luma; see `rvm.matting.refine`.

Most of a matte is solid. On the small grid the value is linear in luma and interpolation takes
means, so where a sample and its three neighbours give 0 for the darkest code and for the brightest,
the pixels between them are 0 whatever their luma; the same holds for 255. Such runs are filled;
luma is read, and coefficients are enlarged, for the others only (a tenth of a usual picture).

As in `rvm.compositing.fused_blend` the loops index whole planes instead of taking slices of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rvm.fused_rows import widen
from rvm.jit import compiled

Floats = npt.NDArray[np.float32]

_EMPTY, _SOLID, _MIXED = 0, 1, 2
_NONE = 3
_INDEX = np.uintp
#: Rounding of single precision must not matter: a little inside of what rounds to 0 and 255.
_ALMOST_0, _ALMOST_255 = np.float32(0.499), np.float32(254.501)


@compiled
def refine(
    luma: npt.NDArray[Any],
    gain: Floats,
    bias: Floats,
    top_code: np.float32,
    starts: npt.NDArray[np.int64],
    columns: tuple[Any, Any],
    rows: tuple[Any, Any],
    alpha: npt.NDArray[np.uint8],
) -> None:
    """alpha = clamp(up(gain) * luma + up(bias), 0, 255), rounded to nearest.

    Args:
        luma: (H, W or more) codes.
        gain, bias: (h, w), finite, in 255ths of alpha.
        top_code: the largest code.
        starts: `cell_starts(w, W)`.
        columns, rows: `bilinear_axis(w, W)` and `bilinear_axis(h, H)`.
        alpha: (H, W), the result.
    """
    small_kinds = _sample_kinds(gain, bias, top_code)
    edges = np.empty(starts.size + 1, np.int64)
    kinds = np.empty(starts.size, np.uint8)
    wide = np.empty((4, alpha.shape[1]), np.float32)  # gain above, below, bias above, below
    runs, row_before, last = 0, _INDEX(gain.shape[0] + 2), _INDEX(gain.shape[0] - 1)
    for y in range(_INDEX(alpha.shape[0])):
        row = _INDEX(rows[0][y])
        if row != row_before:
            row_before = row
            above, below = row - _INDEX(1) if row > _INDEX(0) else row, min(row, last)
            runs = _find_runs(small_kinds, above, below, starts, edges, kinds, alpha.shape[1])
            for run in range(runs):
                if kinds[run] == _MIXED:
                    first, stop = _INDEX(edges[run]), _INDEX(edges[run + 1])
                    widen(gain, row, columns, first, stop, wide, _INDEX(0))
                    widen(bias, row, columns, first, stop, wide, _INDEX(2))
        for run in range(runs):
            first, stop = _INDEX(edges[run]), _INDEX(edges[run + 1])
            if kinds[run] == _MIXED:
                _apply(wide, rows[1][y], luma, y, first, stop, alpha)
            else:
                code = np.uint8(255 if kinds[run] == _SOLID else 0)
                for x in range(first, stop):
                    alpha[y, x] = code


@compiled
def _sample_kinds(gain: Floats, bias: Floats, top_code: np.float32) -> npt.NDArray[np.uint8]:
    """For each small sample: whether it gives 0 for every code, 255 for every code, or neither."""
    kinds = np.empty(gain.shape, np.uint8)
    for row in range(gain.shape[0]):
        for column in range(gain.shape[1]):
            darkest = bias[row, column]
            brightest = darkest + gain[row, column] * top_code
            if max(darkest, brightest) < _ALMOST_0:
                kinds[row, column] = _EMPTY
            elif min(darkest, brightest) > _ALMOST_255:
                kinds[row, column] = _SOLID
            else:
                kinds[row, column] = _MIXED
    return kinds


@compiled
def _find_runs(
    small_kinds: npt.NDArray[np.uint8],
    above: Any,
    below: Any,
    starts: npt.NDArray[np.int64],
    edges: npt.NDArray[np.int64],
    kinds: npt.NDArray[np.uint8],
    alpha_columns: int,
) -> int:
    """Runs of pixels of one kind between two rows of samples; run i ends at `edges[i + 1]`."""
    count, before, last = 0, np.uint8(_NONE), small_kinds.shape[1] - 1
    for cell in range(last + 2):  # between samples cell - 1 and cell
        left, right = max(cell - 1, 0), min(cell, last)
        kind = small_kinds[above, left]
        alike = kind == small_kinds[above, right] and kind == small_kinds[below, left]
        kind = kind if alike and kind == small_kinds[below, right] else np.uint8(_MIXED)
        if kind != before:
            edges[count], kinds[count] = starts[cell], kind
            count += 1
            before = kind
    edges[count] = alpha_columns
    return count


@compiled
def _apply(
    wide: Floats, share: np.float32, luma: npt.NDArray[Any], y: Any, first: Any, stop: Any,
    alpha: npt.NDArray[np.uint8],
) -> None:  # fmt: skip
    """Interpolate between two rows, multiply, add, clamp and round."""
    for x in range(first, stop):
        gain, bias = wide[0, x], wide[2, x]
        gained = (gain + share * (wide[1, x] - gain)) * np.float32(luma[y, x])
        value = gained + bias + share * (wide[3, x] - bias) + np.float32(0.5)
        alpha[y, x] = np.int32(min(max(value, np.float32(0)), np.float32(255.5)))
