"""A plane in cells: the mean, or the maximum, of every square of 2^n by 2^n samples.

One launch reads the plane once as it is; torch's own pooling would need it as float, four to eight
times as large, and a pass for every halving.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.gpu import has_triton, on_device_of
from rvm.gpu.planes import rounded_means

#: Halvings of one launch: a cell of 32 by 32 samples. Larger ones are halved on in torch.
MOST_HALVINGS = 5
#: Samples of one program, about.
_TILE = 4096


def cell_means(plane: Tensor, halvings: int) -> Tensor:
    """Means that are rounded to whole numbers at every halving, as OpenCV rounds them.

    Args:
        plane: (rows, columns) uint8 or uint16, with any strides.
        halvings: log2 of the cells' side.

    Returns:
        [1, 1, rows, columns] float32, sizes rounded up; an odd edge is repeated at every step.
    """
    done = min(halvings, MOST_HALVINGS) if has_triton(plane.device) else 0
    image = _launch(plane, done, maximum=False) if done else plane.to(torch.float32)[None, None]
    for _ in range(halvings - done):
        image = rounded_means(image, (1, 1))
    return image


def cell_maxima(plane: Tensor, halvings: int) -> Tensor:
    """As `cell_means`, with the largest sample of each cell."""
    done = min(halvings, MOST_HALVINGS) if has_triton(plane.device) else 0
    image = _launch(plane, done, maximum=True) if done else plane.to(torch.float32)[None, None]
    rest = 1 << halvings - done
    return F.max_pool2d(image, rest, ceil_mode=True) if rest > 1 else image


def try_out(device: torch.device) -> None:
    """Compile and run the kernel on a few samples.

    Raises:
        Exception: Triton's, of many kinds: it does not work here.
    """
    _launch(torch.zeros((8, 8), dtype=torch.uint8, device=device), 3, maximum=False)


def _launch(plane: Tensor, halvings: int, *, maximum: bool) -> Tensor:
    from rvm.gpu import triton_cells

    rows, columns = plane.shape
    cell = 1 << halvings
    out_rows, out_columns = -(-rows // cell), -(-columns // cell)
    out = torch.empty((1, 1, out_rows, out_columns), dtype=torch.float32, device=plane.device)
    count = max(1, _TILE >> 2 * halvings)
    with on_device_of(plane):
        triton_cells.cells[(-(-out_columns // count), out_rows)](
            plane, *plane.stride(), rows, columns, out, out_rows, out_columns,
            HALVINGS=halvings, MAXIMUM=maximum, COUNT=count, num_warps=4,
        )  # fmt: skip
    return out
