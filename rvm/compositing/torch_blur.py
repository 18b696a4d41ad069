"""`rvm.compositing.blur` for tensors on any device: same cells, weights and kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.colour import torch_rgb
from rvm.compositing.base import Background
from rvm.compositing.blur import HIGHLIGHTS, SETTLE, Blur, cell_shift, sigma_pixels
from rvm.compositing.torch_blend import channels_of

if TYPE_CHECKING:
    from rvm.frame import Frame, Matte, PixelFormat


class TorchBlur(Background):
    """The frame's own background, blurred without the person in it, on the frame's device.

    Args:
        strength: 0 (sharp) to 1 (shapes only).
    """

    def __init__(self, strength: float) -> None:
        self._strength = strength

    @classmethod
    def of(cls, background: Background) -> TorchBlur:
        """The twin of a CPU blur."""
        if not isinstance(background, Blur):
            raise TypeError(f"got {type(background).__name__}, expected Blur")
        return cls(background.strength)

    def behind(self, frame: Frame, matte: Matte) -> Frame:
        """See `Background.behind`; planes are tensors."""
        sigma = sigma_pixels(self._strength, frame)
        if sigma == 0:
            return frame
        shift = cell_shift(sigma)
        code = _small(frame, shift)
        weight = background_weight(matte.alpha, shift)
        blurred = weighted_blur(code, weight, sigma / (1 << shift), frame.format)
        return frame.with_picture(_enlarged(blurred, frame))


def _small(frame: Frame, shift: int) -> Tensor:
    """[1, 3, rows, columns] code values averaged over cells of 2^shift pixels."""
    columns, rows = -(-frame.width >> shift), -(-frame.height >> shift)
    planes = [_resample(torch_rgb.as_nchw(plane), columns, rows) for plane in frame.planes]
    return torch.cat(planes, 1)


def _resample(image: Tensor, width: int, height: int) -> Tensor:
    """Halves and rounds as `rvm.colour.chroma.resample` does, to the same code values."""
    rows, columns = image.shape[-2:]
    while columns >= 2 * width and rows >= 2 * height:
        columns, rows = (columns + 1) // 2, (rows + 1) // 2
        image = (_bilinear(image, (rows, columns)) + 0.5).floor()
    if (columns, rows) == (width, height):
        return image
    return _bilinear(image, (height, width)).round()


def background_weight(alpha: Tensor, shift: int) -> Tensor:
    """[1, 1, rows, columns] 0..1: how far each cell is background in *all* its pixels."""
    cell = 1 << shift
    most = F.max_pool2d(alpha.to(torch.float32)[None, None], cell, ceil_mode=True)
    clear = 1 - most / 255
    return clear * clear


def weighted_blur(code: Tensor, weight: Tensor, sigma: float, pixels: PixelFormat) -> Tensor:
    """Gaussian mean of the background only, [1, 3, rows, columns] float32."""
    bright = (
        code.amax(1, keepdim=True) if pixels.family == "rgb" else code[:, :1]
    ) / pixels.max_value
    weight = weight * (1 + HIGHLIGHTS * bright.pow(3))
    everywhere = weight.sum()
    weighted = (code * weight).sum((2, 3), keepdim=True) / everywhere.clamp_min(1e-12)
    mean = torch.where(everywhere > 0, weighted, code.mean((2, 3), keepdim=True))
    soft = gaussian(torch.cat([(code - mean) * weight, weight], 1), sigma)
    return soft[:, :3] / (soft[:, 3:] + SETTLE) + mean


def gaussian(image: Tensor, sigma: float) -> Tensor:
    """[1, C, H, W] with cv2.GaussianBlur's kernel for float pictures, edges repeated."""
    radius = (round(sigma * 8 + 1) | 1) // 2
    offsets = torch.arange(-radius, radius + 1, dtype=torch.float32, device=image.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    channels = image.shape[1]
    across = kernel[None, None, None, :].expand(channels, 1, 1, -1)
    down = kernel[None, None, :, None].expand(channels, 1, -1, 1)
    image = F.conv2d(
        F.pad(image, (radius, radius, 0, 0), mode="replicate"), across, groups=channels
    )
    return F.conv2d(F.pad(image, (0, 0, radius, radius), mode="replicate"), down, groups=channels)


def _enlarged(blurred: Tensor, frame: Frame) -> tuple[Tensor, ...]:
    small = blurred.round().clamp(0, frame.format.max_value)
    parts = [small] if frame.format.family == "rgb" else channels_of(small)
    planes = []
    for part, plane in zip(parts, frame.planes, strict=True):
        wide = _bilinear(part, (plane.shape[0], plane.shape[1])).round()
        picked = wide[0].permute(1, 2, 0) if plane.ndim == 3 else wide[0, 0]
        planes.append(picked.to(torch.int32).to(plane.dtype))
    return tuple(planes)


def _bilinear(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size, mode="bilinear", align_corners=False)
