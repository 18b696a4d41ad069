"""The compositor for frames on a device: nothing comes back before `rvm.colour.torch_rgb.download`.

Same results as `CpuCompositor`, to one code value: the alpha blend is the same integer
arithmetic, only resampling may round differently. A plain blend is one launch (see
`rvm.gpu.kernels_blend`); linear light and cutting out are torch, plane by plane. Once the first
frames of a size are done, nothing but a new background picture is copied to the device, and
nothing waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from rvm.colour import torch_rgb
from rvm.compositing.base import Background, Compositor
from rvm.compositing.blur import Blur
from rvm.compositing.solid import SolidColour
from rvm.compositing.torch_blend import Changes, cut_out, linear_planes, residual_of
from rvm.compositing.torch_blur import TorchBlur
from rvm.frame import Composite, Frame
from rvm.gpu.kernels_blend import Colour, Enlarged, blend
from rvm.gpu.planes import Planes, alpha_of_planes, blend_plane

if TYPE_CHECKING:
    from collections.abc import Callable

    from rvm.frame import Matte

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
        self._on_device: Frame | Colour | None = None

    @torch.inference_mode()
    def compose(self, frame: Frame, matte: Matte) -> Composite:
        """See `Compositor.compose`.

        Raises:
            ValueError: the matte does not have the frame's size.
        """
        if tuple(matte.alpha.shape) != (frame.height, frame.width):
            got = tuple(matte.alpha.shape)
            raise ValueError(f"got alpha {got}, expected {(frame.height, frame.width)}")
        back = self._back(frame, matte)
        if back is frame:
            return Composite(frame, matte, frame)
        if back is None:
            return self._cut_out(frame, matte)
        if self._linear_light and isinstance(back, Frame):
            return self._in_linear_light(frame, matte, back)
        pixels = frame.format
        planes = blend(
            frame.planes, matte.alpha, back.planes if isinstance(back, Frame) else back,
            max_value=pixels.max_value, chroma_shift=pixels.chroma_shift,
            residual=residual_of(frame, matte),
        )  # fmt: skip
        return Composite(frame.with_picture(planes), matte, frame)

    def close(self) -> None:
        """See `Compositor.close`."""
        self._background.close()

    def _back(self, frame: Frame, matte: Matte) -> Frame | Colour | Enlarged | None:
        """What lies behind, in the smallest form that the blend takes."""
        background = self._background
        if isinstance(background, TorchBlur) and not self._linear_light:
            return background.small(frame, matte)
        behind = background.behind(frame, matte)
        if behind is None or isinstance(behind.planes[0], Tensor):
            return behind
        if behind is not self._on_cpu or self._on_device is None:
            plain = isinstance(background, SolidColour) and not self._linear_light
            self._on_device = (
                _colour_of(behind) if plain else torch_rgb.upload(behind, self._device)
            )
            self._on_cpu = behind
        return self._on_device

    def _cut_out(self, frame: Frame, matte: Matte) -> Composite:
        planes = cut_out(frame, *_alphas_and_changes(frame, matte))
        return Composite(frame.with_picture(planes, alpha=matte.alpha), matte, frame)

    def _in_linear_light(self, frame: Frame, matte: Matte, behind: Frame) -> Composite:
        alphas, changes = _alphas_and_changes(frame, matte)
        top = frame.format.max_value
        planes = tuple(
            blend_plane(plane, back, alpha, change, top)
            for plane, back, alpha, change in zip(
                frame.planes, behind.planes, alphas, changes, strict=True
            )
        )
        planes = linear_planes(frame, behind, alphas, changes, planes)
        return Composite(frame.with_picture(planes), matte, frame)


def _alphas_and_changes(frame: Frame, matte: Matte) -> tuple[Planes, Changes]:
    """Alpha and the model's colour at the size of each plane."""
    count = len(frame.planes)
    residual = residual_of(frame, matte)
    changes = residual.planes(frame.planes) if residual else (None,) * count
    return alpha_of_planes(matte.alpha, count, frame.format.chroma_shift), changes


def _colour_of(picture: Frame) -> Colour:
    """The code values of a picture of one colour."""
    first, second, third = (
        int(code) for plane in picture.planes for code in plane[0, 0].reshape(-1)
    )
    return first, second, third
