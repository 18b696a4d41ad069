"""ONNX Runtime: CPU everywhere, CUDA and TensorRT with an NVIDIA GPU, CoreML on a Mac."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from rvm.device import Device, choose_threads
from rvm.errors import DeviceError, ModelError, RvmError
from rvm.gpu.memory import is_out_of_memory
from rvm.latest import LatestFew
from rvm.matting.contracts import Port
from rvm.matting.graph import GraphEngine, GraphRunner, check_graph, first_line, graph_failed
from rvm.matting.onnxruntime_providers import captures_rightly, providers_for
from rvm.matting.onnxruntime_static import (
    Layout,
    StaticGraph,
    fixed_dimensions,
    layout_of,
)

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
#: Sizes whose sessions are kept: those that the governor and the people's size move between.
_KEPT_GRAPHS = 8
_ERRORS_ONLY = 3
_NOTHING = 4


class OnnxRuntimeRunner(GraphRunner):
    """A graph in ONNX Runtime.

    One session takes any size. On a GPU, and for light models on the CPU, every size gets one more
    of its own with fixed shapes (`onnxruntime_static`): on the CPU that is a tenth faster, as sums
    become part of convolutions once their shapes are known to agree, and takes 50 ms; on a GPU it
    is captured as a CUDA graph where ONNX Runtime can. Not for models whose ratio is an input.

    Args:
        data: the whole model, already checked (`check_graph`).
        name: for messages.
        device: where to run.
        threads: threads on the CPU.
        tensorrt: put TensorRT before CUDA (it compiles the graph at the first frame of a size).
        static: fix shapes; None means on a GPU only.
        capture: let CUDA capture what has fixed shapes; TensorRT never does (`providers_for`).

    Raises:
        ModelError: ONNX Runtime cannot load the graph.
        DeviceError: it cannot use the device.
    """

    def __init__(
        self,
        data: bytes,
        name: str,
        device: Device,
        threads: int,
        tensorrt: bool = False,
        *,
        static: bool | None = None,
        capture: bool = True,
    ) -> None:
        self._name = name
        self._data = data
        self._threads = threads
        self._device = device
        self._tensorrt = tensorrt
        self.resizes_quickly = not tensorrt
        self._session = _open(data, name, providers_for(device, tensorrt), threads)
        self.provider = self._session.get_providers()[0]
        if tensorrt and self.provider != "TensorrtExecutionProvider":
            raise DeviceError(
                "ONNX Runtime could not load TensorRT 10; pip install 'tensorrt-cu13<11', or use "
                "--engine onnxruntime"
            )
        if device.kind == "cuda" and self.provider == "CPUExecutionProvider":
            raise DeviceError(
                "ONNX Runtime found the GPU but not its CUDA libraries; install "
                "onnxruntime-gpu[cuda,cudnn], or use --device cpu"
            )
        self.device = "cpu" if self.provider == "CPUExecutionProvider" else device.name
        # Where states stay between frames.
        self._home = ("cuda", device.index) if device.kind == "cuda" else ("cpu", 0)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.ports = {i.name: _port(name, i) for i in inputs}
        self.output_names = tuple(o.name for o in outputs)
        self._symbols = {i.name: tuple(i.shape) for i in inputs}
        self._dtypes = {a.name: _DTYPES[a.type] for a in (*inputs, *outputs) if a.type in _DTYPES}
        wanted = device.kind == "cuda" if static is None else static
        self.compiles_by_shape = wanted and "downsample_ratio" not in self.ports
        wants_capture = capture and device.kind == "cuda" and not tensorrt
        self._capture = wants_capture and captures_rightly()
        self._graphs: LatestFew[tuple[Any, ...], StaticGraph] = LatestFew(_KEPT_GRAPHS)
        self._buffers: dict[str, Array] = {}
        self._shapes: tuple[tuple[int, ...], ...] = ()

    def prepare(
        self,
        feeds: Mapping[str, Array],
        states: Mapping[str, Any],
        wanted: Sequence[str],
        state_outputs: Sequence[str],
    ) -> None:
        """See `GraphRunner.prepare`."""
        if self.compiles_by_shape:
            self._graph_for(feeds, states, wanted, state_outputs)

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
        if self.compiles_by_shape:
            fixed = self._run_static(feeds, states, wanted, state_outputs)
            if fixed is not None:
                return fixed
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
                binding.bind_ortvalue_input(name, getattr(state, "value", state))
        for name in wanted:
            self._bind_output(binding, name)
        for name in state_outputs:
            binding.bind_output(name, *self._home)
        self._execute(self._session, binding, None)
        results = binding.get_outputs()
        arrays = dict(zip(wanted, results, strict=False))
        return self._collect(arrays), tuple(results[len(wanted) :])

    def is_finite(self, state: Any) -> bool:
        """See `GraphRunner.is_finite`; states on a GPU are not fetched to be looked at."""
        return self._home[0] != "cpu" or bool(np.isfinite(np.sum(state.numpy())))

    def to_numpy(self, state: Any) -> Array:
        """See `GraphRunner.to_numpy`."""
        return np.asarray(state if isinstance(state, np.ndarray) else state.numpy())

    def free(self) -> None:
        """See `GraphRunner.free`."""
        self._graphs.clear()
        self._buffers, self._shapes = {}, ()

    def close(self) -> None:
        """See `GraphRunner.close`."""
        self._session = None
        self._buffers = {}
        self._graphs.clear()

    def _run_static(
        self,
        feeds: Mapping[str, Array],
        states: Mapping[str, Any],
        wanted: Sequence[str],
        state_outputs: Sequence[str],
    ) -> tuple[dict[str, Array], tuple[Any, ...]] | None:
        """With fixed shapes; None where the model cannot have them."""
        graph = self._graph_for(feeds, states, wanted, state_outputs)
        if graph is None:
            return None
        try:
            return graph.run(feeds, states, state_outputs, self._execute)
        except (ModelError, DeviceError) as error:  # a capture that fails may name want of memory
            if not self._capture:
                raise
            self._stop_capturing(error)
        return self._run_static(feeds, states, wanted, state_outputs)

    def _graph_for(
        self,
        feeds: Mapping[str, Array],
        states: Mapping[str, Any],
        wanted: Sequence[str],
        state_outputs: Sequence[str],
    ) -> StaticGraph | None:
        """The one for these shapes; None, and never again, where the model cannot have one."""
        key = tuple(array.shape for array in feeds.values())
        known = self._graphs.get(key)
        if known is not None:
            return known
        graph = self._make_graph(feeds, states, wanted, state_outputs)
        if graph is None:
            self.compiles_by_shape = False
            return None
        return self._graphs.put(key, graph)

    def _make_graph(
        self,
        feeds: Mapping[str, Array],
        states: Mapping[str, Any],
        wanted: Sequence[str],
        state_outputs: Sequence[str],
    ) -> StaticGraph | None:
        if any(name not in self._dtypes for name in (*wanted, *state_outputs)):
            return None
        probe = self._session
        if self.device != "cpu":
            probe = _open(self._data, self._name, ["CPUExecutionProvider"], self._threads)
        layout = layout_of(probe, feeds, states, wanted, state_outputs)
        sizes = fixed_dimensions(self.ports, self._symbols, layout, tuple(states))
        if sizes is None:
            return None
        try:
            return self._static_graph(layout, sizes)
        except ModelError as error:
            if not self._capture:
                raise
            self._stop_capturing(error)
        return self._static_graph(layout, sizes)

    def _static_graph(self, layout: Layout, sizes: Mapping[str, int]) -> StaticGraph:
        providers = providers_for(self._device, self._tensorrt, capture=self._capture)
        session = _open(self._data, self._name, providers, self._threads, sizes)
        return StaticGraph(session, layout, self._dtypes, self._home, capture=self._capture)

    def _stop_capturing(self, error: RvmError) -> None:
        logger.info("no CUDA graph is used: %s", error)
        self._capture = False
        self._graphs.clear()

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

    def _execute(self, session: Any, binding: Any, options: Any) -> None:
        """Run what is bound.

        Raises:
            DeviceError: the device failed; out of memory is a `RuntimeError` among its causes.
            ModelError: anything else.
        """
        try:
            session.run_with_iobinding(binding, options)
        except Exception as error:  # the runtime's own classes are not public
            text = first_line(error)
            # They derive from Exception alone; who looks for want of memory knows RuntimeError.
            cause = RuntimeError(str(error))
            if is_out_of_memory(cause):
                raise DeviceError(f"{self.provider} failed: {text}") from cause
            if "CUDA" in text and not self._capture:
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
    outline, contract = check_graph(data, name, entry)
    if tensorrt and "downsample_ratio" in outline.inputs:
        raise ModelError(
            f"TensorRT cannot take {name}, whose ratio is an input; make one of fixed size with "
            "tools/export.py"
        )
    count = choose_threads(threads, light=contract.is_light)
    static = True if contract.is_light and device.kind == "cpu" else None
    runner = OnnxRuntimeRunner(data, name, device, count, tensorrt, static=static)
    engine = "tensorrt" if tensorrt else "onnxruntime"
    return GraphEngine(runner, name=name, engine=engine, entry=entry, ratio=ratio, reason=reason)


def _open(
    data: bytes,
    name: str,
    providers: list[Any],
    threads: int,
    sizes: Mapping[str, int] | None = None,
) -> Any:
    """A session; `sizes` fixes symbolic dimensions by name."""
    options = ort.SessionOptions()
    for dimension, size in (sizes or {}).items():
        options.add_free_dimension_override_by_name(dimension, size)
    # Its warnings are about the model's author or a missing GPU; what matters is raised.
    options.log_severity_level = _NOTHING if len(providers) > 1 else _ERRORS_ONLY
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Between two frames the threads must leave the cores to decoder and encoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        # Without a second try of its own, which would forget the options, the device among them.
        return ort.InferenceSession(data, options, providers=providers, enable_fallback=0)
    except Exception as error:  # the runtime's own classes are not public
        raise graph_failed(name, error) from error


def _port(model: str, argument: Any) -> Port:
    dtype = _DTYPES.get(argument.type)
    if dtype is None:
        raise ModelError(f"{model}: input {argument.name} is a {argument.type}, which is not known")
    shape = tuple(size if isinstance(size, int) and size > 0 else None for size in argument.shape)
    return Port(shape, dtype)
