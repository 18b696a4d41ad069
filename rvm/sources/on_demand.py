"""A camera that is on only while somebody looks at the result."""

from __future__ import annotations

import dataclasses
import logging
import threading
from typing import TYPE_CHECKING

import numpy as np

from rvm.clock import Clock, MonotonicClock
from rvm.errors import DeviceError, InputError
from rvm.frame import Frame
from rvm.sources.base import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rvm.readers import ReaderWatch
    from rvm.sources.base import SourceInfo

logger = logging.getLogger(__name__)

#: Without a reader for so long, the camera goes off; switching cameras in a meeting takes less.
LINGER_SECONDS = 5.0
#: How often to look for readers. A new one waits at most this long plus the camera's start.
LOOK_SECONDS = 0.5


class OnDemandSource(Source):
    """Closes `source` while nobody reads the output, and opens it again for the next reader.

    Going idle yields one plain dark picture, so that neither an old picture nor nothing at all
    waits for the next reader. Indices and times go on across the gap.

    Args:
        source: the camera, already open (its size was needed).
        reopen: opens it again.
        watch: tells about readers; closed with the source.
        on_change: told True when going idle and False when waking.
        clock: replaced in tests.
    """

    def __init__(
        self,
        source: Source,
        reopen: Callable[[], Source],
        watch: ReaderWatch,
        on_change: Callable[[bool], None] = lambda idle: None,
        clock: Clock | None = None,
    ) -> None:
        self.info: SourceInfo = source.info
        self._source: Source | None = source
        self._reopen = reopen
        self._watch = watch
        self._on_change = on_change
        self._clock = clock or MonotonicClock()
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._last: Frame | None = None
        self._last_seen = self._last_look = -LINGER_SECONDS + self._clock.now()

    def __iter__(self) -> Iterator[Frame]:
        while not self._closed.is_set():
            source = self._source
            if source is None:
                return
            if self._is_wanted():
                yield from self._attend(source)
                if self._is_wanted():
                    return  # the source itself ended
            self._let_go()
            if self._closed.is_set():
                return
            self._on_change(True)
            yield self._placeholder()
            self._wait_for_reader()

    def close(self) -> None:
        """End the iteration and free the camera, also from another thread."""
        self._closed.set()
        if isinstance(self._clock, MonotonicClock):
            self._clock.interrupt()
        self._let_go()
        self._watch.close()

    def _attend(self, source: Source) -> Iterator[Frame]:
        """The camera's frames, until nobody wants them or it ends."""
        shift: tuple[int, int] | None = None
        for frame in source:
            if shift is None:
                shift = self._shift_for(frame)
            pts = None if frame.pts is None else frame.pts + shift[1]
            self._last = dataclasses.replace(frame, index=frame.index + shift[0], pts=pts)
            yield self._last
            if not self._is_wanted():
                return

    def _is_wanted(self) -> bool:
        now = self._clock.now()
        if now - self._last_look >= LOOK_SECONDS:
            self._last_look = now
            if self._watch.is_read():
                self._last_seen = now
        return now - self._last_seen < LINGER_SECONDS

    def _wait_for_reader(self) -> None:
        """Return with the source open again, or with everything closed."""
        since = self._clock.now()
        while not self._closed.is_set():
            self._clock.sleep_until(self._clock.now() + LOOK_SECONDS)
            if not self._closed.is_set() and self._is_wanted() and self._opened():
                break
        self.idle_seconds += self._clock.now() - since
        if self._source is not None:
            self._on_change(False)

    def _opened(self) -> bool:
        try:
            source = self._reopen()
        except (DeviceError, InputError) as error:
            logger.warning("cannot open the camera for a new reader, trying again: %s", error)
            return False
        with self._lock:
            if not self._closed.is_set():
                self._source = source
                return True
        source.close()
        return False

    def _let_go(self) -> None:
        with self._lock:
            source, self._source = self._source, None
        if source is not None:
            source.close()
            self.damaged += source.damaged
            self.concealed += source.concealed
            self.reopened += source.reopened

    def _shift_for(self, frame: Frame) -> tuple[int, int]:
        """What brings the first frame of a newly opened camera behind all earlier ones."""
        last = self._last
        if last is None:
            return 0, 0
        ticks = 0
        if last.pts is not None and frame.pts is not None:
            gap_seconds = max(frame.captured_at_seconds - last.captured_at_seconds, 0.0)
            ticks = round(float(last.pts * last.time_base + gap_seconds) / frame.time_base)
            ticks = max(ticks, round(last.pts * last.time_base / frame.time_base) + 1) - frame.pts
        return last.index + 1 - frame.index, ticks

    def _placeholder(self) -> Frame:
        """A plain dark picture in the camera's format, later than every frame so far."""
        frame = plain_frame(self.info, self._clock.now())
        index, pts = self._shift_for(frame)
        self._last = dataclasses.replace(frame, index=frame.index + index, pts=pts)
        return self._last


def plain_frame(info: SourceInfo, at_seconds: float) -> Frame:
    """A dark grey frame of a source's size and format."""
    dark, middle = 48 << (info.format.depth - 8), 128 << (info.format.depth - 8)
    shapes = info.format.plane_shapes(info.width, info.height)
    values = (dark, middle, middle)
    planes = tuple(
        np.full(shape, value, info.format.dtype)
        for shape, value in zip(shapes, values, strict=False)
    )
    return Frame(
        planes, info.format, info.width, info.height, 0, info.time_base, 0, info.colour,
        info.sample_aspect, captured_at_seconds=at_seconds,
    )  # fmt: skip
