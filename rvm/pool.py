"""Memory that is used again once nobody looks at it.

Fresh pages cost about as much as blending: a 1080p frame is 760 page faults. A buffer is free again
when the pool holds the only reference to it: every plane, slice or wrapped encoder frame made from
it holds one (numpy's `base`), so a thread that still reads a picture is safe without telling anyone
when it is done.
"""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

#: Buffers kept for reuse: pictures waiting in the sink's queue, one being written, one being made.
_MOST_KEPT = 12
#: References to a free buffer while it is asked about: the pool's list and the question itself.
_OWN_REFERENCES = 2


class BufferPool:
    """Hands out buffers of one size. Not thread-safe; what is made of them may go to any thread."""

    def __init__(self) -> None:
        self._buffers: list[npt.NDArray[np.uint8]] = []

    def take(self, size_bytes: int) -> npt.NDArray[np.uint8]:
        """So many bytes of undefined content."""
        if self._buffers and self._buffers[0].size != size_bytes:
            self._buffers.clear()  # the picture changed its size; readers keep theirs alive
        for index in range(len(self._buffers)):
            if sys.getrefcount(self._buffers[index]) <= _OWN_REFERENCES:
                return self._buffers[index]
        buffer = np.empty(size_bytes, np.uint8)
        if len(self._buffers) < _MOST_KEPT:
            self._buffers.append(buffer)
        return buffer
