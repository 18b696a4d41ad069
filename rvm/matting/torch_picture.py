"""What the torch networks see of a frame, and its luma at full size; all on the frame's device."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from rvm.colour import ranges, torch_rgb
from rvm.gpu.kernels_sample import sample
from rvm.matting.refine import LUMA_709, display_luma

if TYPE_CHECKING:
    from rvm.frame import ColourTags, Frame, PixelFormat


def network_picture(
    frame: Frame, width: int, height: int, *, with_luma: bool = False, out: Tensor | None = None
) -> Tensor:
    """`torch_rgb.network_rgb`, in one launch where the frame is SDR, and written where wanted.

    Args:
        frame: its planes are tensors.
        width, height: wanted size.
        with_luma: have the frame's own luma (see `luma_guide`), resampled, as a fourth channel.
        out: [1, 3 or 4, height, width] of any floating type to write into, or None.

    Returns:
        `out`, or a new float32 tensor of that shape.
    """
    if frame.colour.is_display_referred:
        matrix = ranges.code_to_rgb(frame.format, frame.colour)
        if with_luma:
            matrix = np.vstack([matrix, _luma_row(frame)])
        return sample(frame.planes, matrix, width, height, out)
    picture = torch_rgb.network_rgb(frame, width, height)
    if with_luma:
        plane, _, _ = luma_guide(frame)
        luma = torch_rgb.resample(torch_rgb.as_nchw(plane), width, height)
        picture = torch.cat([picture, luma], 1)
    return picture if out is None else out.copy_(picture)


def luma_guide(frame: Frame) -> tuple[Tensor, tuple[float, ...], float]:
    """The frame's luma as `rvm.gpu.kernels_refine.luma_alpha` wants it; see `refine.luma_guide`.

    Returns:
        A plane (H, W) or (H, W, 3), a weight for each of its channels, and what to add, which
        together give luma 0..1.
    """
    if not frame.colour.is_display_referred:
        return _display_plane(frame), (1.0,), 0.0
    *row, plus = _luma_row(frame)
    weights = tuple(row) if frame.format.family == "rgb" else (row[0],)
    return frame.planes[0], weights, plus


def _luma_row(frame: Frame) -> list[float]:
    """Weights of a pixel's three code values, and what to add, that give its luma 0..1."""
    scale, offset = ranges.scales_and_offsets(frame.format, frame.colour.range)
    parts = LUMA_709[0] if frame.format.family == "rgb" else np.array([1.0, 0.0, 0.0])
    return [*(parts / scale[0]).tolist(), float(-offset[0] / scale[0])]


def _display_plane(frame: Frame) -> Tensor:
    """(H, W) float32 in 0..1: what a grey of each pixel's luma looks like on a display."""
    code = frame.planes[0]
    if code.ndim == 3:
        code = torch_rgb.affine(torch_rgb.as_nchw(code), LUMA_709.astype(np.float64))[0, 0]
    return _display_table(frame.format, frame.colour, code.device)[code.long()]


@functools.lru_cache(maxsize=8)
def _display_table(pixels: PixelFormat, colour: ColourTags, device: torch.device) -> Tensor:
    # Computed before it goes there: nothing is left to do on the stream of whoever is first.
    table = torch.from_numpy(display_luma(pixels, colour)).to(torch.float32) / 255
    return table.to(device)
