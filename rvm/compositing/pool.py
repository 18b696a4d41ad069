"""Output planes that are used again once nobody looks at them; see `rvm.pool`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rvm.pool import BufferPool

if TYPE_CHECKING:
    from rvm.frame import PixelFormat


class PlanePool:
    """Hands out the planes of pictures. Not thread-safe; the planes may go to any thread."""

    def __init__(self) -> None:
        self._buffers = BufferPool()

    def take(self, pixels: PixelFormat, width: int, height: int) -> tuple[npt.NDArray[Any], ...]:
        """Contiguous planes with undefined content, shaped as `pixels` says."""
        shapes = pixels.plane_shapes(width, height)
        sizes = [int(np.prod(shape)) * pixels.dtype.itemsize for shape in shapes]
        starts = np.cumsum([0, *(-(-size // 64) * 64 for size in sizes)])
        buffer = self._buffers.take(int(starts[-1]))
        return tuple(
            buffer[start : start + size].view(pixels.dtype).reshape(shape)
            for start, size, shape in zip(starts, sizes, shapes, strict=False)
        )
