"""An ONNX graph for one layout: every shape fixed, every buffer where it was the frame before.

Fixed shapes let ONNX Runtime fold away what computes shapes, and let TensorRT compile once. Fixed
addresses let CUDA capture the whole graph, which is then one launch instead of some hundred. So
inputs and outputs are allocated once on the device, and the recurrent states lie in a few sets of
buffers: a run reads one set and writes another that nobody holds any more. For each pair of sets
ONNX Runtime captures a graph of its own (run option `gpu_graph_id`), and a step stays a function
of frame and state: a state that somebody keeps is never written over.
"""

from __future__ import annotations

import contextlib
import weakref
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from rvm.gpu import capturing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.matting.contracts import Array, Ports

Shape = tuple[int, ...]
#: Sets of states that graphs are captured for; a stream needs two.
_CAPTURED_SETS = 4
_NO_CAPTURE = "-1"
#: Runs of a pair of sets after which its graph is there; ONNX Runtime needs two or three.
_CAPTURED_BY = 4


@dataclass(frozen=True, slots=True)
class Layout:
    """The shapes that a session is made for.

    Attributes:
        feeds: of the inputs but the states, by name.
        outputs: of the wanted outputs, by name.
        states: of the states, in the contract's order; they go in as they come out.
    """

    feeds: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    states: tuple[Shape, ...]


class _Lease:
    """Alive as long as somebody holds a state of a set."""

    __slots__ = ("__weakref__",)


@dataclass(frozen=True, slots=True, eq=False)
class HeldState:
    """One recurrent tensor on the device."""

    value: Any
    home: _StateSet
    lease: _Lease

    @property
    def shape(self) -> Shape:
        """Its shape."""
        return tuple(self.value.shape())

    def numpy(self) -> Array:
        """Its values; a copy unless it lies in main memory."""
        return np.asarray(self.value.numpy())


class _StateSet:
    """Buffers for all states of one moment.

    Args:
        number: from 0 for those that graphs are captured for; None for others.
    """

    def __init__(self, values: tuple[Any, ...], number: int | None) -> None:
        self.values = values
        self.number = number
        self._lease: weakref.ref[_Lease] | None = None

    @property
    def is_free(self) -> bool:
        return self._lease is None or self._lease() is None

    def handed_out(self) -> tuple[HeldState, ...]:
        lease = _Lease()
        self._lease = weakref.ref(lease)
        return tuple(HeldState(value, self, lease) for value in self.values)


class StaticGraph:
    """A session with its buffers.

    Args:
        session: opened with all shapes of `layout` fixed.
        layout: the shapes.
        dtypes: of all inputs and outputs, by name.
        home: device type and index where the buffers lie: ("cuda", 0).
        capture: the session captures graphs.
    """

    def __init__(
        self, session: Any, layout: Layout, dtypes: Mapping[str, np.dtype[Any]],
        home: tuple[str, int], *, capture: bool,
    ) -> None:  # fmt: skip
        self._session = session
        self._layout = layout
        self._dtypes = dtypes
        self._home = home
        self._capture = capture
        self._inputs = {name: self._buffer(name, shape) for name, shape in layout.feeds.items()}
        self._outputs = {name: self._buffer(name, shape) for name, shape in layout.outputs.items()}
        self._sets: list[_StateSet] = []
        self._bindings: dict[tuple[int, int], tuple[Any, Any]] = {}
        self._runs: Counter[tuple[int | None, int | None]] = Counter()

    def run(
        self,
        feeds: Mapping[str, Array],
        states: Mapping[str, Any],
        state_outputs: Sequence[str],
        execute: Callable[[Any, Any, Any], None],
    ) -> tuple[dict[str, Array], tuple[HeldState, ...]]:
        """One step; see `GraphRunner.run`.

        Args:
            execute: runs a session on a binding with run options, and words its errors.
        """
        for name, array in feeds.items():
            self._inputs[name].update_inplace(array)
        before = self._set_of(states)
        after = self._free_set(tuple(states), but=before)
        pair = (before.number, after.number)
        self._runs[pair] += 1
        may_capture = self._capture and self._runs[pair] <= _CAPTURED_BY
        with capturing.LOCK if may_capture else contextlib.nullcontext():
            execute(self._session, *self._binding(states, state_outputs, before, after))
        return {n: value.numpy() for n, value in self._outputs.items()}, after.handed_out()

    def _set_of(self, states: Mapping[str, Any]) -> _StateSet:
        """The set that holds these states; a free one that they are copied into if none does."""
        first = next(iter(states.values()), None)
        if isinstance(first, HeldState) and any(first.home is each for each in self._sets):
            return first.home
        copied = self._free_set(tuple(states))
        for value, state, shape in zip(
            copied.values, states.values(), self._layout.states, strict=True
        ):
            array = state if isinstance(state, np.ndarray) else state.numpy()
            # The zeros that start a sequence may be of any shape; what is fixed here has one.
            value.update_inplace(np.ascontiguousarray(np.broadcast_to(array, shape)))
        return copied

    def _free_set(self, names: tuple[str, ...], but: _StateSet | None = None) -> _StateSet:
        for each in self._sets:
            if each.is_free and each is not but:
                return each
        number = len(self._sets) if len(self._sets) < _CAPTURED_SETS else None
        values = tuple(
            self._buffer(name, shape)
            for name, shape in zip(names, self._layout.states, strict=True)
        )
        made = _StateSet(values, number)
        if number is not None:
            self._sets.append(made)
        return made

    def _binding(
        self, states: Mapping[str, Any], state_outputs: Sequence[str], before: _StateSet,
        after: _StateSet,
    ) -> tuple[Any, Any]:  # fmt: skip
        """What to run for a pair of sets: kept, since a captured graph is of these buffers."""
        if before.number is None or after.number is None:
            return self._bind(states, state_outputs, before, after, _NO_CAPTURE)
        pair = (before.number, after.number)
        if pair not in self._bindings:
            number = 1 + before.number * _CAPTURED_SETS + after.number  # 0 is ONNX Runtime's own
            self._bindings[pair] = self._bind(states, state_outputs, before, after, str(number))
        return self._bindings[pair]

    def _bind(
        self, states: Mapping[str, Any], state_outputs: Sequence[str], before: _StateSet,
        after: _StateSet, graph: str,
    ) -> tuple[Any, Any]:  # fmt: skip
        binding = self._session.io_binding()
        for name, value in (*self._inputs.items(), *zip(states, before.values, strict=True)):
            binding.bind_ortvalue_input(name, value)
        outputs = (*self._outputs.items(), *zip(state_outputs, after.values, strict=True))
        for name, value in outputs:
            binding.bind_ortvalue_output(name, value)
        options = None
        if self._capture:
            options = ort.RunOptions()
            options.add_run_config_entry("gpu_graph_id", graph)
        return binding, options

    def _buffer(self, name: str, shape: Shape) -> Any:
        return ort.OrtValue.ortvalue_from_shape_and_type(
            list(shape), self._dtypes[name], *self._home
        )


def layout_of(
    probe: Any, feeds: Mapping[str, Array], states: Mapping[str, Any], wanted: Sequence[str],
    state_outputs: Sequence[str],
) -> Layout:  # fmt: skip
    """All shapes that follow from the inputs', found by running the graph once.

    Args:
        probe: a session on the CPU that leaves shapes free.
        feeds, states, wanted, state_outputs: as for `GraphRunner.run`.
    """
    arrays = {n: s if isinstance(s, np.ndarray) else s.numpy() for n, s in states.items()}
    found = probe.run([*wanted, *state_outputs], {**feeds, **arrays})
    shapes = [tuple(array.shape) for array in found]
    return Layout(
        {name: tuple(array.shape) for name, array in feeds.items()},
        dict(zip(wanted, shapes, strict=False)),
        tuple(shapes[len(wanted) :]),
    )


def fixed_dimensions(
    ports: Ports, symbols: Mapping[str, Sequence[Any]], layout: Layout, states: Sequence[str]
) -> dict[str, int] | None:
    """The size of every symbolic dimension of the inputs.

    Args:
        ports: the inputs.
        symbols: for each input its dimensions: a number, a name, or None.
        layout: the shapes wanted.
        states: names of the state inputs.

    Returns:
        size by name; None where a free dimension has no name, or one name two sizes.
    """
    shapes = {**layout.feeds, **dict(zip(states, layout.states, strict=True))}
    sizes: dict[str, int] = {}
    for name in ports:
        for symbol, size in zip(symbols[name], shapes[name], strict=True):
            if isinstance(symbol, int) and symbol == size:
                continue
            if not isinstance(symbol, str) or sizes.setdefault(symbol, size) != size:
                return None
    return sizes
