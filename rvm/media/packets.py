"""Pictures out of one stream, damaged packets skipped and counted."""

from __future__ import annotations

import logging
from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from rvm.errors import InputError
from rvm.media.open import MEDIA_FAILURES, is_local, reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from av.container import InputContainer
    from av.video.stream import VideoStream

logger = logging.getLogger(__name__)

#: This many failures in a row are no longer a scratch but the end of what can be read.
MOST_DAMAGED_IN_A_ROW = 50


class PictureDecoder:
    """Decodes `stream` of an open container, one packet a step.

    Pictures get the times that the container lacks: AVI has decoding times only, which, handed
    out in order, are the presentation times; a bare H.264 stream has none, and is counted at its
    nominal rate.

    Args:
        container, stream: what is open, and which stream of it.
        name: of the input, for messages.
        frame_seconds: how long a frame lasts where nothing is timed.

    Attributes:
        damaged: packets that could not be read or decoded, and were skipped.
        last_damage: why the last of those was.
        packets: packets read, damaged ones included.
        pictures: pictures that came out.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, name: str, frame_seconds: Fraction
    ) -> None:
        self.damaged = 0
        self.last_damage = ""
        self.packets = 0
        self.pictures = 0
        self._container = container
        self._stream = stream
        self._name = name
        self._in_a_row = 0
        self._demuxed: Iterator[av.Packet[VideoStream]] = container.demux(stream)
        self._frame_ticks = max(1, round(frame_seconds / (stream.time_base or frame_seconds)))
        self._order: deque[int] | None = deque() if container.format.name == "avi" else None
        self._timed = False
        self._is_local = is_local(container)
        self._broke_off: InputError | None = None
        self._skipped_times: set[int] = set()
        # Transport streams flag whole packets after any lost one; those still decode.
        self._skips_flagged = "mpegts" not in container.format.name.split(",")

    def is_concealed(self, picture: av.VideoFrame) -> bool:
        """Whether the decoder made up for damage in a picture whose packet is not counted yet.

        Only what such a picture's own packet lacked is told of, not what later ones take from it;
        and not every decoder tells (those of HEVC, VP9 and FFV1 do not).
        """
        return picture.is_corrupt and picture.pts not in self._skipped_times

    def step(self) -> list[av.VideoFrame] | None:
        """The pictures that the next packet completes (often none); None at the end.

        Raises:
            InputError: `MOST_DAMAGED_IN_A_ROW` packets in a row could not be decoded, or a
                network stream broke off.
        """
        packet: av.Packet[VideoStream] | None = None
        try:
            packet = self._next_packet()
            if packet is None:
                return None
            # An empty packet with a time is a repeated picture, one without a time is a flush.
            self.packets += packet.size > 0 or packet.dts is not None
            if packet.is_corrupt and packet.size and self._skips_flagged:
                raise ValueError("flagged as corrupt by the demuxer")
            pictures = packet.decode()
            if self._order is not None and packet.size and packet.dts is not None:
                self._order.append(packet.dts)
        except InputError:
            raise
        except EOFError:
            return []  # the decoder was flushed already
        except MEDIA_FAILURES as error:
            if packet is not None and packet.pts is not None:
                self._skipped_times.add(packet.pts)
            self._count_damage(error)
            return []
        for picture in pictures:
            self._in_a_row = 0
            self._give_time(picture)
            self.pictures += 1
        return pictures

    def seek(self, ticks: int) -> None:
        """Go to a keyframe at or before `ticks` of the stream's time base."""
        self._container.seek(ticks, stream=self._stream)
        self._demuxed = self._container.demux(self._stream)
        if self._order is not None:
            self._order.clear()

    def _next_packet(self) -> av.Packet[VideoStream] | None:
        """The next packet, None at the end; an empty one, which flushes, if the network failed."""
        if self._broke_off is not None:
            raise self._broke_off
        try:
            return next(self._demuxed, None)
        except MEDIA_FAILURES as error:
            if self._is_local:
                raise
            silent = isinstance(error, av.error.ExitError)
            why = "nothing came in time" if silent else reason(error)
            self._broke_off = InputError(f"{self._name}: the stream broke off ({why})")
            flush: av.Packet[Any] = av.Packet()
            flush.stream = self._stream
            return flush

    def _give_time(self, picture: av.VideoFrame) -> None:
        if self._order:
            picture.pts = self._order.popleft()
        elif picture.pts is None:
            picture.pts = picture.dts
        if picture.pts is not None:
            self._timed = True
        elif not self._timed:
            picture.pts = self.pictures * self._frame_ticks

    def _count_damage(self, error: BaseException) -> None:
        logger.debug("%s: packet %d skipped: %r", self._name, self.packets, error)
        self.damaged += 1
        self.last_damage = reason(error)
        self._in_a_row += 1
        if self._in_a_row >= MOST_DAMAGED_IN_A_ROW:
            raise InputError(
                f"{self._name}: damaged beyond frame {self.pictures}: {self._in_a_row} packets "
                f"in a row cannot be decoded ({reason(error)})"
            ) from error
        # A demuxer that failed ends its generator; reading on needs a new one.
        self._demuxed = self._container.demux(self._stream)
