"""Presentation times that never go backwards, whatever the file says."""

from __future__ import annotations

import logging
from fractions import Fraction

logger = logging.getLogger(__name__)

#: A step back of more than this is a clock that started anew (joined recordings), not reordering.
RESTART_SECONDS = Fraction(1)


class Timeline:
    """Gives every frame of one stream a pts, in ticks of `time_base`, strictly increasing.

    A good pts passes untouched, so variable frame rates stay exact. What else occurs:

    * no pts: the frame follows the previous one's end;
    * a pts not after the previous one: the frame is kept, one tick after the previous one;
    * a step back of more than a second: the clock started anew; this frame and all that follow
      are shifted to go on where the previous frame ended.

    `repaired` counts the frames whose time was changed.
    """

    def __init__(self, time_base: Fraction, frame_rate: Fraction | None) -> None:
        nominal = 1 / (frame_rate or Fraction(25)) / time_base
        self.time_base = time_base
        self.repaired = 0
        self._nominal_ticks = max(1, round(nominal))
        self._restart_ticks = RESTART_SECONDS / time_base
        self._offset = 0
        self._first_time: int | None = None
        self._last: int | None = None
        self._last_ticks = self._nominal_ticks

    @property
    def end(self) -> int | None:
        """Where the latest frame ends, or None before the first."""
        return None if self._last is None else self._last + self._last_ticks

    def place(self, pts: int | None, duration: int | None) -> int:
        """The pts of the next frame in presentation order.

        Args:
            pts: what the file says, or None.
            duration: of this frame in ticks, or None if unknown.
        """
        if pts is None:
            placed = 0 if self.end is None else self.end
            self.repaired += 1
        else:
            placed = self._after_the_last(pts + self._offset)
        self._last_ticks = duration or self._typical(placed)
        self._last = placed
        if self._first_time is None:
            self._first_time = placed if pts is None else pts
        return placed

    def loop(self) -> None:
        """The stream starts over: the next frame follows the latest one's end."""
        if self._first_time is not None and self.end is not None:
            self._offset = self.end - self._first_time

    def _after_the_last(self, time: int) -> int:
        if self._last is None or time > self._last:
            return time
        self.repaired += 1
        if self._last - time <= self._restart_ticks:
            return self._last + 1
        continued = self._last + self._last_ticks
        logger.debug("timestamps went back from %d to %d; continued", self._last, time)
        self._offset += continued - time
        return continued

    def _typical(self, placed: int) -> int:
        """How long a frame without a duration lasts: as the gap before it, else nominal."""
        if self._last is None:
            return self._nominal_ticks
        return max(1, min(placed - self._last, 4 * self._nominal_ticks))
