"""The contract of a sink: where composed frames go.

* The constructor checks all that can be checked without a frame (path writable, not existing
  unless overwriting was asked for, codec known, driver there) and raises at once.
* `write` gets composites in order, on one thread. It does not keep a frame after it returns
  (unless it copied it). It may block; the pipeline puts a queue before it.
* On a GPU the composed picture comes in main memory unless `takes_from_device` says otherwise;
  matte and source lie where they are, computed, and `rvm.media.encode.as_array` fetches them.
* `close` finalises: after it, what was written is complete at its final name. `abort` gives up:
  it leaves what exists so far playable where the medium can, under a name that is not the final
  one, and never touches what lay at the final name. Both are idempotent; one of them is always
  called.
* `OutputError` for files (exit 6), `DeviceError` for the virtual webcam (exit 5).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from rvm.frame import Composite


class Sink(ABC):
    """One open output."""

    #: True if this sink shows frames at their time and must not be fed faster than real time.
    live: ClassVar[bool] = False
    #: What the system calls the virtual webcam that this writes to.
    device: str | None = None
    #: Frames accepted so far.
    frames_written: int = 0
    #: Lines the user should see, for instance "odd height padded by one row for yuv420p".
    notes: tuple[str, ...] = ()

    def takes_from_device(self, composite: Composite) -> bool:
        """Whether `write` wants this picture's tensors where they are, on a GPU.

        Asked once a frame, before `write`, on another thread: it looks at nothing that changes.
        """
        return False

    @abstractmethod
    def write(self, composite: Composite) -> None:
        """Take one frame."""

    @abstractmethod
    def close(self) -> None:
        """Finish the output and give it its final name."""

    def abort(self) -> None:
        """Give up; leave what exists under a name that is not the final one."""
        self.close()
