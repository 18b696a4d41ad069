"""How many threads each library may use: the one place where the cores are shared out.

The stages run side by side already (see `rvm.pipeline`), so most libraries need no threads of
their own; more would only fight for the cores.

* The network gets every core, up to 8: it is the longest step of a frame, and between two frames
  its threads sleep. More do not speed up one small picture.
* The decoder gets half of the cores, up to 4: a file must not be slower to read than to matte.
* The encoder gets every core, up to 16; the default of x264, half as many again, only adds memory.
* OpenCV gets one.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rvm.device import MAX_THREADS, cpu_count

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST_DECODER, _MOST_ENCODER = 4, 16


@dataclass(frozen=True, slots=True)
class ThreadShares:
    """Threads of each library; see the module."""

    network: int
    decoder: int
    encoder: int
    opencv: int = 1


def thread_shares(cores: int | None = None) -> ThreadShares:
    """The shares for so many cores; None counts those this process may use."""
    cores = cores or cpu_count()
    return ThreadShares(
        network=min(cores, MAX_THREADS),
        decoder=min(max(1, cores // 2), _MOST_DECODER),
        encoder=min(cores, _MOST_ENCODER),
    )


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
