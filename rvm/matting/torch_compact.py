"""The compact network in torch: small RGB in, guided-filter coefficients out, alpha from luma."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.colour.ranges import effective_matrix
from rvm.errors import ModelError
from rvm.gpu.graphs import Layout, Step, Tensors
from rvm.gpu.kernels_refine import luma_alpha
from rvm.matting.contracts import CompactContract
from rvm.matting.contracts.compact import FIRST_LOOKS, SCALES
from rvm.matting.graph import first_line
from rvm.matting.torch_engine import TorchModel
from rvm.matting.torch_picture import luma_guide, network_picture
from rvm.matting.torch_pure_colour import colour_residual
from rvm.network.compact import CompactMatting, network_from
from rvm.network.grid import unpack_tensors

if TYPE_CHECKING:
    from rvm.frame import Frame
    from rvm.matting.weights import ModelEntry

#: Long side of the picture for distant people (see `rvm.matting.focus`). This engine has no
#: windows, and is made for GPUs; on a CPU it does the same, so that the two can be compared.
DISTANT_SIDE = 832


class CompactModel(TorchModel):
    """See `rvm.network.compact` and, for the way to full size, `rvm.matting.refine`.

    Its picture is [1, 3, h, w], or [1, 4, h, w] with the frame's own luma where that weighs
    colours otherwise than the network's (see `rvm.matting.refine.match_luma`).
    """

    scales = SCALES
    first_looks = FIRST_LOOKS

    def __init__(
        self,
        network: CompactMatting,
        entry: ModelEntry | None,
        ratio: float | None,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        luma = network.luma.to(device, torch.float32)
        self._network = network.to(device=device, dtype=dtype).eval()
        self._network.luma = luma  # the guided filter stays in single precision
        if device.type == "cuda":
            self._network.to(memory_format=torch.channels_last)
        self._entry = entry
        self._ratio = ratio
        self._dtype = dtype
        if ratio is None:
            self.focus = CompactContract.focus_rule(entry, DISTANT_SIDE)

    def layout(self, frame: Frame, scale: float) -> Layout:
        """See `TorchModel.layout`."""
        width, height = CompactContract.size_for(frame, self._ratio, self._entry, scale)
        same_luma = effective_matrix(frame.format, frame.colour) in ("bt709", "rgb")
        states = self._network.state_shapes(1, height, width)
        picture = (1, 3 if same_luma else 4, height, width)
        return Layout(picture, torch.float32, tuple(states), self._dtype)

    def picture(self, frame: Frame, layout: Layout, out: Tensor | None) -> Tensor:
        """See `TorchModel.picture`."""
        _, channels, height, width = layout.picture
        return network_picture(frame, width, height, with_luma=channels == 4, out=out)

    def network(self, layout: Layout, picture: Tensor, states: Tensors) -> tuple[Tensors, Tensors]:
        """Outputs: slope and offset on the frame's luma [1, 2, h, w], and the residual."""
        seen = picture[:, :3]
        out = self._network(seen, states)
        scale, offset = out.alpha_scale, out.alpha_offset
        if layout.picture[1] == 4:
            luma = (seen * self._network.luma).sum(1, keepdim=True)
            offset = offset + scale * (luma - picture[:, 3:])
        coefficients = _finite(torch.cat([scale, offset], 1)).contiguous()
        residual = _finite(colour_residual(seen, F.avg_pool2d(out.pha.float().clamp(0, 1), 2)))
        return (coefficients, residual), tuple(map(_finite, out.state))

    def matte(self, frame: Frame, layout: Layout, step: Step) -> tuple[Tensor, Tensor | None]:
        """See `TorchModel.matte`."""
        coefficients, residual = step.outputs
        alpha = luma_alpha(*luma_guide(frame), coefficients)
        # Never a view of the output, not even where its memory lies in this order already.
        small = residual[0].permute(1, 2, 0).clone(memory_format=torch.contiguous_format)
        return alpha, small


def build_compact(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], name: str
) -> CompactMatting:
    """The network of a weights file, whose metadata holds the widths of its layers.

    Raises:
        ModelError: the metadata or the tensors are not those of a compact network.
    """
    try:
        return network_from(unpack_tensors(tensors), metadata)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{name} is no compact network: {first_line(error)}") from error


def _finite(tensor: Tensor) -> Tensor:
    return torch.nan_to_num(tensor, 0.0, 0.0, 0.0)
