"""ONNX Runtime: CPU everywhere, CUDA and TensorRT with an NVIDIA GPU, CoreML on a Mac."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from rvm.device import Device, choose_threads
from rvm.errors import DeviceError, ModelError
from rvm.matting.contracts import Port
from rvm.matting.graph import GraphEngine, GraphRunner, check_graph, first_line, graph_failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.matting.contracts import Array
    from rvm.matting.weights import ModelEntry

logger = logging.getLogger(__name__)

_DTYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
    "tensor(uint8)": np.dtype(np.uint8),
}
_ERRORS_ONLY = 3
_NOTHING = 4


class OnnxRuntimeRunner(GraphRunner):
    """A graph in one ONNX Runtime session.

    Args:
        data: the whole model, already checked (`check_graph`).
        name: for messages.
        device: where to run.
        threads: threads on the CPU.
        tensorrt: put TensorRT before CUDA (it compiles the graph at the first frame of a size).

    Raises:
        ModelError: ONNX Runtime cannot load the graph.
        DeviceError: it cannot use the device.
    """

    def __init__(
        self, data: bytes, name: str, device: Device, threads: int, tensorrt: bool = False
    ) -> None:
        self._name = name
        providers = _providers(device, tensorrt)
        self._session = _open(data, name, providers, threads)
        self.provider = self._session.get_providers()[0]
        if device.kind == "cuda" and self.provider == "CPUExecutionProvider":
            raise DeviceError(
                "ONNX Runtime found the GPU but not its CUDA libraries; install "
                "onnxruntime-gpu[cuda,cudnn], or use --device cpu"
            )
        self.device = "cpu" if self.provider == "CPUExecutionProvider" else device.name
        # Where states stay between frames.
        self._home = ("cuda", device.index) if device.kind == "cuda" else ("cpu", 0)
        self.ports = {i.name: _port(name, i) for i in self._session.get_inputs()}
        self.output_names = tuple(o.name for o in self._session.get_outputs())
        self._buffers: dict[str, Array] = {}
        self._shapes: tuple[tuple[int, ...], ...] = ()

    def run(
        self,
        feeds: Mapping[str, Array],
        states: Mapping[str, Any],
        wanted: Sequence[str],
        state_outputs: Sequence[str],
    ) -> tuple[dict[str, Array], tuple[Any, ...]]:
        """See `GraphRunner.run`."""
        if self._session is None:
            raise ModelError(f"{self._name} was closed")
        shapes = tuple(array.shape for array in feeds.values())
        if shapes != self._shapes:
            self._buffers, self._shapes = {}, shapes
        binding = self._session.io_binding()
        for name, array in feeds.items():
            binding.bind_cpu_input(name, array)
        for name, state in states.items():
            if isinstance(state, np.ndarray):
                binding.bind_cpu_input(name, state)
            else:
                binding.bind_ortvalue_input(name, state)
        for name in wanted:
            self._bind_output(binding, name)
        for name in state_outputs:
            binding.bind_output(name, *self._home)
        self._run(binding)
        results = binding.get_outputs()
        arrays = dict(zip(wanted, results, strict=False))
        return self._collect(arrays), tuple(results[len(wanted) :])

    def is_finite(self, state: Any) -> bool:
        """See `GraphRunner.is_finite`; states on a GPU are not fetched to be looked at."""
        return self._home[0] != "cpu" or bool(np.isfinite(np.sum(state.numpy())))

    def to_numpy(self, state: Any) -> Array:
        """See `GraphRunner.to_numpy`."""
        return np.asarray(state if isinstance(state, np.ndarray) else state.numpy())

    def close(self) -> None:
        """See `GraphRunner.close`."""
        self._session = None
        self._buffers = {}

    def _bind_output(self, binding: Any, name: str) -> None:
        buffer = self._buffers.get(name)
        if buffer is None:
            binding.bind_output(name, "cpu")
        else:
            binding.bind_output(
                name, "cpu", 0, buffer.dtype, buffer.shape, buffer.__array_interface__["data"][0]
            )

    def _collect(self, values: Mapping[str, Any]) -> dict[str, Array]:
        """Outputs as arrays: the first run of a size tells the shapes, later ones reuse memory."""
        for name, value in values.items():
            if name not in self._buffers:
                self._buffers[name] = np.array(value.numpy(), order="C")
        return {name: self._buffers[name] for name in values}

    def _run(self, binding: Any) -> None:
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # the runtime's own classes are not public
            text = first_line(error)
            if "memory" in text.lower() or "CUDA" in text:
                raise DeviceError(f"{self.provider} failed: {text}") from error
            raise ModelError(f"{self._name} failed on this frame: {text}") from error


def open_onnxruntime(
    data: bytes,
    *,
    name: str,
    device: Device,
    entry: ModelEntry | None = None,
    ratio: float | None = None,
    threads: int | None = None,
    tensorrt: bool = False,
    reason: str = "it was asked for",
) -> GraphEngine:
    """An engine from the bytes of an ONNX file.

    Raises:
        ModelError: the model is unsafe, damaged, or of no known contract.
        DeviceError: ONNX Runtime cannot use the device.
    """
    outline = check_graph(data, name, entry)
    if tensorrt and "downsample_ratio" in outline.inputs:
        raise ModelError(
            f"TensorRT cannot take {name}, whose ratio is an input; make one of fixed size with "
            "tools/export.py"
        )
    runner = OnnxRuntimeRunner(data, name, device, choose_threads(threads), tensorrt)
    engine = "tensorrt" if tensorrt else "onnxruntime"
    return GraphEngine(runner, name=name, engine=engine, entry=entry, ratio=ratio, reason=reason)


def available_providers() -> tuple[str, ...]:
    """Execution providers that this build of ONNX Runtime was made with."""
    return tuple(ort.get_available_providers())


def _providers(device: Device, tensorrt: bool) -> list[Any]:
    built = available_providers()
    chosen: list[Any] = []
    if device.kind == "cuda":
        if "CUDAExecutionProvider" not in built:
            raise DeviceError("this ONNX Runtime has no CUDA; install onnxruntime-gpu")
        _preload_cuda()
        if tensorrt:
            chosen.append(("TensorrtExecutionProvider", _tensorrt_options(device, built)))
        # HEURISTIC: the exhaustive search for convolutions runs anew for every size, and the
        # default algorithm was measured up to 50 times slower (onnxruntime issue 10303).
        options = {"device_id": device.index, "cudnn_conv_algo_search": "HEURISTIC"}
        chosen.append(("CUDAExecutionProvider", options))
    elif device.kind == "mps" and "CoreMLExecutionProvider" in built:
        chosen.append("CoreMLExecutionProvider")
    chosen.append("CPUExecutionProvider")
    return chosen


def _tensorrt_options(device: Device, built: Sequence[str]) -> dict[str, Any]:
    if "TensorrtExecutionProvider" not in built:
        raise DeviceError("this ONNX Runtime has no TensorRT; use --engine onnxruntime")
    from rvm.matting.weights import download_dir

    cache = download_dir() / "tensorrt"
    cache.mkdir(parents=True, exist_ok=True)
    return {
        "device_id": device.index,
        "trt_fp16_enable": True,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(cache),
    }


def _preload_cuda() -> None:
    """Let ONNX Runtime find the CUDA libraries that pip installed."""
    preload = getattr(ort, "preload_dlls", None)
    if preload is not None:
        preload()


def _open(data: bytes, name: str, providers: list[Any], threads: int) -> Any:
    options = ort.SessionOptions()
    # Its warnings are about the model's author or a missing GPU; what matters is raised.
    options.log_severity_level = _NOTHING if len(providers) > 1 else _ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Between two frames the threads must leave the cores to decoder and encoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(data, options, providers=providers)
    except Exception as error:  # the runtime's own classes are not public
        raise graph_failed(name, error) from error


def _port(model: str, argument: Any) -> Port:
    dtype = _DTYPES.get(argument.type)
    if dtype is None:
        raise ModelError(f"{model}: input {argument.name} is a {argument.type}, which is not known")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in argument.shape)
    return Port(shape, dtype)
