"""OpenVINO on the CPU (extra `[openvino]`), for who asks for it; `auto` takes ONNX Runtime.

The Python package reports its import and each model conversion to its maker's web analytics when
`openvino_telemetry` is installed beside it (which its wheel requires). Nothing is sent from here:
that package is hidden while OpenVINO is imported, and OpenVINO then uses its own empty stand-in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from rvm.device import Device, choose_threads
from rvm.errors import DeviceError, ModelError
from rvm.latest import LatestFew
from rvm.matting.contracts import Port
from rvm.matting.graph import GraphEngine, GraphRunner, check_graph, first_line, graph_failed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.matting.contracts import Array
    from rvm.matting.weights import ModelEntry

_TELEMETRY = "openvino_telemetry"
#: Sizes that stay compiled: those that the governor, the people's size and windows move between.
_KEPT_GRAPHS = 8


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Make `import openvino_telemetry` fail for a moment, as if it were not installed."""
    hidden = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_telemetry(name)}
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
        sys.modules.update(hidden)


def _is_telemetry(name: str) -> bool:
    return name.partition(".")[0] == _TELEMETRY


def import_openvino() -> ModuleType:
    """The `openvino` package, imported without its reporting."""
    with _without_telemetry():
        import openvino
    return openvino  # type: ignore[no-any-return]


class OpenVinoRunner(GraphRunner):
    """A graph compiled for each set of input shapes.

    Fixed shapes run up to twice as fast as free ones (measured on the compact model), so the graph
    is compiled anew, in a fifth of a second, when a picture of another size comes; the latest few
    stay. Where the sizes of the states cannot be told from the picture's, because the ratio is an
    input of the graph, they stay free.

    Args:
        data: the whole model, already checked (`check_graph`).
        name: for messages.
        threads: CPU threads.

    Raises:
        ModelError: OpenVINO cannot load the graph.
    """

    device = "cpu"
    provider = "OpenVINO CPU"
    compiles_by_shape = True

    def __init__(self, data: bytes, name: str, threads: int) -> None:
        self._name = name
        self._openvino = import_openvino()
        self._core: Any = self._openvino.Core()
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            # Else it computes in bf16 where the processor can, and mattes differ between machines.
            "INFERENCE_PRECISION_HINT": "f32",
            # Decoder and encoder want the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            self._model: Any = self._core.read_model(data)
        except Exception as error:  # the runtime raises plain RuntimeError and others
            raise graph_failed(name, error) from error
        self.ports = {port.any_name: _port(name, port) for port in self._model.inputs}
        self.output_names = tuple(port.any_name for port in self._model.outputs)
        self._compiled: LatestFew[tuple[tuple[int, ...], ...], _Compiled] = LatestFew(_KEPT_GRAPHS)

    def prepare(
        self,
        feeds: Mapping[str, Array],
        states: Mapping[str, Any],
        wanted: Sequence[str],
        state_outputs: Sequence[str],
    ) -> None:
        """See `GraphRunner.prepare`."""
        with self._translated():
            self._compile_for(feeds, dict(zip(states, state_outputs, strict=True)))

    def run(
        self,
        feeds: Mapping[str, Array],
        states: Mapping[str, Any],
        wanted: Sequence[str],
        state_outputs: Sequence[str],
    ) -> tuple[dict[str, Array], tuple[Any, ...]]:
        """See `GraphRunner.run`."""
        if self._core is None:
            raise ModelError(f"{self._name} was closed")
        with self._translated():
            compiled = self._compile_for(feeds, dict(zip(states, state_outputs, strict=True)))
            sized = {name: compiled.sized(name, state) for name, state in states.items()}
            inputs = {**feeds, **sized}
            results = compiled.request.infer(inputs, share_inputs=True, share_outputs=True)
            arrays = {name: results[name] for name in wanted}
            return arrays, tuple(results[name].copy() for name in state_outputs)

    def is_finite(self, state: Any) -> bool:
        """See `GraphRunner.is_finite`."""
        return bool(np.isfinite(np.sum(state)))

    def to_numpy(self, state: Any) -> Array:
        """See `GraphRunner.to_numpy`."""
        return np.asarray(state)

    def free(self) -> None:
        """See `GraphRunner.free`."""
        self._compiled.clear()

    def close(self) -> None:
        """See `GraphRunner.close`."""
        self.free()
        self._core = self._model = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # the runtime raises plain RuntimeError and others
            raise ModelError(f"{self._name} failed on this frame: {first_line(error)}") from error

    def _compile_for(self, feeds: Mapping[str, Array], states: Mapping[str, str]) -> _Compiled:
        shapes = tuple(array.shape for array in feeds.values())
        known = self._compiled.get(shapes)
        return known or self._compiled.put(shapes, self._compile(feeds, states))

    def _compile(self, feeds: Mapping[str, Array], states: Mapping[str, str]) -> _Compiled:
        model = self._model.clone()
        given = {name: list(array.shape) for name, array in feeds.items()}
        state_shapes = self._shapes_of_states(given, states)
        model.reshape({**given, **{name: list(shape) for name, shape in state_shapes.items()}})
        compiled = self._core.compile_model(model, "CPU", self._options)
        return _Compiled(compiled.create_infer_request(), state_shapes)

    def _shapes_of_states(
        self, given: Mapping[str, list[int]], states: Mapping[str, str]
    ) -> dict[str, tuple[int, ...]]:
        """State input -> shape, for pictures of the `given` shapes; empty where it stays open."""
        if not states or any(None not in self.ports[name].shape for name in states):
            return {}
        model = self._model.clone()
        model.reshape({**given, **{name: [1, 1, 1, 1] for name in states}})
        found = {name: model.output(output).partial_shape for name, output in states.items()}
        if any(shape.is_dynamic for shape in found.values()):
            return {}
        return {name: tuple(shape.to_shape()) for name, shape in found.items()}


@dataclass(frozen=True, slots=True)
class _Compiled:
    """The graph for pictures of one size, and the shapes of its states where they are fixed."""

    request: Any
    state_shapes: Mapping[str, tuple[int, ...]]

    def sized(self, name: str, state: Array) -> Array:
        """The state; the [1, 1, 1, 1] that starts a sequence becomes zeros of full shape."""
        shape = self.state_shapes.get(name, state.shape)
        return state if state.shape == shape else np.broadcast_to(state, shape).copy()


def open_openvino(
    data: bytes,
    *,
    name: str,
    device: Device,
    entry: ModelEntry | None = None,
    ratio: float | None = None,
    threads: int | None = None,
    reason: str = "it was asked for",
) -> GraphEngine:
    """An engine from the bytes of an ONNX file.

    Raises:
        ModelError: the model is unsafe, damaged, or of no known contract.
        DeviceError: any device but the CPU was asked for.
    """
    if device.kind != "cpu":
        raise DeviceError(f"engine openvino runs on the CPU, not on {device.name}")
    _, contract = check_graph(data, name, entry)
    runner = OpenVinoRunner(data, name, choose_threads(threads, light=contract.is_light))
    return GraphEngine(
        runner, name=name, engine="openvino", entry=entry, ratio=ratio, reason=reason
    )


def _port(model: str, port: Any) -> Port:
    names = {"f32": np.float32, "f16": np.float16, "u8": np.uint8}
    kind = port.element_type.get_type_name()
    if kind not in names:
        raise ModelError(f"{model}: input {port.any_name} is of type {kind}, which is not known")
    sizes = (None if size.is_dynamic else size.get_length() for size in port.partial_shape)
    return Port(tuple(sizes), np.dtype(names[kind]))
