"""Choosing and opening an engine, and saying why that one.

The rule of `auto`, in order:

1. The model's format: torch weights (.safetensors, .pth) need the torch engine.
2. On a CUDA GPU torch runs the model's torch twin, where there is one and torch sees the GPU: then
   frames stay on the device. Any other ONNX graph on a GPU runs on ONNX Runtime.
3. Else it runs on ONNX Runtime. OpenVINO is there for who asks for it: on two cores of an Intel
   Xeon it took 0.83 of ONNX Runtime's time for the 8-bit compact model, as long for the float one
   and 1.3 times as long for the reference; on an AMD EPYC 1.3 times as long for the compact model
   and 1.1 times for the reference. It starts half a second later, as it compiles for a size.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from rvm.device import (
    Device,
    choose_device,
    choose_precision,
    is_installed,
    multiplies_bytes,
)
from rvm.errors import DeviceError, ModelError, RvmError, UsageError
from rvm.matting.base import Engine
from rvm.matting.fake import parse_fake
from rvm.matting.weights import LocatedModel, find_model, read_verified

logger = logging.getLogger(__name__)


class Foreseen(NamedTuple):
    """What `load_engine` would take."""

    engine: str
    device: Device
    model: str
    """Registry name, or the file's name; the twin's where one is taken."""


@dataclass(frozen=True, slots=True)
class Request:
    """Everything an engine is opened with; see `load_engine`."""

    model: LocatedModel
    device: Device
    ratio: float | None
    threads: int | None
    precision: str
    reason: str


@dataclass(frozen=True, slots=True)
class EngineKind:
    """One line of the registry.

    Attributes:
        module: what must be installed.
        formats: model formats it opens.
        open: opens it.
        install: what to say when the module is missing.
    """

    module: str
    formats: tuple[str, ...]
    open: Callable[[Request], Engine]
    install: str


def _open_onnxruntime(request: Request, *, tensorrt: bool = False) -> Engine:
    from rvm.matting.onnxruntime_engine import open_onnxruntime

    data, entry = read_verified(request.model)
    return open_onnxruntime(
        data,
        name=entry.name if entry else request.model.name,
        device=request.device,
        entry=entry,
        ratio=request.ratio,
        threads=request.threads,
        tensorrt=tensorrt,
        reason=request.reason,
    )


def _open_tensorrt(request: Request) -> Engine:
    return _open_onnxruntime(request, tensorrt=True)


def _open_openvino(request: Request) -> Engine:
    from rvm.matting.openvino_engine import open_openvino

    data, entry = read_verified(request.model)
    return open_openvino(
        data,
        name=entry.name if entry else request.model.name,
        device=request.device,
        entry=entry,
        ratio=request.ratio,
        threads=request.threads,
        reason=request.reason,
    )


def _open_torch(request: Request) -> Engine:
    from rvm.matting.torch_engine import open_torch

    data, entry = read_verified(request.model)
    return open_torch(
        data,
        name=entry.name if entry else request.model.name,
        format=request.model.format,
        device=request.device,
        entry=entry,
        ratio=request.ratio,
        threads=request.threads,
        precision=request.precision,
        reason=request.reason,
    )


#: Registry name -> engine. "fake" needs no model and is handled before.
ENGINES: Mapping[str, EngineKind] = {
    "onnxruntime": EngineKind(
        "onnxruntime", ("onnx",), _open_onnxruntime, "pip install onnxruntime-gpu"
    ),
    "tensorrt": EngineKind("tensorrt", ("onnx",), _open_tensorrt, "pip install 'tensorrt-cu13<11'"),
    "openvino": EngineKind(
        "openvino", ("onnx",), _open_openvino, "pip install rvm-matting[openvino]"
    ),
    "torch": EngineKind(
        "torch", ("safetensors", "pth"), _open_torch, "pip install rvm-matting[torch]"
    ),
}


def available_engines() -> tuple[str, ...]:
    """Names of the engines whose libraries are installed; nothing is imported."""
    return tuple(name for name, kind in ENGINES.items() if is_installed(kind.module))


def load_engine(
    model: str | Path | None = None,
    *,
    engine: str = "auto",
    device: str = "auto",
    downsample_ratio: float | None = None,
    threads: int | None = None,
    precision: str = "auto",
) -> Engine:
    """Open a model on an engine.

    Args:
        model: registry name, path of a model file, None for the default model, or "fake".
        engine: "auto", a name in `ENGINES`, or "fake".
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        downsample_ratio: size of the network's picture over the frame's, over 0 and up to 1; None
            chooses by the frame's size.
        threads: CPU threads; None takes every core, up to 8.
        precision: "auto", "fp32", "fp16" or "bf16": the torch engine's arithmetic. ONNX graphs
            have theirs built in.

    Raises:
        UsageError: an unknown word or a number out of range.
        ModelError: the model is unknown, missing, damaged, or not for this engine.
        ModelHashError: its sha256 is not the pinned one.
        DeviceError: the device is not there.
    """
    if engine == "fake" or str(model).partition(":")[0] == "fake":
        return parse_fake("fake" if model is None else str(model))
    if engine != "auto" and engine not in ENGINES:
        near = difflib.get_close_matches(engine, ENGINES, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"unknown engine {engine!r}; {hint}use auto, {', '.join(ENGINES)}")
    request = Request(
        find_model(model), choose_device(device), downsample_ratio, threads, precision, ""
    )
    choose_precision(precision, request.device)
    try:
        return _open(engine, request)
    except DeviceError as error:
        if device != "auto" or request.device.kind == "cpu":
            raise
        logger.warning("falling back to the CPU: %s", error)
        fallback = Device("cpu", 0, f"{request.device.name} could not be used")
        return _open(engine, replace(request, device=fallback))


def foresee(
    model: str | Path | None = None, *, engine: str = "auto", device: str = "auto"
) -> Foreseen:
    """The engine, device and model that `load_engine` would take; nothing is opened.

    Args:
        model, engine, device: as for `load_engine`.

    Raises:
        UsageError, ModelError, DeviceError: the choice itself fails.
    """
    place, found = choose_device(device), find_model(model)
    if engine != "auto":
        return Foreseen(engine, place, found.name)
    found, name, _ = _pick(found, place)
    return Foreseen(name, place, found.name)


def frame_device(model: str | Path | None, *, engine: str, device: str) -> str:
    """Where the engine that `load_engine` would open wants frames: "cuda:0", or "cpu".

    What cannot be chosen counts as "cpu"; `load_engine` says why not.

    Args:
        model, engine, device: as for `load_engine`.
    """
    if engine == "fake" or str(model).partition(":")[0] == "fake":
        return "cpu"
    try:
        name, place, _ = foresee(model, engine=engine, device=device)
    except RvmError:
        return "cpu"
    takes_tensors = name == "torch" and is_installed("torch")
    return place.name if takes_tensors and place.kind == "cuda" else "cpu"


def _open(engine: str, request: Request) -> Engine:
    model, device = request.model, request.device
    name, reason = engine, "it was asked for"
    if engine == "auto":
        model, name, reason = _pick(model, device)
    kind = ENGINES[name]
    if model.format not in kind.formats:
        raise ModelError(
            f"{model.name} is a {model.format} file; engine {name} opens {', '.join(kind.formats)}"
        )
    if not is_installed(kind.module):
        raise UsageError(f"engine {name} is not installed; run: {kind.install}")
    return kind.open(replace(request, model=model, reason=f"{reason}; {device.reason}"))


def _pick(model: LocatedModel, device: Device) -> tuple[LocatedModel, str, str]:
    """What to open, on which engine, and why."""
    if model.format in ENGINES["torch"].formats:
        return model, "torch", f"it opens {model.format} weights"
    twin = model.entry.torch_twin if model.entry else None
    if twin and device.kind == "cuda" and torch_sees_cuda():
        return find_model(twin), "torch", "frames stay on the GPU"
    if device.kind != "cpu":
        return model, "onnxruntime", "it runs ONNX models"
    model, also = _for_this_processor(model)
    return model, "onnxruntime", f"it runs ONNX models{also}"


def _for_this_processor(model: LocatedModel) -> tuple[LocatedModel, str]:
    """The 8-bit twin where 8 bits are fast, and a clause that says so."""
    twin = model.entry.int8_twin if model.entry else None
    if not twin or not multiplies_bytes():
        return model, ""
    return find_model(twin), "; 8-bit ones are fast on this processor"


def torch_sees_cuda() -> bool:
    """Whether torch is installed and made for the GPU; imports it, for who runs on it anyway."""
    if not is_installed("torch"):
        return False
    from rvm.matting.torch_engine import has_cuda

    return has_cuda()
