"""The contract of an engine: one frame and the state in, one matte and the new state out.

* `step` is a pure function of frame and state: the engine itself remembers no frame. A state is
  opaque to everyone but its engine and is made by `step(frame, None)`.
* A state made for another frame size raises `ModelError`; `Matter` resets before that happens.
* The matte has the frame's size. Alpha and colour are finite for any input.
* `upload` brings a frame to where the engine works; CPU engines return it as it is. The frame
  given to `step` must have passed through it. `download` is the way back, once, after compositing.
* Not thread-safe; one engine belongs to one pipeline.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rvm.frame import Composite, Frame, Matte
    from rvm.matting.reuse import Coefficients

#: Recurrent memory (the ConvGRU tensors); only the engine that made it looks inside.
State = Any


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What runs where, and why; shown to the user and put into reports.

    Attributes:
        model: name in the registry, or the file's name.
        engine: registry name of the engine: "onnxruntime", "torch", "openvino".
        device: "cpu", "cuda:0", "mps", ...
        provider: execution provider or backend, for instance "CPUExecutionProvider".
        precision: "fp32", "fp16", "bf16" or "int8".
        reason: one clause saying why automatic choice took this.
    """

    model: str
    engine: str
    device: str
    provider: str
    precision: str
    reason: str


class Engine(ABC):
    """One loaded model on one device."""

    info: EngineInfo
    #: Sides of the network's picture over the best one at which it works too; best first.
    scales: tuple[float, ...] = (1.0,)
    #: Steps that the first frame of a stream is worth: it is better seen with some memory of it.
    first_looks: int = 1

    @abstractmethod
    def step(self, frame: Frame, state: State | None) -> tuple[Matte, State]:
        """Matte one frame.

        Args:
            frame: an uploaded frame.
            state: what the previous step returned, or None to start afresh.

        Raises:
            ModelError: the state belongs to another size, or the model broke its contract.
            DeviceError: the device failed (for instance out of memory).
        """

    def prepare(self, frame: Frame) -> None:
        """Make now what the first frame of this size would otherwise have to wait for."""

    def upload(self, frame: Frame) -> Frame:
        """The frame where this engine works; the same object on the CPU."""
        return frame

    def download(self, composite: Composite) -> Composite:
        """The composed picture in main memory; the same object on the CPU."""
        return composite

    def rescale(self, scale: float) -> None:
        """From the next step on use a picture of another size; a state of the old one still fits.

        Args:
            scale: one of `scales`.
        """
        if scale not in self.scales:
            raise ValueError(f"got scale {scale}, expected one of {self.scales}")

    def coefficients(self, state: State | None) -> Coefficients | None:
        """What the matte that came with `state` was made from, where the engine knows."""
        return None

    def close(self) -> None:
        """Free the session. Idempotent."""
