"""What the engines that execute an ONNX graph have in common.

A `GraphRunner` executes a graph; a `Contract` knows what the graph wants and means; this engine
puts the two together and keeps the recurrent state out of both.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rvm.errors import ModelError
from rvm.gpu.memory import StepDown
from rvm.matting.base import Engine, EngineInfo
from rvm.matting.contracts import choose_contract
from rvm.matting.look import Look
from rvm.matting.onnx_file import OnnxOutline, read_outline
from rvm.matting.state import RecurrentState, tensors_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import Frame, Matte
    from rvm.matting.base import State
    from rvm.matting.contracts import Array, Contract, Ports
    from rvm.matting.reuse import Coefficients
    from rvm.matting.weights import ModelEntry

logger = logging.getLogger(__name__)


class GraphRunner(ABC):
    """One compiled graph."""

    #: Inputs without initialisers, in the graph's order.
    ports: Ports
    #: Names of the outputs, in the graph's order.
    output_names: tuple[str, ...]
    #: Where and how it runs, for `EngineInfo`.
    device: str
    provider: str
    #: The graph is compiled for the shapes of its inputs once they are known.
    compiles_by_shape = False
    #: A new size of picture costs a few frames' time at most, not the seconds of a compiler.
    resizes_quickly = True

    def prepare(
        self,
        feeds: Mapping[str, Array],
        states: Mapping[str, Any],
        wanted: Sequence[str],
        state_outputs: Sequence[str],
    ) -> None:
        """Compile for inputs of these shapes, where the first run would have to do it.

        Args:
            feeds, states, wanted, state_outputs: as for `run`.

        Raises:
            ModelError: the graph refuses these inputs.
        """

    @abstractmethod
    def run(
        self,
        feeds: Mapping[str, Array],
        states: Mapping[str, Any],
        wanted: Sequence[str],
        state_outputs: Sequence[str],
    ) -> tuple[dict[str, Array], tuple[Any, ...]]:
        """Execute once.

        Args:
            feeds: the inputs but the states.
            states: the state inputs: numpy zeros at first, then what an earlier run returned.
            wanted: outputs to return as numpy arrays, valid until the next run.
            state_outputs: outputs to return as new states, which no later run changes.

        Raises:
            ModelError: the graph refused these inputs.
            DeviceError: the device failed.
        """

    @abstractmethod
    def is_finite(self, state: Any) -> bool:
        """True if a state holds only finite numbers (or lies where looking would cost more)."""

    @abstractmethod
    def to_numpy(self, state: Any) -> Array:
        """A state as an array in main memory."""

    def free(self) -> None:
        """Give back what is kept only for speed; the next run makes it again."""

    @abstractmethod
    def close(self) -> None:
        """Free the graph. Idempotent."""


class GraphEngine(Engine):
    """An ONNX model on some runtime.

    Args:
        runner: the compiled graph.
        name: the model's name, for messages and reports.
        engine: registry name of this engine.
        entry: the model's manifest entry, if any.
        ratio: the user's downsample ratio, or None.
        reason: why this engine was chosen.
    """

    def __init__(
        self,
        runner: GraphRunner,
        *,
        name: str,
        engine: str,
        entry: ModelEntry | None = None,
        ratio: float | None = None,
        reason: str = "it was asked for",
    ) -> None:
        self._runner = runner
        kind = choose_contract(entry, tuple(runner.ports), runner.output_names, name)
        self.contract: Contract = kind(runner.ports, runner.output_names, ratio, entry)
        self.info = EngineInfo(
            name, engine, runner.device, runner.provider, self._precision(entry), reason
        )
        self.scales = self.contract.scales
        self.first_looks = self.contract.first_looks
        self._focus = self.contract.focus if runner.resizes_quickly else None
        self._scale = self.scales[0]
        self._memory = StepDown(runner.device, self.scales)
        self._warned = False
        self._look = Look(self, self.contract, runner)

    def prepare(self, frame: Frame) -> None:
        """See `Engine.prepare`."""
        if not self._runner.compiles_by_shape:
            return
        contract = self.contract
        contract.scale = self._scale
        contract.hurried = self._scale < self.scales[0]
        states = {name: contract.fresh_state(name) for name in contract.state_inputs}
        self._runner.prepare(
            contract.feeds(frame), states, contract.outputs, contract.state_outputs
        )

    def step(self, frame: Frame, state: State | None) -> tuple[Matte, State]:
        """See `Engine.step`. Where memory is short, the network's picture gets smaller."""
        return self._memory.run(
            lambda scale: self._step(frame, state, scale), self._runner.free, self._scale
        )

    def _step(self, frame: Frame, state: State | None, scale: float) -> tuple[Matte, State]:
        tensors_for(self, frame, state)  # refuses a state that is not this stream's
        # Where memory is short, the usual picture is too large already.
        focus = None if self._memory.is_short else self._focus
        self.contract.hurried = scale < self.scales[0]
        matte, after = self._look.step(frame, state, scale, focus)
        if after is None:
            self._warn_not_finite()
        return matte, after

    def rescale(self, scale: float) -> None:
        """See `Engine.rescale`."""
        super().rescale(scale)
        self._scale = scale

    def coefficients(self, state: State | None) -> Coefficients | None:
        """See `Engine.coefficients`."""
        return state.coefficients if isinstance(state, RecurrentState) else None

    def close(self) -> None:
        """See `Engine.close`."""
        self._runner.close()

    def _precision(self, entry: ModelEntry | None) -> str:
        if entry is not None:
            return entry.precision
        port = next(iter(self._runner.ports.values()))
        return "fp16" if port.dtype == np.float16 else "fp32"

    def _warn_not_finite(self) -> None:
        if not self._warned:
            logger.warning(
                "%s returned values that are no numbers; its memory is reset", self.info.model
            )
            self._warned = True


def check_graph(
    data: bytes, name: str, entry: ModelEntry | None
) -> tuple[OnnxOutline, type[Contract]]:
    """Refuse, before any runtime parses it, a graph that is unsafe or of no known contract.

    Raises:
        ModelError: see `read_outline` and `choose_contract`.
    """
    outline = read_outline(data, name)
    return outline, choose_contract(entry, outline.inputs, outline.outputs, name)


def first_line(error: Exception) -> str:
    """The first line of a runtime's message, which may run to a page."""
    text = str(error).strip().partition("\n")[0]
    return (text or type(error).__name__)[:300]


def graph_failed(name: str, error: Exception) -> ModelError:
    """The error for a graph that a runtime could not load."""
    return ModelError(f"{name} cannot be loaded: {first_line(error)}")
