"""The Triton kernel of `rvm.gpu.kernels_cells`; imported only where it runs."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _halved(values, rows, columns, cell_row, first, SIDE: tl.constexpr, COUNT: tl.constexpr):
    """One step: means of two by two, and the size of the picture that they make."""
    across = tl.sum(tl.reshape(values, (SIDE, 2, COUNT * SIDE, 2)), 3)
    whole = tl.sum(across, 1)
    r = cell_row * SIDE + tl.arange(0, SIDE)[:, None]
    c = first * SIDE + tl.arange(0, COUNT * SIDE)[None, :]
    whole += tl.where(2 * c + 1 == columns, whole, 0)
    whole += tl.where(2 * r + 1 == rows, whole, 0)
    rows, columns = (rows + 1) // 2, (columns + 1) // 2
    return tl.where((r < rows) & (c < columns), (whole + 2) >> 2, 0), rows, columns


@triton.jit
def cells(
    plane, row, step, rows, columns, out, out_rows, out_columns,
    HALVINGS: tl.constexpr, MAXIMUM: tl.constexpr, COUNT: tl.constexpr,
):  # fmt: skip
    """COUNT cells of 2^HALVINGS samples a side, side by side, from one read of the plane.

    Means are halved step by step, in integers, each step rounded half up. At every step an odd
    last row or column is repeated: samples outside are 0 and what has no partner counts twice.
    """
    cell_row, first = tl.program_id(1), tl.program_id(0) * COUNT
    height: tl.constexpr = 1 << HALVINGS
    width: tl.constexpr = COUNT << HALVINGS
    r = cell_row * height + tl.arange(0, height)[:, None]
    c = first * height + tl.arange(0, width)[None, :]
    inside = (r < rows) & (c < columns)
    values = tl.load(plane + r * row + c * step, mask=inside, other=0).to(tl.int32)
    if MAXIMUM:
        values = tl.reshape(values, (height, COUNT, height))
        best = tl.max(tl.max(values, 2), 0)
    else:
        for halving in tl.static_range(HALVINGS):
            values, rows, columns = _halved(
                values, rows, columns, cell_row, first, height >> (halving + 1), COUNT
            )
        best = tl.reshape(values, (COUNT,))
    c = first + tl.arange(0, COUNT)
    tl.store(out + cell_row * out_columns + c, best.to(tl.float32), mask=c < out_columns)
