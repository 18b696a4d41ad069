"""Output planes that are used again once nobody looks at them.

Fresh pages cost about as much as blending: a 1080p frame is 760 page faults. So the compositor
takes its output from here. A buffer is free again when the pool holds the only reference to it:
every plane, slice or wrapped encoder frame made from it holds one (numpy's `base`), so a sink
thread that still reads a picture is safe without telling anyone when it is done.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from rvm.frame import PixelFormat

#: Buffers kept for reuse: pictures waiting in the sink's queue, one being written, one being made.
_MOST_KEPT = 12
#: References to a free buffer while it is asked about: the pool's list and the question itself.
_OWN_REFERENCES = 2


class PlanePool:
    """Hands out the planes of pictures. Not thread-safe; the planes may go to any thread."""

    def __init__(self) -> None:
        self._buffers: list[npt.NDArray[np.uint8]] = []

    def take(self, pixels: PixelFormat, width: int, height: int) -> tuple[npt.NDArray[Any], ...]:
        """Contiguous planes with undefined content, shaped as `pixels` says."""
        shapes = pixels.plane_shapes(width, height)
        sizes = [int(np.prod(shape)) * pixels.dtype.itemsize for shape in shapes]
        starts = np.cumsum([0, *(-(-size // 64) * 64 for size in sizes)])
        buffer = self._free_buffer(int(starts[-1]))
        return tuple(
            buffer[start : start + size].view(pixels.dtype).reshape(shape)
            for start, size, shape in zip(starts, sizes, shapes, strict=False)
        )

    def _free_buffer(self, size: int) -> npt.NDArray[np.uint8]:
        if self._buffers and self._buffers[0].size != size:
            self._buffers.clear()  # the picture changed its size; readers keep theirs alive
        for index in range(len(self._buffers)):
            if sys.getrefcount(self._buffers[index]) <= _OWN_REFERENCES:
                return self._buffers[index]
        buffer = np.empty(size, np.uint8)
        if len(self._buffers) < _MOST_KEPT:
            self._buffers.append(buffer)
        return buffer
