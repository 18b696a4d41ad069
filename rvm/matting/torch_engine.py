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
from functools import partial
from typing import TYPE_CHECKING, Any

import safetensors.torch
import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.colour import torch_rgb
from rvm.device import Device, choose_precision, choose_threads
from rvm.errors import DeviceError, ModelError
from rvm.frame import Matte
from rvm.gpu import capturing, tf32
from rvm.gpu.graphs import Capturer, CudaCapturer, GraphRunner, Layout, Step, Tensors
from rvm.gpu.memory import StepDown
from rvm.gpu.readback import Reading
from rvm.matting.base import Engine, EngineInfo
from rvm.matting.focus import USUAL
from rvm.matting.graph import first_line
from rvm.matting.state import RecurrentState, tensors_for
from rvm.matting.window import OPAQUE, sample_steps
from rvm.network import architecture_of, build_network, load_weights

if TYPE_CHECKING:
    from rvm.frame import Composite, Frame
    from rvm.matting.base import State
    from rvm.matting.focus import FocusRule, Gaze
    from rvm.matting.weights import ModelEntry

#: What a device that fails raises; before torch 2.8 that had no name of its own.
_FAILED: type[RuntimeError] = getattr(torch, "AcceleratorError", RuntimeError)
#: Ways of a convolution that cuDNN tries, the likely ones first (its own limit is 10). Each thread
#: tries them for each of some seventy convolutions and each of four sizes before its first frame.
_CUDNN_PLANS = 3
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class TorchModel(ABC):
    """One network in three parts, of which the middle one can be a CUDA graph.

    All work on the device of the frame's planes, and none waits for it.
    """

    #: See `Engine.scales`.
    scales: tuple[float, ...] = (1.0,)
    #: See `Engine.first_looks`.
    first_looks: int = 1
    #: See `Contract.focus`.
    focus: FocusRule | None = None

    @abstractmethod
    def layout(self, frame: Frame, scale: float) -> Layout:
        """What the network works on for such a frame.

        Args:
            scale: side of the network's picture over its usual one.
        """

    @abstractmethod
    def picture(self, frame: Frame, layout: Layout, out: Tensor | None) -> Tensor:
        """The network's picture of a frame, in `out` or a new tensor."""

    @abstractmethod
    def network(self, layout: Layout, picture: Tensor, states: Tensors) -> tuple[Tensors, Tensors]:
        """Small outputs and new states, finite; see `rvm.gpu.graphs.Network`."""

    @abstractmethod
    def matte(self, frame: Frame, layout: Layout, step: Step) -> tuple[Tensor, Tensor | None]:
        """alpha (H, W) uint8 and foreground residual (h, w, 3) float32 or None, in new memory."""


class TorchEngine(Engine):
    """A torch network on one device.

    Args:
        model: the network.
        info: what is reported.
        device: where it lies.
        capturer: makes CUDA graphs of it, or None to run it piece by piece.
    """

    def __init__(
        self,
        model: TorchModel,
        info: EngineInfo,
        device: torch.device,
        capturer: Capturer | None = None,
    ) -> None:
        self._model: TorchModel | None = model
        self.info = info
        self.scales = model.scales
        self.first_looks = model.first_looks
        self._device = device
        self._runner = GraphRunner(model.network, device, capturer)
        self._memory = StepDown(info.device)
        self._scale = 1.0

    def upload(self, frame: Frame) -> Frame:
        """See `Engine.upload`."""
        if self._device.type == "cpu":
            return frame
        with on_device(self._device):
            return torch_rgb.upload(frame, self._device)

    def download(self, composite: Composite) -> Composite:
        """See `Engine.download`. The matte stays until a sink asks for it; few do."""
        with on_device(self._device):
            return dataclasses.replace(composite, picture=torch_rgb.download(composite.picture))

    def rescale(self, scale: float) -> None:
        """See `Engine.rescale`."""
        super().rescale(scale)
        self._scale = scale

    def prepare(self, frame: Frame) -> None:
        """See `Engine.prepare`: graphs of every size that the people's distance may ask for.

        So no frame of a live stream waits for a capture when somebody walks away.
        """
        model = self._model
        if model is None or not self._runner.captures:
            return
        scales = (1.0,) if model.focus is None else model.focus.scales
        with torch.inference_mode(), on_device(self._device), _device_errors(self.info.device):
            sent = torch_rgb.upload(frame, self._device)
            for side in scales * 2:  # what came once is captured when it comes again
                if self._memory.is_short:
                    break
                self._memory.run(partial(self._glance, model, sent, side), self._free, self._scale)

    def step(self, frame: Frame, state: State | None) -> tuple[Matte, State]:
        """See `Engine.step`. Out of memory, the network's picture gets smaller, and stays so."""
        states = tensors_for(self, frame, state)
        model = self._model
        if model is None:
            raise ModelError(f"{self.info.model} was closed")
        focus = model.focus
        gaze, glances, looks = _gaze(state, focus, self.first_looks)

        def attempt(scale: float) -> tuple[Matte, Tensors]:
            if focus is not None and not self._memory.is_short:
                scale *= focus.scale(gaze)
            return self._attempt(model, torch_rgb.upload(frame, self._device), states, scale)

        with torch.inference_mode(), on_device(self._device), _device_errors(self.info.device):
            matte, new = self._memory.run(attempt, self._free, self._scale)
            if focus is not None:
                glances = (*glances, Reading(_covered_share(torch.as_tensor(matte.alpha))))
        return matte, RecurrentState(
            self, frame.size, new, gaze=gaze, looks=looks + 1, glances=glances
        )

    def close(self) -> None:
        """See `Engine.close`."""
        self._model = None
        self._runner.close()

    def _attempt(
        self, model: TorchModel, frame: Frame, states: Tensors | None, scale: float
    ) -> tuple[Matte, Tensors]:
        layout = model.layout(frame, scale)
        step = self._runner.run(
            layout,
            lambda out: model.picture(frame, layout, out),
            None if states is None else resized(states, layout),
        )
        alpha, residual = model.matte(frame, layout, step)
        if self._device.type == "cpu":
            return Matte(alpha.numpy(), None if residual is None else residual.numpy()), step.states
        return Matte(alpha, residual), step.states

    def _glance(self, model: TorchModel, frame: Frame, side: float, scale: float) -> None:
        """Work on a frame that nobody remembers, on a picture of `side` times the usual one."""
        self._attempt(model, frame, None, scale * side)

    def _free(self) -> None:
        """Give back what torch and the graphs keep for speed."""
        self._runner.clear()
        if self._device.type == "cuda":
            with capturing.LOCK:  # before 2.8 torch asserts that nobody captures meanwhile
                torch.cuda.empty_cache()


def _gaze(
    state: State | None, focus: FocusRule | None, awaited: int
) -> tuple[Gaze, tuple[Reading, ...], int]:
    """How to look at the frame after `state`; glances not read for that, and looks so far.

    What the latest matte covers is read only while a stream begins, for the first `awaited` looks.
    Later a GPU may still be at work on it, and to wait would be to let it run dry; that of the
    frame before is there.
    """
    if focus is None or not isinstance(state, RecurrentState):
        return USUAL, (), 0
    read = len(state.glances) - (0 if state.looks <= awaited else 1)
    gaze = state.gaze
    for glance in state.glances[:read]:
        gaze = focus.after_share(gaze, glance.value())
    return gaze, state.glances[read:], state.looks


def _covered_share(alpha: Tensor) -> Tensor:
    """`rvm.matting.focus.covered_share` where the matte lies."""
    down, across = sample_steps(alpha.shape[0], alpha.shape[1])
    return (alpha[::down, ::across] >= OPAQUE).float().mean()


def resized(states: Tensors, layout: Layout) -> Tensors:
    """States for a layout; the same tuple where they fit.

    What they remember is about places, so for a network's picture of another size they are
    resampled, as in `rvm.matting.look.Look`.
    """
    if tuple(tuple(state.shape) for state in states) == layout.states:
        return states
    return tuple(
        F.interpolate(state, tuple(shape[2:]), mode="bilinear", align_corners=False)
        for state, shape in zip(states, layout.states, strict=True)
    )


@contextlib.contextmanager
def on_device(device: torch.device) -> Iterator[None]:
    """A CUDA device as the current one, so that streams and memory are its own."""
    with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
        yield


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

            compact = build_compact(tensors, metadata_of(data), name)
            model: TorchModel = CompactModel(compact, entry, ratio, _DTYPES[wanted], where)
        else:
            from rvm.matting.torch_reference import RvmModel

            network = build_network(architecture_of(tensors))
            load_weights(network, tensors)
            model = RvmModel(network, ratio, _DTYPES[wanted], where)
        if where.type == "cuda":
            torch.cuda.synchronize(where)  # the weights lie there for whichever thread uses them
    if where.type == "cpu":
        torch.set_num_threads(choose_threads(threads))
    provider = f"torch {torch.__version__.partition('+')[0]}"
    info = EngineInfo(name, "torch", device.name, provider, wanted, reason)
    return TorchEngine(model, info, where, CudaCapturer(where) if where.type == "cuda" else None)


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


def has_cuda() -> bool:
    """Whether this torch was made for CUDA and finds a GPU."""
    return torch.cuda.is_available()


def _torch_device(device: Device) -> torch.device:
    if device.kind == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError(
                "a GPU was found, but this torch has no CUDA for it; see https://pytorch.org, or "
                "use --device cpu"
            )
        torch.backends.cudnn.benchmark = True  # sizes stay the same from frame to frame
        torch.backends.cudnn.benchmark_limit = _CUDNN_PLANS
        tf32.allow(False)
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
    except _FAILED as error:
        raise DeviceError(f"{name} failed: {first_line(error)}") from error
