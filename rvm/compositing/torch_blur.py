"""`rvm.compositing.blur` for tensors on any device: same cells, weights and kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.colour import torch_rgb
from rvm.compositing.base import Background
from rvm.compositing.blur import HIGHLIGHTS, STEEPNESS, TINY, Blur, cells_and_sigma
from rvm.compositing.torch_blend import channels_of, downsample, rounded_means

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
        if self._strength == 0:
            return frame
        shift, sigma = cells_and_sigma(self._strength, frame)
        small = fill(_small(frame, shift), background_weight(matte.alpha, shift))
        blurred = soft_blur(small, sigma, frame.format)
        return frame.with_picture(_enlarged(blurred, frame, shift))


def _small(frame: Frame, shift: int) -> Tensor:
    """[1, 3, rows, columns] code values averaged over cells of 2^shift pixels."""
    subsampled = frame.format.chroma_shift
    planes = [
        _cell_means(
            torch_rgb.as_nchw(plane),
            shift - subsampled[0] * (i > 0),
            shift - subsampled[1] * (i > 0),
        )
        for i, plane in enumerate(frame.planes)
    ]
    return torch.cat(planes, 1)


def _cell_means(image: Tensor, shift_x: int, shift_y: int) -> Tensor:
    """Halves and rounds as the CPU does, to the same code values."""
    while shift_x or shift_y:
        step = (min(1, shift_x), min(1, shift_y))
        image = rounded_means(image, step)
        shift_x, shift_y = shift_x - step[0], shift_y - step[1]
    return image


def background_weight(alpha: Tensor, shift: int) -> Tensor:
    """[1, 1, rows, columns] 0..1: how far each cell is background in *all* its pixels."""
    most = F.max_pool2d(alpha.to(torch.float32)[None, None], 1 << shift, ceil_mode=True)
    return (1 - most / 255).pow(STEEPNESS)


def fill(code: Tensor, weight: Tensor) -> Tensor:
    """Replace what is not background by the background around it; [1, C, rows, columns].

    Without asking the device whether there is any background: where there is none at all, the
    picture itself is kept.
    """
    filled = _pull_push(code * weight, weight)
    return torch.where(weight.amax() < TINY, code, filled)


def _pull_push(weighted: Tensor, weight: Tensor) -> Tensor:
    rows, columns = weight.shape[-2:]
    if rows == columns == 1:
        return weighted / weight.clamp_min(TINY)
    shift = (int(columns > 1), int(rows > 1))
    trust = 1 / downsample(weight, shift).clamp_min(0.25)
    below = _pull_push(downsample(weighted, shift) * trust, downsample(weight, shift) * trust)
    size = (below.shape[-2] << shift[1], below.shape[-1] << shift[0])
    return weighted + (1 - weight) * _bilinear(below, size)[..., :rows, :columns]


def soft_blur(code: Tensor, sigma: float, pixels: PixelFormat) -> Tensor:
    """Gaussian mean in which bright samples weigh more, [1, 3, rows, columns]."""
    luma = code.amax(1, keepdim=True) if pixels.family == "rgb" else code[:, :1]
    gain = 1 + HIGHLIGHTS * (luma / pixels.max_value).pow(3)
    soft = gaussian(torch.cat([code * gain, gain], 1), sigma)
    return soft[:, :3] / soft[:, 3:]


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


def _enlarged(blurred: Tensor, frame: Frame, shift: int) -> tuple[Tensor, ...]:
    pixels = frame.format
    rows, columns = blurred.shape[-2:]
    if shift > max(pixels.chroma_shift):
        blurred = F.interpolate(blurred, scale_factor=2, mode="bicubic", align_corners=False)
    small = blurred.round().clamp(0, pixels.max_value)
    parts = [small] if pixels.family == "rgb" else channels_of(small)
    whole = pixels.plane_shapes(columns << shift, rows << shift)
    planes = []
    for part, plane, shape in zip(parts, frame.planes, whole, strict=True):
        wide = _bilinear(part, (shape[0], shape[1])).round()
        wide = wide[..., : plane.shape[0], : plane.shape[1]]
        picked = wide[0].permute(1, 2, 0) if plane.ndim == 3 else wide[0, 0]
        planes.append(picked.to(torch.int32).to(plane.dtype))
    return tuple(planes)


def _bilinear(image: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(image, size, mode="bilinear", align_corners=False)
