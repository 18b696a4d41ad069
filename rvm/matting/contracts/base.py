"""What a contract is: the words in which an engine and a kind of model talk."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from rvm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import Frame, Matte
    from rvm.matting.focus import FocusRule
    from rvm.matting.reuse import Coefficients
    from rvm.matting.weights import ModelEntry

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Port:
    """One input of a graph: its shape (None where it is free) and numpy dtype."""

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


Ports = Mapping[str, Port]


class Contract(ABC):
    """Feeds one loaded model.

    Args:
        ports: inputs of the graph.
        outputs: names of its outputs.
        ratio: the user's downsample ratio, or None for automatic.
        entry: the manifest's entry of the model, if there is one.
    """

    name: ClassVar[str]
    #: The graph sees a small picture only, however large the frame is.
    is_light: ClassVar[bool] = False
    #: Names of the recurrent inputs and outputs, in one order.
    state_inputs: tuple[str, ...] = ()
    state_outputs: tuple[str, ...] = ()
    #: The other outputs that are needed.
    outputs: tuple[str, ...] = ()
    #: See `Engine.scales`; `scale` is the one in use.
    scales: tuple[float, ...] = (1.0,)
    scale: float = 1.0
    #: A smaller picture than the best one was asked for, for want of time or memory.
    hurried: bool = False
    #: See `Engine.first_looks`.
    first_looks: ClassVar[int] = 1
    #: How the picture's size follows the people in it, where it may.
    focus: FocusRule | None = None

    def __init__(
        self,
        ports: Ports,
        outputs: Sequence[str],
        ratio: float | None = None,
        entry: ModelEntry | None = None,
    ) -> None:
        if ratio is not None and not 0 < ratio <= 1:
            raise UsageError(f"downsample_ratio must be over 0 and at most 1, got {ratio}")
        self.ports = ports
        self.ratio = ratio
        self.entry = entry

    @classmethod
    @abstractmethod
    def fits(cls, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
        """True if a graph with these names follows this contract."""

    @abstractmethod
    def feeds(self, frame: Frame) -> dict[str, Array]:
        """Every input but the states; the arrays are valid until the next call."""

    def seen_size(self, frame: Frame) -> tuple[int, int] | None:
        """(width, height) of the network's picture where `scale` changes it, else None."""
        return None

    def looks_at(self, seen: tuple[int, int] | None) -> int:
        """Pictures in a batch where the network's picture is (width, height) `seen`: 1, or 2
        where it is looked at mirrored, too (`rvm.matting.mirror`)."""
        return 1

    def interpret(
        self, frame: Frame, feeds: Mapping[str, Array], outputs: Mapping[str, Array]
    ) -> tuple[Matte, Coefficients | None]:
        """The matte, and what it was made from where the model gives that."""
        return self.matte(frame, feeds, outputs), None

    @abstractmethod
    def matte(
        self, frame: Frame, feeds: Mapping[str, Array], outputs: Mapping[str, Array]
    ) -> Matte:
        """The matte, from the outputs; nothing in it refers to the arrays given."""

    def fresh_state(self, name: str) -> Array:
        """Zeros that start a sequence: of the declared shape, or [1, 1, 1, 1] where it is free."""
        port = self.ports[name]
        free = any(size is None for size in port.shape)
        shape = (1,) * len(port.shape) if free else tuple(size or 1 for size in port.shape)
        return np.zeros(shape, port.dtype)
