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

from rvm.latest import LatestFew

#: Of one size: for pictures waiting in the queue of a sink, one being written, one being made.
_MOST_KEPT = 12
#: References to a free buffer while it is asked about: the pool's list and the question itself.
_OWN_REFERENCES = 2


class BufferPool:
    """Hands out buffers. Not thread-safe; what is made of them may go to any thread.

    Args:
        sizes: how many sizes of buffer to keep; the one that was asked for longest ago gives way,
            as when the picture changes its size. Who still reads such a buffer keeps it alive.
    """

    def __init__(self, sizes: int = 1) -> None:
        self._buffers: LatestFew[int, list[npt.NDArray[np.uint8]]] = LatestFew(sizes)

    def take(self, size_bytes: int) -> npt.NDArray[np.uint8]:
        """So many bytes of undefined content."""
        buffers = self._buffers.get(size_bytes)
        if buffers is None:
            buffers = self._buffers.put(size_bytes, [])
        for index in range(len(buffers)):
            if sys.getrefcount(buffers[index]) <= _OWN_REFERENCES:
                return buffers[index]
        buffer = np.empty(size_bytes, np.uint8)
        if len(buffers) < _MOST_KEPT:
            buffers.append(buffer)
        return buffer

    def __len__(self) -> int:
        """Buffers that are kept, of all sizes."""
        return sum(map(len, self._buffers.values()))
