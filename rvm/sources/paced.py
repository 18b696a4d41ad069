"""Any source, played at its own pace: a file as if it were a camera."""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING

from rvm.clock import Clock, MonotonicClock, Pacer
from rvm.sources.base import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rvm.frame import Frame


class PacedSource(Source):
    """Releases each frame of `source` when its pts is due, and marks it as captured then.

    A late consumer gets the late frames one after the other without waiting, none is left out:
    dropping is the pipeline's business. After more than a second of delay the schedule starts
    anew (see `rvm.clock.Pacer`). Closing this closes the source.

    Args:
        source: where the frames come from; frames without pts follow its nominal frame rate.
        clock: what "due" is measured with; its `now` must be `time.monotonic` for real use.
    """

    def __init__(self, source: Source, clock: Clock | None = None) -> None:
        self._source = source
        self._clock = clock or MonotonicClock()
        self._pacer = Pacer(self._clock)
        self._closed = threading.Event()
        self.info = dataclasses.replace(source.info, live=True)

    @property
    def device(self) -> str:  # type: ignore[override]
        """Where the source decodes."""
        return self._source.device

    @property
    def damaged(self) -> int:  # type: ignore[override]
        """As the source counts."""
        return self._source.damaged

    @property
    def concealed(self) -> int:  # type: ignore[override]
        """As the source counts."""
        return self._source.concealed

    @property
    def reopened(self) -> int:  # type: ignore[override]
        """As the source counts."""
        return self._source.reopened

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            self._pacer.wait_for(self._due_seconds(frame))
            if self._closed.is_set():
                return
            yield dataclasses.replace(frame, captured_at_seconds=self._clock.now())

    def close(self) -> None:
        """Stop waiting and close the source."""
        self._closed.set()
        if isinstance(self._clock, MonotonicClock):
            self._clock.interrupt()
        self._source.close()

    def _due_seconds(self, frame: Frame) -> float:
        if frame.pts_seconds is not None:
            return frame.pts_seconds
        return frame.index / float(self.info.frame_rate or 30)
