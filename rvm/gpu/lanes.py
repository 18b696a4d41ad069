"""What the pipeline's threads say when they hand frames over. On the CPU it means nothing.

On a GPU work is queued, not done: a frame that is handed over may not be computed yet. See
`rvm.gpu.streams` for what the words do there. Importing this imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Handed(Generic[T]):
    """Something on its way from one thread to another.

    Attributes:
        item: the thing.
        ready: the CUDA event after which it is computed; None if it is.
    """

    item: T
    ready: Any = None


class Lane:
    """One thread's order of work; a context in which that thread runs. This one: on the CPU."""

    def give(self, item: T) -> Handed[T]:
        """Hand over what this thread has queued or done."""
        return Handed(item)

    def take(self, handed: Handed[T]) -> T:
        """Take what another thread gave: work queued from here on comes after it."""
        return handed.item

    def wait(self, handed: Handed[T]) -> T:
        """Take it once it is computed: for those who read it with something else than torch."""
        return handed.item

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to leave on the CPU."""


def gpu_of(plane: object) -> str | None:
    """The CUDA device on which a plane lies, as torch writes it; None anywhere else."""
    name = str(getattr(plane, "device", "cpu"))
    return name if name.startswith("cuda") else None


def open_lane(device: str, *, decodes: bool = False) -> Lane:
    """A lane for one thread, to be entered by that thread.

    Args:
        device: where the frames are: "cpu", "mps" or "cuda:N".
        decodes: this thread runs a decoder on the device.
    """
    if not device.startswith("cuda"):
        return Lane()
    import torch

    from rvm.gpu.streams import CudaLane

    return CudaLane(torch.device(device), is_default=decodes)
