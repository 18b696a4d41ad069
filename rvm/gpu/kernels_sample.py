"""Native planes to the network's picture in one launch, and the twin of that in plain torch.

The rule is that of `rvm.colour.torch_rgb.resample`: halve while both sides have twice what is
wanted, then go the rest bilinearly. Halvings of even sides are means of 2x2 samples, and n of them
are the mean of a block of 2^n by 2^n; so the whole rule is a bilinear sample between means of
blocks, which one kernel can gather. That covers every usual size. An odd side on the way, or one
side that shrinks far more than the other, goes through the twin, which knows all of the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rvm.colour import torch_rgb
from rvm.gpu import has_triton, on_device_of

Planes = tuple[Tensor, ...]
Matrix = npt.NDArray[np.float64]
#: Samples that one program of the kernel holds at once; the strip is so much shorter for blocks.
_TILE = 512
_SHORTEST_STRIP = 16
#: Sides of blocks that kernels are made for: 16K to 512 needs 32.
_LARGEST_BLOCK = 32
_WARPS = 4


def sample(
    planes: Planes, matrix: Matrix, width: int, height: int, out: Tensor | None = None
) -> Tensor:
    """Resample planes to one size and map their code values.

    Args:
        planes: Y, U, V of shape (rows, columns), or one packed (rows, columns, 3) plane of RGB;
            uint8 or uint16, with any strides.
        matrix: 3x4 or 4x4, from the code values of a pixel and 1 to the output's channels.
        width, height: wanted size.
        out: [1, 3 or 4, height, width] of any floating type and strides to write into, or None to
            make it, float32.

    Returns:
        `out`. Its first three channels are clamped to 0..1, a fourth is left as it is.
    """
    parts = channel_planes(planes)
    blocks = [block for part in parts if (block := _block(part, width, height))]
    if not has_triton(planes[0].device) or len(blocks) < len(parts):
        made = sample_twin(planes, matrix, width, height)
        return made if out is None else out.copy_(made)
    if out is None:
        shape = (1, matrix.shape[0], height, width)
        out = torch.empty(shape, dtype=torch.float32, device=planes[0].device)
    _launch(parts, blocks, matrix, out)
    return out


def sample_twin(planes: Planes, matrix: Matrix, width: int, height: int) -> Tensor:
    """`sample` in plain torch, float32."""
    parts = [torch_rgb.resample(torch_rgb.as_nchw(plane), width, height) for plane in planes]
    mapped = torch_rgb.affine(torch.cat(parts, 1), matrix)
    mapped[:, :3].clamp_(0, 1)
    return mapped


def channel_planes(planes: Planes) -> Planes:
    """Three planes of (rows, columns), views of a packed one."""
    return planes if len(planes) > 1 else tuple(planes[0].unbind(2))


@dataclass(frozen=True, slots=True)
class _Block:
    """How one plane is sampled: size of its blocks, and how many there are."""

    side: int
    rows: int
    columns: int


def _block(plane: Tensor, width: int, height: int) -> _Block | None:
    """The halvings of `torch_rgb.resample` as blocks; None where they are no such thing."""
    rows, columns = plane.shape
    side = 1
    while columns >= 2 * width and rows >= 2 * height:
        if columns % 2 or rows % 2 or side == _LARGEST_BLOCK:
            return None
        columns, rows, side = columns // 2, rows // 2, 2 * side
    shrinks = columns >= width and rows >= height
    if shrinks and (columns >= 2 * width or rows >= 2 * height):
        return None  # the rest goes by area
    return _Block(side, rows, columns)


def _launch(parts: Planes, blocks: list[_Block], matrix: Matrix, out: Tensor) -> None:
    from rvm.gpu import triton_sample

    channels, height, width = out.shape[1:]
    strip = max(_SHORTEST_STRIP, _TILE // (2 * blocks[0].side))
    coefficients = np.zeros((4, 4))
    coefficients[:channels] = matrix
    strides = [stride for part in parts for stride in part.stride()]
    with on_device_of(out):
        triton_sample.sample_planes[(-(-width // strip), height)](
            *parts, *strides, *_geometry(blocks[0], width, height),
            *_geometry(blocks[1], width, height), *coefficients.flatten().tolist(),
            out, *out.stride()[1:], width,
            BLOCK_0=blocks[0].side, SAME_0=_is_same(blocks[0], width, height),
            BLOCK_1=blocks[1].side, SAME_1=_is_same(blocks[1], width, height),
            FOURTH=channels == 4, STRIP=strip, num_warps=_WARPS,
        )  # fmt: skip


def _geometry(block: _Block, width: int, height: int) -> tuple[Any, ...]:
    return block.rows, block.columns, block.rows / height, block.columns / width


def _is_same(block: _Block, width: int, height: int) -> bool:
    return block == _Block(1, height, width)
