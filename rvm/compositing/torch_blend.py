"""`rvm.compositing.residual`, `linear_light` and `cut_out` for tensors on any device.

Whole planes at a time: a device has the bandwidth, and indexing mixed pixels would make it wait
for their number. The plain blend is `rvm.gpu.kernels_blend`.
"""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.colour import ranges, rgb, torch_rgb, torch_transfer
from rvm.frame import ColourTags, Frame, Matte, PixelFormat
from rvm.gpu.kernels_blend import Residual
from rvm.gpu.planes import Planes, channels_of, downsample, is_mixed, like_plane, shifted

Changes = tuple[Tensor | None, ...]
#: Side of the cells that `cut_out` keeps or blacks, as in `rvm.compositing.cut_out`.
_CELL = 16


def residual_of(frame: Frame, matte: Matte) -> Residual | None:
    """The model's colour, where there is one that may be added to this frame's."""
    small = matte.foreground_residual
    if small is None or not frame.colour.is_display_referred:
        return None
    return Residual(small.to(torch.float32).contiguous(), _linear(frame.format, frame.colour))


@functools.cache
def _linear(pixels: PixelFormat, colour: ColourTags) -> tuple[tuple[float, float, float], ...]:
    """R'G'B' differences to code values: numbers for a kernel's arguments, not a tensor."""
    rows = ranges.rgb_to_code(pixels, colour)[:, :3]
    return tuple((float(red), float(green), float(blue)) for red, green, blue in rows)


def linear_planes(
    frame: Frame, behind: Frame, alphas: Planes, changes: Changes, blended: Planes
) -> Planes:
    """The blend in linear light where alpha is mixed, `blended` elsewhere."""
    tags = frame.colour
    to_code = ranges.rgb_to_code(frame.format, tags)
    weight = alphas[0].to(torch.float32)[None, None] / 255
    front = torch_transfer.to_light(tags.transfer, _signal(frame, changes))
    back = torch_transfer.to_light(tags.transfer, _signal(behind, (None,) * len(changes)))
    light = back + weight * (front - back)
    code = torch_rgb.affine(torch_transfer.from_light(tags.transfer, light), to_code)
    parts = (code,) if frame.format.family == "rgb" else _subsampled(code, frame)
    return tuple(
        _choose(is_mixed(alpha), like_plane(part, plane), plane, frame.format.max_value)
        for part, plane, alpha in zip(parts, blended, alphas, strict=True)
    )


def cut_out(frame: Frame, alphas: Planes, changes: Changes) -> Planes:
    """The person's own colours, black where nobody is near; as `rvm.compositing.cut_out`."""
    pixel = np.zeros((1, 1, 3), np.uint8)
    black = rgb.planes_from_display(pixel, frame.format, frame.colour)
    near = near_mask(alphas[0])
    step_x, step_y = 1 << frame.format.chroma_shift[0], 1 << frame.format.chroma_shift[1]
    out = []
    for index, (plane, alpha, change) in enumerate(zip(frame.planes, alphas, changes, strict=True)):
        mask = near[::step_y, ::step_x] if index else near
        if change is not None:
            plane = shifted(plane, change, (alpha < 255) & mask, frame.format.max_value)
        nothing = int(black[index].flat[0])  # of RGB too: black is gray
        keep = mask[..., None] if plane.ndim == 3 else mask
        out.append(torch.where(keep, plane.to(torch.int32), nothing).to(plane.dtype))
    return tuple(out)


def near_mask(alpha: Tensor) -> Tensor:
    """(rows, columns) bool, True at least within 16 pixels of any alpha above 0."""
    rows, columns = alpha.shape
    seen = (alpha > 0).to(torch.float32)[None, None]
    cells = F.max_pool2d(seen, _CELL, ceil_mode=True)
    cells = F.max_pool2d(cells, 3, stride=1, padding=1)
    wide = cells[0, 0].repeat_interleave(_CELL, 0).repeat_interleave(_CELL, 1)
    return wide[:rows, :columns] > 0


def _signal(frame: Frame, changes: Changes) -> Tensor:
    """R'G'B' [1, 3, H, W]; every pixel with the chroma sample of its cell."""
    top = frame.format.max_value
    parts = []
    for index, (plane, change) in enumerate(zip(frame.planes, changes, strict=True)):
        part = torch_rgb.as_nchw(plane)
        if change is not None:
            part = part + torch_rgb.as_nchw(change)
        parts.append(_repeated(part.clamp(0, top), frame) if index else part.clamp(0, top))
    affine = ranges.code_to_rgb(frame.format, frame.colour)
    return torch_rgb.affine(torch.cat(parts, 1), affine)


def _repeated(part: Tensor, frame: Frame) -> Tensor:
    shift_x, shift_y = frame.format.chroma_shift
    wide = part.repeat_interleave(1 << shift_y, -2).repeat_interleave(1 << shift_x, -1)
    return wide[..., : frame.height, : frame.width]


def _subsampled(code: Tensor, frame: Frame) -> Planes:
    luma, *chroma = channels_of(code)
    return luma, *(downsample(part, frame.format.chroma_shift) for part in chroma)


def _choose(mixed: Tensor, code: Tensor, plane: Tensor, max_value: int) -> Tensor:
    rounded = code.round().clamp(0, max_value).to(torch.int32)
    where = mixed[..., None] if plane.ndim == 3 else mixed
    return torch.where(where, rounded, plane.to(torch.int32)).to(plane.dtype)
