"""Keeps Python's garbage collector out of the way of frames.

A full collection looks at every object there is. With the engines loaded these are some 200,000,
and it was measured to take 48 ms on average, three frames' time at 60 Hz, whenever it liked. So
while a live run lasts everything that is there at its start is left out (`gc.freeze`), and what
comes later is collected between frames, where it is little. Reference counting, which frees frames
and mattes, is not touched.

Offline nobody waits for a single frame, but looking at every object took two of a hundred parts of
the time. There, too, what is there at the start is left out; the collector then runs as it likes.
"""

from __future__ import annotations

import gc
from typing import Self

#: What the first frames build for good (compiled kernels, buffers) is left out too.
WARM_UP_FRAMES = 30
COLLECT_EVERY_FRAMES = 300


class QuietGc:
    """Holds for the whole process while its `with` block runs.

    Args:
        live: it may run between frames only.
    """

    def __init__(self, live: bool = True) -> None:
        self._live = live
        self._was_enabled = False
        self._frames = 0

    def __enter__(self) -> Self:
        self._was_enabled = gc.isenabled()
        if self._live:
            gc.disable()
        gc.freeze()
        return self

    def frame_done(self) -> None:
        """Call it between two frames."""
        self._frames += 1
        if self._frames == WARM_UP_FRAMES:
            gc.freeze()
        elif self._live and self._frames % COLLECT_EVERY_FRAMES == 0:
            gc.collect()

    def __exit__(self, *error: object) -> None:
        gc.unfreeze()
        if self._was_enabled:
            gc.enable()
