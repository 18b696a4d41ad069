"""The material of a benchmark: one clip a size, and its frames in memory."""

from __future__ import annotations

import dataclasses
import itertools
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from rvm.sources.base import Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from rvm.frame import Frame, Matte

#: Name -> (width, height).
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
FRAME_RATE = Fraction(30)
#: How the clips, and every output that is compared, are encoded.
ENCODING: dict[str, Any] = {"codec": "h264", "preset": "veryfast"}
#: What the frames of one size may take in memory.
_MEMORY_BYTES = 256 << 20


def write_clip(path: Path, size: tuple[int, int], count: int, clip: Path | None) -> None:
    """A clip of `count` frames: a drawn person, or a real clip enlarged once, over and over."""
    from rvm.frame import Composite
    from rvm.sinks import open_sinks

    source = _drawn(size, count) if clip is None else _Enlarged(clip, size, count)
    sink = open_sinks(path, None, None, info=source.info, overwrite=True, audio=False, **ENCODING)
    try:
        for frame in source:
            sink.write(Composite(frame, no_matte(frame), frame))
    except BaseException:
        sink.abort()
        raise
    finally:
        source.close()
    sink.close()


def no_matte(frame: Frame) -> Matte:
    """Everything is the person."""
    import numpy as np

    from rvm.frame import Matte

    return Matte(np.broadcast_to(np.uint8(255), (frame.height, frame.width)))


def frames_in_memory(path: Path, most: int) -> list[Frame]:
    """Up to `most` decoded frames, fewer if they would fill the memory."""
    from rvm.sources import open_source

    with open_source(path) as source:
        info = source.info
        bytes_each = info.width * info.height * 3 * info.format.dtype.itemsize // 2
        limit = max(1, min(most, _MEMORY_BYTES // bytes_each))
        return list(itertools.islice(source, limit))


def _drawn(size: tuple[int, int], count: int) -> Source:
    from rvm.sources.synthetic import SyntheticSource

    return SyntheticSource(count, width=size[0], height=size[1], fps=FRAME_RATE, person=True)


class MemorySource(Source):
    """Frames that are in memory already, again and again.

    Args:
        frames: what to show, in this order.
        count: how many to yield; None never ends.
        rate: of the times stamped on them.
    """

    def __init__(self, frames: list[Frame], count: int | None, rate: Fraction = FRAME_RATE) -> None:
        from rvm.sources.base import SourceInfo

        first = frames[0]
        self._frames, self._count, self._closed = frames, count, False
        self.info = SourceInfo(
            name="memory", width=first.width, height=first.height, format=first.format,
            colour=first.colour, time_base=1 / rate, frame_rate=rate, frame_count=count,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Frame]:
        indices: Iterable[int] = itertools.count() if self._count is None else range(self._count)
        for index in indices:
            if self._closed:
                return
            frame = self._frames[index % len(self._frames)]
            yield dataclasses.replace(
                frame, index=index, pts=index, time_base=self.info.time_base, duration=1
            )

    def close(self) -> None:
        """End the iteration."""
        self._closed = True


class _Enlarged(MemorySource):
    """A real clip at another size."""

    def __init__(self, clip: Path, size: tuple[int, int], count: int) -> None:
        frames = frames_in_memory(clip, count)
        self._size = size
        super().__init__(frames, count)
        self.info = dataclasses.replace(self.info, width=size[0], height=size[1])

    def __iter__(self) -> Iterator[Frame]:
        import cv2
        import numpy as np

        width, height = self._size
        for frame in super().__iter__():
            shapes = frame.format.plane_shapes(width, height)
            planes = tuple(
                cv2.resize(np.asarray(plane), shape[1::-1], interpolation=cv2.INTER_CUBIC)
                for plane, shape in zip(frame.planes, shapes, strict=True)
            )
            yield dataclasses.replace(frame, planes=planes, width=width, height=height)
