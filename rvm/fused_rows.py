"""What compiled kernels on both sides of the matte do alike: enlarging a small plane row by row.

A kernel that calls this one keeps it in its own cache, which looks at its own file only: whoever
changes this file must touch the callers' (an installation writes them all anew).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rvm.jit import compiled

Floats = npt.NDArray[np.float32]

_INDEX = np.uintp


@compiled
def widen(
    small: Floats, row: Any, taps: tuple[Any, Any], left: Any, stop: Any, wide: Floats, line: Any
) -> None:
    """Interpolate along the two rows of `small` around `row`, into `line` of `wide` and the next.

    Args:
        small: (h, w).
        row: 0..h, of the h + 2 rows of which the first and last are copies (`bilinear_axis`); the
            row before it and the row after it are taken.
        taps: `bilinear_axis(w, columns of wide)`.
        left, stop: columns of `wide`, unsigned.
        wide: the result.
        line: its first row that is written, unsigned.
    """
    last_row, last = _INDEX(small.shape[0] - 1), _INDEX(small.shape[1] - 1)
    above = row - _INDEX(1) if row > _INDEX(0) else row
    below, next_line = min(row, last_row), line + _INDEX(1)
    before, shares = taps
    for x in range(left, stop):
        right = _INDEX(before[x])
        near = right - _INDEX(1) if right > _INDEX(0) else right
        far = min(right, last)
        share = shares[x]
        value = small[above, near]
        wide[line, x] = value + share * (small[above, far] - value)
        value = small[below, near]
        wide[next_line, x] = value + share * (small[below, far] - value)
