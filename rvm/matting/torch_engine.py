"""torch: CPU, CUDA and MPS; on a GPU, frame and matte never leave it.

Opens weights (.safetensors, .pth) of the networks in `rvm.network`. Nothing in a file is executed:
pickled checkpoints are read with `weights_only=True` (torch >= 2.6, CVE-2025-32434).
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.colour import torch_rgb
from rvm.device import Device, choose_precision, choose_threads
from rvm.errors import DeviceError, ModelError, UsageError
from rvm.frame import Matte
from rvm.matting.base import Engine, EngineInfo
from rvm.matting.contracts import auto_ratio
from rvm.matting.graph import first_line
from rvm.matting.state import RecurrentState, tensors_for
from rvm.network import (
    MattingNetwork,
    architecture_of,
    build_network,
    downsampled_size,
    load_weights,
)
from rvm.network import RecurrentState as NetworkState

if TYPE_CHECKING:
    from rvm.frame import Composite, Frame
    from rvm.matting.base import State
    from rvm.matting.weights import ModelEntry

_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_TINY = 1e-6
States = tuple[Tensor, ...]
#: alpha [H, W] uint8, foreground residual (h, w, 3) float32 or None, states
Result = tuple[Tensor, Tensor | None, States]


class TorchModel(ABC):
    """One network with what it wants done before and after it, all on its device."""

    precisions: tuple[str, ...] = ("fp32", "fp16", "bf16")

    @abstractmethod
    def __call__(self, frame: Frame, states: States | None) -> Result:
        """Matte a frame whose planes are tensors on the network's device."""


class RvmModel(TorchModel):
    """The reference network. It refines always, as the published ONNX files do."""

    def __init__(
        self, network: MattingNetwork, ratio: float | None, dtype: torch.dtype, device: torch.device
    ) -> None:
        if ratio is not None and not 0 < ratio <= 1:
            raise UsageError(f"downsample_ratio must be over 0 and at most 1, got {ratio}")
        placed = network.to(device=device, dtype=dtype).eval()
        self._network = placed.to(memory_format=torch.channels_last)
        self._ratio = ratio
        self._dtype = dtype

    def __call__(self, frame: Frame, states: States | None) -> Result:
        """See `TorchModel`."""
        ratio = self._ratio or auto_ratio(*frame.size)
        source = torch_rgb.network_rgb(frame, frame.width, frame.height)
        source = source.to(self._dtype, memory_format=torch.channels_last)
        memory = NetworkState(states) if states else None
        out = self._network(source, memory, ratio, always_refine=True)
        size = downsampled_size(frame.height, frame.width, ratio)
        residual = reduce_residual(out.foreground - source, out.alpha.float(), size)
        return alpha_to_bytes(out.alpha[0, 0]), residual, out.state.levels


def alpha_to_bytes(alpha: Tensor) -> Tensor:
    """Float 0..1 of any precision -> uint8, rounded to nearest; not a number becomes 0."""
    return torch.nan_to_num(alpha.float(), 0.0).mul_(255).add_(0.5).clamp_(0, 255).to(torch.uint8)


def reduce_residual(residual: Tensor, alpha: Tensor, size: tuple[int, int]) -> Tensor:
    """[1, 3, H, W] by area to (h, w, 3) float32 of `size` (height, width), weighted by alpha.

    The twin of `rvm.matting.contracts.reduce_residual`.
    """
    total = F.interpolate(alpha, size, mode="area").clamp_min_(_TINY)
    small = F.interpolate(residual.float() * alpha, size, mode="area") / total
    return torch.nan_to_num(small[0].permute(1, 2, 0), 0.0, 0.0, 0.0).contiguous()


class TorchEngine(Engine):
    """A torch network on one device.

    Args:
        model: the network.
        info: what is reported.
        device: where it lies.
    """

    def __init__(self, model: TorchModel, info: EngineInfo, device: torch.device) -> None:
        self.info = info
        self._model: TorchModel | None = model
        self._device = device

    def upload(self, frame: Frame) -> Frame:
        """See `Engine.upload`."""
        return frame if self._device.type == "cpu" else torch_rgb.upload(frame, self._device)

    def download(self, composite: Composite) -> Composite:
        """See `Engine.download`. The matte stays until a sink asks for it; few do."""
        return dataclasses.replace(composite, picture=torch_rgb.download(composite.picture))

    def step(self, frame: Frame, state: State | None) -> tuple[Matte, State]:
        """See `Engine.step`."""
        states = tensors_for(self, frame, state)
        if self._model is None:
            raise ModelError(f"{self.info.model} was closed")
        with torch.inference_mode(), _device_errors(self.info.device):
            alpha, residual, new = self._model(torch_rgb.upload(frame, self._device), states)
            new = tuple(torch.nan_to_num(tensor, 0.0, 0.0, 0.0) for tensor in new)
        if self._device.type == "cpu":
            matte = Matte(alpha.numpy(), None if residual is None else residual.numpy())
        else:
            matte = Matte(alpha, residual)
        return matte, RecurrentState(self, frame.size, new)

    def close(self) -> None:
        """See `Engine.close`."""
        self._model = None


def open_torch(
    data: bytes,
    *,
    name: str,
    format: str,
    device: Device,
    entry: ModelEntry | None = None,
    ratio: float | None = None,
    threads: int | None = None,
    precision: str = "auto",
    reason: str = "it was asked for",
) -> TorchEngine:
    """An engine from the bytes of a weights file.

    Args:
        format: "safetensors" or "pth".

    Raises:
        ModelError: damaged, or of no known network.
        DeviceError: torch cannot use the device.
    """
    where = _torch_device(device)
    tensors = read_tensors(data, name, format)
    wanted = choose_precision(precision, device)
    with _device_errors(device.name):
        if "stem.0.weight" in tensors:
            from rvm.matting.torch_compact import CompactModel, build_compact

            wanted = choose_precision(precision, Device("cpu")) if precision == "auto" else wanted
            compact = build_compact(tensors, metadata_of(data), name)
            model: TorchModel = CompactModel(compact, entry, ratio, _DTYPES[wanted], where)
        else:
            network = build_network(architecture_of(tensors))
            load_weights(network, tensors)
            model = RvmModel(network, ratio, _DTYPES[wanted], where)
    if where.type == "cpu":
        torch.set_num_threads(choose_threads(threads))
    provider = f"torch {torch.__version__.partition('+')[0]}"
    info = EngineInfo(name, "torch", device.name, provider, wanted, reason)
    return TorchEngine(model, info, where)


def read_tensors(data: bytes, name: str, format: str) -> dict[str, Tensor]:
    """The named tensors in the bytes of a weights file.

    Raises:
        ModelError: damaged, or anything but tensors is in it.
    """
    try:
        tensors = _parse(data, format)
    except Exception as error:  # damaged files surface as a dozen types, IndexError among them
        raise ModelError(f"{name} cannot be loaded: {first_line(error)}") from error
    if (
        not isinstance(tensors, dict)
        or not tensors
        or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in tensors.items())
    ):
        raise ModelError(f"{name} is no state_dict: expected names with tensors only")
    return tensors


def _parse(data: bytes, format: str) -> Any:
    if format == "safetensors":
        return safetensors.torch.load(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about pickle's version, in files that are no pickles
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def metadata_of(data: bytes) -> dict[str, str]:
    """The free-text metadata of a safetensors file that was read before without error."""
    length = int.from_bytes(data[:8], "little")
    found: dict[str, str] = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return {key: value for key, value in found.items() if key != "format"}


def _torch_device(device: Device) -> torch.device:
    if device.kind == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError(
                "a GPU was found, but this torch has no CUDA for it; see https://pytorch.org, or "
                "use --device cpu"
            )
        torch.backends.cudnn.benchmark = True  # sizes stay the same from frame to frame
    return torch.device(device.name)


@contextlib.contextmanager
def _device_errors(name: str) -> Iterator[None]:
    """Out of memory and lost devices as `DeviceError`."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"{name} is out of memory; use a smaller --downsample-ratio, or --device cpu"
        ) from error
    except torch.AcceleratorError as error:
        raise DeviceError(f"{name} failed: {first_line(error)}") from error
