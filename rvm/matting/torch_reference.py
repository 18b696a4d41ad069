"""The reference networks in torch: full-size RGB in, alpha and foreground by a guided filter."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from rvm.errors import UsageError
from rvm.gpu.graphs import Layout, Step, Tensors
from rvm.gpu.kernels_refine import area_residual, guided_alpha
from rvm.matting.contracts import auto_ratio
from rvm.matting.contracts.rvm import AUTO_SHORT_SIDE
from rvm.matting.torch_engine import TorchModel
from rvm.matting.torch_picture import network_picture
from rvm.network import MattingNetwork, downsampled_size
from rvm.network import RecurrentState as NetworkState
from rvm.network.guided_filter import guide
from rvm.network.matting_network import downsample

if TYPE_CHECKING:
    from rvm.frame import Frame


class RvmModel(TorchModel):
    """See `rvm.network.matting_network`. It refines always, as the published ONNX files do.

    The refiner finds its coefficients in single precision whatever the network's is: it lives on
    small differences of means, of which half precision leaves little. The variant of its layouts
    is the downsample ratio.
    """

    def __init__(
        self, network: MattingNetwork, ratio: float | None, dtype: torch.dtype, device: torch.device
    ) -> None:
        if ratio is not None and not 0 < ratio <= 1:
            raise UsageError(f"downsample_ratio must be over 0 and at most 1, got {ratio}")
        whole = copy.deepcopy(network.refiner.state_dict())  # before half precision rounds it
        placed = network.to(device=device, dtype=dtype).eval()
        self._network = placed.to(memory_format=torch.channels_last)
        self._network.refiner.float().load_state_dict(whole)
        self._ratio = ratio
        self._dtype = dtype

    def layout(self, frame: Frame, scale: float) -> Layout:
        """See `TorchModel.layout`."""
        width, height = frame.size
        best = self._ratio or auto_ratio(width, height)
        ratio = max(best * scale, min(best, AUTO_SHORT_SIDE / min(width, height)))
        states = self._network.state_shapes(1, height, width, ratio)
        return Layout((1, 3, height, width), torch.float32, states, self._dtype, ratio)

    def picture(self, frame: Frame, layout: Layout, out: Tensor | None) -> Tensor:
        """See `TorchModel.picture`."""
        return network_picture(frame, frame.width, frame.height, out=out)

    def network(self, layout: Layout, picture: Tensor, states: Tensors) -> tuple[Tensors, Tensors]:
        """Output: [1, 8, h, w], see `rvm.gpu.kernels_refine.guided_alpha`."""
        net = self._network
        small = downsample(picture, _ratio_of(layout))
        seen = small.to(self._dtype, memory_format=torch.channels_last)
        f1, f2, f3, f4 = net.backbone(seen)
        hidden, memory = net.decoder(seen, (f1, f2, f3, net.aspp(f4)), NetworkState(states))
        result = net.project_mat(hidden).float()
        planes = net.refiner.coefficients(guide(small), result, hidden.float())
        coefficients = torch.nan_to_num(torch.cat(planes, 1), 0.0, 0.0, 0.0).contiguous()
        levels = tuple(torch.nan_to_num(level, 0.0, 0.0, 0.0) for level in memory.levels)
        return (coefficients,), levels

    def matte(self, frame: Frame, layout: Layout, step: Step) -> tuple[Tensor, Tensor | None]:
        """See `TorchModel.matte`."""
        exact = torch.float32 if self._dtype == torch.float32 else torch.float16
        alpha, weighted = guided_alpha(step.picture, step.outputs[0], exact)
        size = downsampled_size(frame.height, frame.width, _ratio_of(layout))
        return alpha, area_residual(weighted, size)


def _ratio_of(layout: Layout) -> float:
    return cast("float", layout.variant)
