"""`rvm.compositing.blur` for tensors on any device: same cells, weights and kernel.

The frame is read once, into cells; everything after that is small. On a GPU those hundred small
steps are one CUDA graph, and the blend enlarges the result itself (`small`), so that the blurred
picture exists at full size only where linear light asks for it (`behind`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.compositing.base import Background
from rvm.compositing.blur import HIGHLIGHTS, STEEPNESS, TINY, TRUSTED, Blur, cells_and_sigma
from rvm.compositing.steady import KEPT_WITHIN
from rvm.frame import Frame, PixelFormat
from rvm.gpu.graphs import CudaCapturer, GraphRunner, Layout
from rvm.gpu.kernels_blend import Enlarged
from rvm.gpu.kernels_cells import cell_maxima, cell_means
from rvm.gpu.planes import bilinear, downsample, rounded_means

if TYPE_CHECKING:
    from rvm.frame import Matte


class TorchBlur(Background):
    """The frame's own background, blurred without the person in it, on the frame's device.

    Args:
        strength: 0 (sharp) to 1 (shapes only).
    """

    def __init__(self, strength: float) -> None:
        self._strength = strength
        self._runner: GraphRunner | None = None
        self._layout: Layout | None = None
        self._codes: tuple[Tensor, ...] | None = None

    @classmethod
    def of(cls, background: Background) -> TorchBlur:
        """The twin of a CPU blur."""
        if not isinstance(background, Blur):
            raise TypeError(f"got {type(background).__name__}, expected Blur")
        return cls(background.strength)

    def behind(self, frame: Frame, matte: Matte) -> Frame:
        """See `Background.behind`; planes are tensors."""
        small = self.small(frame, matte)
        if isinstance(small, Frame):
            return small
        return frame.with_picture(small.planes(frame.planes, frame.format.chroma_shift))

    def small(self, frame: Frame, matte: Matte) -> Enlarged | Frame:
        """What `behind` shows, before it is enlarged; valid until the next call.

        Returns:
            the frame itself where the strength is 0.
        """
        if self._strength == 0:
            return frame
        shift, sigma = cells_and_sigma(self._strength, frame)
        pixels = frame.format
        twice = shift > max(pixels.chroma_shift)
        cell = 1 << shift
        shape = (1, 4, -(-frame.height // cell), -(-frame.width // cell))
        codes = (1, 3, shape[2] << twice, shape[3] << twice)
        layout = Layout(shape, torch.float32, (codes,), torch.float32, (sigma, pixels, twice))
        before = self._codes if layout == self._layout else None

        def fill(target: Tensor | None) -> Tensor:
            parts = [*_channels(frame, shift), cell_maxima(matte.alpha, shift)]
            return torch.cat(parts, 1) if target is None else torch.cat(parts, 1, out=target)

        step = self._runner_on(matte.alpha.device).run(layout, fill, before)
        self._layout, self._codes = layout, step.states
        (code,) = step.outputs
        return Enlarged(code, shift - twice)

    def close(self) -> None:
        """See `Background.close`."""
        if self._runner is not None:
            self._runner.clear()
            self._runner = None

    def _runner_on(self, device: torch.device) -> GraphRunner:
        if self._runner is None:
            capturer = CudaCapturer(device) if device.type == "cuda" else None
            self._runner = GraphRunner(_blurred, device, capturer)
        return self._runner


def _blurred(
    layout: Layout, picture: Tensor, states: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Means of cells and their largest alpha -> code values that only need to be enlarged.

    The codes are the state too: see `rvm.compositing.steady`.
    """
    sigma, pixels, twice = cast("tuple[float, PixelFormat, bool]", layout.variant)
    code = fill(picture[:, :3], (1 - picture[:, 3:] / 255).pow(STEEPNESS))
    soft = soft_blur(code, sigma, pixels)
    if twice:
        soft = F.interpolate(soft, scale_factor=2, mode="bicubic", align_corners=False)
    (before,) = states
    code = soft.round().clamp(0, pixels.max_value)
    code = torch.where((soft - before).abs() < KEPT_WITHIN, before, code).contiguous()
    return (code,), (code,)


def _channels(frame: Frame, shift: int) -> list[Tensor]:
    """Three times [1, 1, rows, columns]: code values averaged over cells of 2^shift pixels."""
    if frame.format.family == "rgb":
        return [cell_means(frame.planes[0][..., index], shift) for index in range(3)]
    luma, *chroma = frame.planes
    less = frame.format.chroma_shift
    return [cell_means(luma, shift), *(_chroma_means(plane, shift, less) for plane in chroma)]


def _chroma_means(plane: Tensor, shift: int, less: tuple[int, int]) -> Tensor:
    """Halves both ways as often as it can, then the one way that is left (4:2:2)."""
    both = shift - max(less)
    image = cell_means(plane, both)
    step = (shift - both - less[0], shift - both - less[1])
    return rounded_means(image, step) if any(step) else image


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
    trust = 1 / downsample(weight, shift).clamp_min(TRUSTED)
    below = _pull_push(downsample(weighted, shift) * trust, downsample(weight, shift) * trust)
    size = (below.shape[-2] << shift[1], below.shape[-1] << shift[0])
    return weighted + (1 - weight) * bilinear(below, size)[..., :rows, :columns]


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
