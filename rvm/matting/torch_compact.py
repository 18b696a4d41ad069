"""The compact network in torch: small RGB in, guided-filter coefficients out, alpha from luma."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.colour import torch_rgb
from rvm.colour.ranges import effective_matrix, scales_and_offsets
from rvm.errors import ModelError
from rvm.matting.contracts import CompactContract
from rvm.matting.graph import first_line
from rvm.matting.refine import LUMA_709, display_luma
from rvm.matting.torch_engine import Result, States, TorchModel, alpha_to_bytes
from rvm.network.compact import CompactConfig, CompactMatting, zero_state

if TYPE_CHECKING:
    from rvm.frame import Frame
    from rvm.matting.weights import ModelEntry


class CompactModel(TorchModel):
    """See `rvm.network.compact` and, for the way to full size, `rvm.matting.refine`."""

    def __init__(
        self,
        network: CompactMatting,
        entry: ModelEntry | None,
        ratio: float | None,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self._network = network.to(device=device, dtype=dtype).eval()
        self._entry = entry
        self._ratio = ratio
        self._dtype = dtype

    def __call__(self, frame: Frame, states: States | None) -> Result:
        """See `TorchModel`."""
        size = CompactContract.size_for(frame, self._ratio, self._entry)
        seen = torch_rgb.network_rgb(frame, *size)
        states = states or tuple(zero.to(seen.device, self._dtype) for zero in zero_state())
        out = self._network(seen.to(self._dtype), states)
        scale, offset = out.alpha_scale.float(), out.alpha_offset.float()
        guide = _luma(frame)
        if effective_matrix(frame.format, frame.colour) not in ("bt709", "rgb"):
            own = torch_rgb.resample(guide, *size)
            offset = offset + scale * (torch_rgb.affine(seen, LUMA_709.astype("float64")) - own)
        planes = torch.nan_to_num(torch.cat([scale, offset], 1), 0.0, 0.0, 0.0)
        planes = F.interpolate(planes, guide.shape[-2:], mode="bilinear", align_corners=False)
        alpha = alpha_to_bytes((planes[:, :1] * guide + planes[:, 1:])[0, 0])
        residual = torch.nan_to_num(out.fgr_residual[0].float(), 0.0, 0.0, 0.0)
        return alpha, residual.permute(1, 2, 0).contiguous(), tuple(out.state)


def build_compact(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str], name: str
) -> CompactMatting:
    """The network of a weights file, whose metadata holds the widths of its layers.

    Raises:
        ModelError: the metadata or the tensors are not those of a compact network.
    """
    try:
        config = CompactConfig(**{k: tuple(map(int, v.split())) for k, v in metadata.items()})  # type: ignore[arg-type]
        network = CompactMatting(config)
        missing, unexpected = network.load_state_dict(dict(tensors), strict=False)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{name} is no compact network: {first_line(error)}") from error
    # Files leave out what only training uses.
    missing = [key for key in missing if not key.startswith("hints.") and "num_batches" not in key]
    if missing or unexpected:
        raise ModelError(f"{name} is no compact network: tensors {[*missing, *unexpected][:3]}")
    return network


def _luma(frame: Frame) -> Tensor:
    """[1, 1, H, W] float32 in 0..1; the twin of `rvm.matting.refine.luma_guide`."""
    code = torch_rgb.as_nchw(frame.planes[0])
    if frame.format.family == "rgb":
        code = torch_rgb.affine(code, LUMA_709.astype("float64"))
    if frame.colour.is_hdr or frame.colour.transfer == "linear":
        table = torch.from_numpy(display_luma(frame.format, frame.colour)).to(code.device)
        return table[code.long()].to(torch.float32) / 255
    scale, offset = scales_and_offsets(frame.format, frame.colour.range)
    return (code - float(offset[0])) / float(scale[0])
