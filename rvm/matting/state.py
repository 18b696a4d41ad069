"""What an engine remembers between two frames, as an explicit value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rvm.errors import ModelError
from rvm.matting.focus import USUAL, Gaze
from rvm.matting.window import Window, whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import Frame
    from rvm.matting.reuse import Coefficients
    from rvm.matting.surroundings import Surroundings


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What the network remembers of one window of the frames.

    Attributes:
        window: the window.
        tensors: the recurrent tensors, in the order of the model's contract.
        seen: (width, height) of the network's picture, where that can change.
    """

    window: Window
    tensors: tuple[Any, ...]
    seen: tuple[int, int] | None

    @property
    def pictures(self) -> int:
        """How many pictures of a batch it is of; 1 where nothing is remembered."""
        return int(_shape(self.tensors[0])[0]) if self.tensors else 1


@dataclass(frozen=True, slots=True, eq=False)
class RecurrentState:
    """The memory after a frame; engines never write into one they got.

    Attributes:
        owner: the engine that made it; no other can read it.
        size: (width, height) of the frames it belongs to.
        tensors: the recurrent tensors, in the order of the model's contract.
        seen: (width, height) of the network's picture, where that can change.
        coefficients: what the frame's matte was made from, where the model gives that.
        gaze: how the next frame is looked at (see `rvm.matting.focus`).
        window: the part of the frame that the tensors are about; None is all of it.
        around: what was remembered of all of it when that was last looked at, if it is not now.
        surroundings: what is known of what lies outside of the window, where there is one.
        looks: steps since the stream began.
        glances: of the latest mattes, what each covers, as `rvm.gpu.readback.Reading`; `gaze` does
            not know of them yet.
    """

    owner: object
    size: tuple[int, int]
    tensors: tuple[Any, ...]
    seen: tuple[int, int] | None = None
    coefficients: Coefficients | None = None
    gaze: Gaze = USUAL
    window: Window | None = None
    around: Memory | None = None
    surroundings: Surroundings | None = None
    looks: int = 0
    glances: tuple[Any, ...] = ()

    @property
    def memory(self) -> Memory:
        """The tensors and what they are about."""
        return Memory(self.window or whole(self.size), self.tensors, self.seen)

    def __repr__(self) -> str:
        shapes = " ".join("x".join(map(str, _shape(tensor))) for tensor in self.tensors)
        return f"RecurrentState({self.size[0]}x{self.size[1]}: {shapes or 'no tensors'})"


def _shape(tensor: Any) -> Sequence[int]:
    """Of an array, a tensor, or ONNX Runtime's value, whose shape is a method."""
    found: Sequence[int] = tensor.shape() if callable(tensor.shape) else tensor.shape
    return found


def tensors_for(owner: object, frame: Frame, state: object) -> tuple[Any, ...] | None:
    """The tensors of `state` if it fits this engine and frame; None for a fresh start.

    Raises:
        ModelError: the state was made by another engine or for frames of another size.
    """
    if state is None:
        return None
    if not isinstance(state, RecurrentState) or state.owner is not owner:
        raise ModelError(
            f"the recurrent state is not this engine's: got {type(state).__name__}; "
            "start with state None"
        )
    if state.size != frame.size:
        raise ModelError(
            f"the recurrent state is for {state.size[0]}x{state.size[1]} frames, got "
            f"{frame.width}x{frame.height}; reset it when the size changes"
        )
    return state.tensors
