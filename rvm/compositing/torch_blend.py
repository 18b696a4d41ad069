"""`rvm.compositing.blend`, `residual`, `linear_light` and `cut_out` for tensors on any device.

Whole planes at a time: a device has the bandwidth, and indexing mixed pixels would make it wait
for their number. Sums are integers, so 0 and 255 are exact here too.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.colour import ranges, rgb, torch_rgb, torch_transfer
from rvm.frame import Frame, Matte

Planes = tuple[Tensor, ...]
Changes = tuple[Tensor | None, ...]
#: Side of the cells that `cut_out` keeps or blacks, as in `rvm.compositing.cut_out`.
_CELL = 16


def plane_alphas(frame: Frame, alpha: Tensor) -> Planes:
    """uint8 alpha at the size of each plane; for chroma the mean over the pixels it covers."""
    if frame.format.family == "rgb":
        return (alpha,)
    small = rounded_means(alpha.to(torch.float32)[None, None], frame.format.chroma_shift)
    chroma = small[0, 0].to(torch.uint8)
    return alpha, chroma, chroma


def downsample(image: Tensor, shift: tuple[int, int]) -> Tensor:
    """[1, C, H, W] float, mean over 2^x by 2^y blocks; an odd edge is repeated."""
    step_x, step_y = 1 << shift[0], 1 << shift[1]
    if (step_x, step_y) == (1, 1):
        return image
    rows, columns = image.shape[-2:]
    padded = F.pad(image, (0, -columns % step_x, 0, -rows % step_y), mode="replicate")
    return F.avg_pool2d(padded, (step_y, step_x))


def rounded_means(image: Tensor, shift: tuple[int, int]) -> Tensor:
    """`downsample` to whole numbers, halves as OpenCV rounds them: of four up, of two to even."""
    small = downsample(image, shift)
    return (small + 0.5).floor() if shift == (1, 1) else small.round()


def residual_planes(frame: Frame, matte: Matte) -> Changes:
    """What to add to each plane where alpha is mixed, float32; Nones where there is no colour."""
    small = matte.foreground_residual
    if small is None or frame.colour.is_hdr or frame.colour.transfer == "linear":
        return (None,) * len(frame.planes)
    linear_part = ranges.rgb_to_code(frame.format, frame.colour)[:, :3]
    code = torch_rgb.affine(small.to(torch.float32).permute(2, 0, 1)[None], linear_part)
    parts = [code] if frame.format.family == "rgb" else channels_of(code)
    return tuple(
        _like_plane(_bilinear(part, (plane.shape[0], plane.shape[1])), plane)
        for part, plane in zip(parts, frame.planes, strict=True)
    )


def blend_plane(
    front: Tensor, back: Tensor, alpha: Tensor, change: Tensor | None, max_value: int
) -> Tensor:
    """round(back + alpha / 255 * (front - back)), as `rvm.compositing.blend.blend_plane`."""
    if change is not None:
        front = shifted(front, change, is_mixed(alpha), max_value)
    weight = alpha.to(torch.int32)
    if front.ndim == 3:
        weight = weight[..., None]
    total = front.to(torch.int32) * weight + back.to(torch.int32) * (255 - weight)
    return torch.div(total + 127, 255, rounding_mode="floor").to(front.dtype)


def is_mixed(alpha: Tensor) -> Tensor:
    """Where 0 < alpha < 255."""
    return (alpha > 0) & (alpha < 255)


def shifted(front: Tensor, change: Tensor, where: Tensor, max_value: int) -> Tensor:
    """`front` plus `change` at some pixels, clamped; its own dtype."""
    samples = front.to(torch.int32)
    moved = (samples + change).round().clamp(0, max_value).to(torch.int32)
    return torch.where(where[..., None] if front.ndim == 3 else where, moved, samples).to(
        front.dtype
    )


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
        _choose(is_mixed(alpha), _like_plane(part, plane), plane, frame.format.max_value)
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


def _like_plane(image: Tensor, plane: Tensor) -> Tensor:
    """[1, C, H, W] as (H, W) or (H, W, C)."""
    return image[0].permute(1, 2, 0) if plane.ndim == 3 else image[0, 0]


def channels_of(image: Tensor) -> list[Tensor]:
    """[1, C, H, W] as C of [1, 1, H, W]."""
    return [image[:, index : index + 1] for index in range(image.shape[1])]


def _bilinear(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size, mode="bilinear", align_corners=False)
