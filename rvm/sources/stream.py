"""A network camera as a live source, opened again when it breaks off."""

from __future__ import annotations

import dataclasses
import logging
import time
from fractions import Fraction
from typing import TYPE_CHECKING

from rvm.clock import Clock, MonotonicClock
from rvm.errors import InputError
from rvm.media.decode import VideoReader
from rvm.media.open import hide_secrets, open_stream
from rvm.media.timeline import Timeline
from rvm.sources.base import Source
from rvm.sources.freshness import back_off_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rvm.frame import Frame

logger = logging.getLogger(__name__)


class StreamSource(Source):
    """A network camera (`rtsp[s]://`, `http[s]://`).

    When nothing comes for `read_seconds`, or the stream ends, it is opened again with pauses of
    0.25 s up to 5 s, until it works or the source is closed; pts and index go on growing.

    Args:
        url: its address; a user name and password in it are never shown.
        open_seconds, read_seconds: how long opening and one read may take.
        clock: what pauses are measured with; replaced in tests.

    Raises:
        UnsafeInputError: another kind of address.
        InputError: it does not answer, or sends no video.
    """

    def __init__(
        self,
        url: str,
        *,
        open_seconds: float = 5.0,
        read_seconds: float = 2.0,
        clock: Clock | None = None,
    ) -> None:
        self._url = url
        self._seconds = (open_seconds, read_seconds)
        self._clock = clock or MonotonicClock()
        self._closed = False
        self._damaged_before = self._concealed_before = 0
        self._index = 0
        self._reader = self._opened()
        info = self._reader.info
        self._time_base = info.time_base
        self._timeline = Timeline(info.time_base, info.frame_rate)
        self.info = dataclasses.replace(info, frame_count=None, duration_seconds=None, live=True)

    @property
    def damaged(self) -> int:  # type: ignore[override]
        """Packets skipped so far because they could not be decoded, and frames concealed."""
        return self._damaged_before + self._reader.damaged

    @property
    def concealed(self) -> int:  # type: ignore[override]
        """Damaged frames so far that came out as the decoder patched them up."""
        return self._concealed_before + self._reader.concealed

    def __iter__(self) -> Iterator[Frame]:
        while not self._closed:
            try:
                for frame in self._reader:
                    yield self._retimed(frame)
                why = "it ended"
            except InputError as error:
                why = str(error)
            if not self._closed:
                logger.warning("network camera lost, reopening it: %s", why)
                self._reopen()

    def close(self) -> None:
        """Leave the camera, also from another thread."""
        self._closed = True
        if isinstance(self._clock, MonotonicClock):
            self._clock.interrupt()
        self._reader.close()

    def _opened(self) -> VideoReader:
        open_seconds, read_seconds = self._seconds
        return VideoReader(
            hide_secrets(self._url),
            opener=lambda: open_stream(
                self._url, open_seconds=open_seconds, read_seconds=read_seconds
            ),
        )

    def _reopen(self) -> None:
        self._damaged_before, self._concealed_before = self.damaged, self.concealed
        self._reader.close()
        for pause_seconds in back_off_seconds():
            self._clock.sleep_until(self._clock.now() + pause_seconds)
            if self._closed:
                return
            try:
                reader = self._opened()
                break
            except InputError as error:
                logger.debug("still lost: %s", error)
        self._reader = reader
        self.reopened += 1
        if self._closed:  # closed while it was being opened
            reader.close()

    def _retimed(self, frame: Frame) -> Frame:
        ticks = None if frame.pts is None else round(frame.pts * frame.time_base / self._time_base)
        frame = dataclasses.replace(
            frame,
            pts=self._timeline.place(ticks, frame.duration),
            time_base=Fraction(self._time_base),
            index=self._index,
            captured_at_seconds=time.monotonic(),
        )
        self._index += 1
        return frame
