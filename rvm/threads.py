"""How many threads each library may use: the one place where the cores are shared out.

The stages run side by side already (see `rvm.pipeline`), so most libraries need no threads of
their own; more would only fight for the cores.

* A network that sees the whole frame gets every core, up to 8: it is the longest step by far, and
  between two frames its threads sleep. One that sees a small picture only, as the model that ships,
  gets half of the cores: on two of them, two threads are no faster than one, and the stages beside
  it need a core (see `rvm.device.choose_threads`, which decides when the model is known).
* The decoder gets half of the cores, up to 4: a file must not be slower to read than to matte.
* The encoder gets every core, up to 16; the default of x264, half as many again, only adds memory.
* OpenCV gets one.
* Matting and compositing cut a frame in halves (`rvm.halves`), but not from file to file on two
  cores: the stages fill those, and whole frames were 2 to 3 % faster at 1080p, no slower at others.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rvm.device import cpu_count

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_DECODER, _MOST_ENCODER = 4, 16
#: So many cores are filled by the stages alone when nothing makes them wait.
_FILLED_CORES = 2


@dataclass(frozen=True, slots=True)
class ThreadShares:
    """Threads of each library; see the module."""

    decoder: int
    encoder: int
    opencv: int = 1


def thread_shares(cores: int | None = None) -> ThreadShares:
    """The shares for so many cores; None counts those this process may use."""
    cores = cores or cpu_count()
    return ThreadShares(
        decoder=min(max(1, cores // 2), _MOST_DECODER),
        encoder=min(cores, _MOST_ENCODER),
    )


def divides_frames(live: bool, cores: int | None = None) -> bool:
    """Whether two threads share the work on one frame; None counts the cores as above."""
    return live or (cores or cpu_count()) > _FILLED_CORES


@contextlib.contextmanager
def opencv_threads() -> Iterator[None]:
    """OpenCV's share while the block runs; its number of threads belongs to the whole process."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(thread_shares().opencv)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
