"""Arithmetic on planes in plain torch: what the compiled kernels must equal, on any device.

Sums are integers, so that alpha 0 and 255 are exact.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

Planes = tuple[Tensor, ...]


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


def alpha_of_planes(alpha: Tensor, count: int, chroma_shift: tuple[int, int]) -> Planes:
    """uint8 alpha at the size of each of `count` planes; chroma gets the mean over its cell."""
    if count == 1:
        return (alpha,)
    small = rounded_means(alpha.to(torch.float32)[None, None], chroma_shift)
    chroma = small[0, 0].to(torch.uint8)
    return alpha, chroma, chroma


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


def bilinear(image: Tensor, size: tuple[int, int]) -> Tensor:
    """[1, C, h, w] at `size` (rows, columns), half-pixel centres."""
    return F.interpolate(image, size, mode="bilinear", align_corners=False)


def like_plane(image: Tensor, plane: Tensor) -> Tensor:
    """[1, C, H, W] as (H, W) or (H, W, C)."""
    return image[0].permute(1, 2, 0) if plane.ndim == 3 else image[0, 0]


def channels_of(image: Tensor) -> list[Tensor]:
    """[1, C, H, W] as C of [1, 1, H, W]."""
    return [image[:, index : index + 1] for index in range(image.shape[1])]
