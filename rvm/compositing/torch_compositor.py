"""The compositor for frames on a device: nothing comes back before `rvm.colour.torch_rgb.download`.

Same results as `CpuCompositor`, to one code value: the alpha blend is the same integer
arithmetic, only resampling may round differently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rvm.colour import torch_rgb
from rvm.compositing.base import Background, Compositor
from rvm.compositing.blur import Blur
from rvm.compositing.torch_blend import (
    blend_plane,
    cut_out,
    linear_planes,
    plane_alphas,
    residual_planes,
)
from rvm.compositing.torch_blur import TorchBlur
from rvm.frame import Composite

if TYPE_CHECKING:
    from collections.abc import Callable

    from rvm.frame import Frame, Matte

#: Backgrounds that look at the picture itself need a twin that works on tensors.
TORCH_TWINS: dict[type[Background], Callable[[Background], Background]] = {Blur: TorchBlur.of}


class TorchCompositor(Compositor):
    """Blends tensors on their device.

    The planes of frames and mattes must be tensors on `device`, as the torch engine's `upload`
    and `step` give them. Backgrounds made on the CPU (colour, picture, video) are copied there
    once for each new picture.

    Args:
        background: what to put behind; closed with the compositor.
        linear_light: blend light instead of code values.
        device: where the frames are, for instance "cuda:0".
    """

    def __init__(
        self, background: Background, *, linear_light: bool = False, device: str = "cuda"
    ) -> None:
        twin = TORCH_TWINS.get(type(background))
        self._background = twin(background) if twin else background
        self._linear_light = linear_light
        self._device = torch.device(device)
        self._on_cpu: Frame | None = None
        self._on_device: Frame | None = None

    @torch.inference_mode()
    def compose(self, frame: Frame, matte: Matte) -> Composite:
        """See `Compositor.compose`.

        Raises:
            ValueError: the matte does not have the frame's size.
        """
        if tuple(matte.alpha.shape) != (frame.height, frame.width):
            got = tuple(matte.alpha.shape)
            raise ValueError(f"got alpha {got}, expected {(frame.height, frame.width)}")
        behind = self._behind(frame, matte)
        if behind is frame:
            return Composite(frame, matte, frame)
        alphas = plane_alphas(frame, matte.alpha)
        changes = residual_planes(frame, matte)
        if behind is None:
            planes = cut_out(frame, alphas, changes)
            return Composite(frame.with_picture(planes, alpha=matte.alpha), matte, frame)
        top = frame.format.max_value
        planes = tuple(
            blend_plane(plane, back, alpha, change, top)
            for plane, back, alpha, change in zip(
                frame.planes, behind.planes, alphas, changes, strict=True
            )
        )
        if self._linear_light:
            planes = linear_planes(frame, behind, alphas, changes, planes)
        return Composite(frame.with_picture(planes), matte, frame)

    def close(self) -> None:
        """See `Compositor.close`."""
        self._background.close()

    def _behind(self, frame: Frame, matte: Matte) -> Frame | None:
        behind = self._background.behind(frame, matte)
        if behind is None or isinstance(behind.planes[0], Tensor):
            return behind
        if behind is not self._on_cpu or self._on_device is None:
            self._on_cpu, self._on_device = behind, torch_rgb.upload(behind, self._device)
        return self._on_device
