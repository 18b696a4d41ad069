"""Keeps Python's garbage collector from stopping a live frame.

A full collection looks at every object there is. With the engines loaded these are some 200,000,
and it was measured to take 48 ms on average, three frames' time at 60 Hz, whenever it liked. So
while a live run lasts everything that is there at its start is left out (`gc.freeze`), and what
comes later is collected between frames, where it is little. Reference counting, which frees frames
and mattes, is not touched.
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
        active: False changes nothing at all.
    """

    def __init__(self, active: bool = True) -> None:
        self._active = active
        self._was_enabled = False
        self._frames = 0

    def __enter__(self) -> Self:
        if self._active:
            self._was_enabled = gc.isenabled()
            gc.disable()
            gc.freeze()
        return self

    def frame_done(self) -> None:
        """Call it between two frames."""
        self._frames += 1
        if not self._active:
            return
        if self._frames == WARM_UP_FRAMES:
            gc.freeze()
        elif self._frames % COLLECT_EVERY_FRAMES == 0:
            gc.collect()

    def __exit__(self, *error: object) -> None:
        if self._active:
            gc.unfreeze()
            if self._was_enabled:
                gc.enable()
