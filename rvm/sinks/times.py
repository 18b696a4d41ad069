"""When frames are shown and decoded in an output."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.packet import Packet

    from rvm.frame import Frame

_FALLBACK_RATE = Fraction(30)
_LONGEST_REORDERING_SECONDS = 600
_DEEPEST_REORDERING_FRAMES = 16


class OutputClock:
    """Frame times in the output: the source's own, moved by one origin, strictly increasing.

    Attributes:
        rate: nominal frames a second.
        time_base: of the output's video stream: the source's own.
        moved: frames that had no later time than the one before and were moved on by a tick.
    """

    def __init__(self, rate: Fraction | None) -> None:
        self.rate = (rate or _FALLBACK_RATE).limit_denominator(1 << 20)
        self.time_base = 1 / self.rate
        self.moved = 0
        self._origin_ticks = 0
        self._last: int | None = None
        self._last_duration = 0
        self._count = 0
        self._last_dts: int | None = None

    def begin(self, frame: Frame, origin: Fraction) -> Fraction:
        """Take the first frame's time base; the origin as whole ticks of it, in seconds."""
        if frame.pts is not None:
            self.time_base = frame.time_base
        self._origin_ticks = round(origin / self.time_base)
        return self._origin_ticks * self.time_base

    def stamp(self, frame: Frame) -> tuple[int, Fraction, int]:
        """(pts, time base, duration) of the next frame in the output."""
        pts = self._count if frame.pts is None else self._ticks(frame.pts, frame.time_base)
        pts -= self._origin_ticks
        if self._last is not None and pts <= self._last:
            pts = self._last + 1
            self.moved += 1
        duration = self._ticks(frame.duration, frame.time_base) if frame.duration else 0
        self._last_duration = duration or max(round(1 / (self.rate * self.time_base)), 1)
        self._last = pts
        self._count += 1
        return pts, self.time_base, self._last_duration

    def last_frame(self) -> tuple[Fraction, Fraction]:
        """When the last frame starts and ends, in seconds of the output."""
        last = self._last or 0
        return last * self.time_base, (last + self._last_duration) * self.time_base

    def repair_decode_time(self, packet: Packet[Any]) -> None:
        """Give a packet a sane dts if its encoder did not.

        x265 leaves it undefined in clips of fewer frames than its reordering spans. All packets
        of such a clip are affected, so counting up from a little before the first is right.
        """
        if packet.pts is None or packet.dts is None:
            return
        delay = (packet.pts - packet.dts) * packet.time_base
        if not 0 <= delay <= _LONGEST_REORDERING_SECONDS:
            first = packet.pts - _DEEPEST_REORDERING_FRAMES
            packet.dts = first if self._last_dts is None else self._last_dts + 1
        self._last_dts = packet.dts

    def _ticks(self, ticks: int, time_base: Fraction) -> int:
        return ticks if time_base == self.time_base else round(ticks * time_base / self.time_base)
