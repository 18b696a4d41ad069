"""What an output keeps of the original besides the picture: sound, subtitles, chapters, tags.

Packets are copied as they are, never decoded. They are read from the original a second time, in
step with the video, so that the output is interleaved and memory stays flat.
"""

from __future__ import annotations

import logging
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition

from rvm.clock_time import exact_seconds
from rvm.media.open import MEDIA_FAILURES, open_input, reason
from rvm.sinks.clipping import (
    LONGEST_CUE_SECONDS,
    clip_cue,
    clipped_chapters,
    cue_seconds,
    empty_cue,
)
from rvm.sinks.fitting import fits, left_out
from rvm.sinks.kept_tags import kept_tags, timecode_of
from rvm.sinks.timecode import advanced

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from av.container import OutputContainer
    from av.packet import Packet
    from av.stream import Stream

    from rvm.frame import Frame

logger = logging.getLogger(__name__)

#: MP4 and MOV get a track of its own, Matroska a tag.
_HOLD_TIMECODE = ("mov", "mp4", "m4v", "mkv")
#: How far ahead of the video the original is read, for files whose sound lies behind.
_READ_AHEAD_SECONDS = 1
#: If this much of the original's video was not written, the run was cut short.
_CUT_SHORT_SECONDS = 1


class Passthrough:
    """Reads packets of one original for one output. Times are seconds, exact fractions."""

    def __init__(
        self,
        original: Path,
        *,
        start_seconds: float = 0.0,
        end_seconds: float | None = None,
        streams: bool = True,
    ) -> None:
        """Open the original again.

        Args:
            original: the file.
            start_seconds, end_seconds: packets outside [start, end) are left out, subtitles and
                chapters cut to it; counted from the original's first time stamp.
            streams: copy sound, subtitles and attachments; False keeps only tags and chapters.

        Raises:
            InputError: it cannot be opened.
        """
        self._input = open_input(original)
        self._streams = streams
        begin = Fraction(self._input.start_time or 0, av.time_base)
        self._start = begin + exact_seconds(start_seconds) if start_seconds else None
        self._end = None if end_seconds is None else begin + exact_seconds(end_seconds)
        self._targets: dict[int, Any] = {}
        self._filters: dict[int, BitStreamFilterContext] = {}
        self._last_cues: dict[Stream, tuple[Fraction, Fraction]] = {}  # time base, end
        self._muxed_seconds = Fraction(0)
        self._waiting: Packet[Any] | None = None
        self._origin = Fraction(0)
        self._video_seconds = Fraction(0)
        self._position = Fraction(0)
        self.notes: list[str] = []
        self._packets = self._demux()

    def origin(self) -> Fraction:
        """The time of the original that becomes zero in the output: the chosen start, else zero.

        Transport streams count from any number; there it is the first time stamp.
        """
        if self._start is not None:
            return self._start
        arbitrary = self._input.format.name in ("mpegts", "mpeg", "rtsp", "flv")
        if not arbitrary or self._input.start_time is None:
            return Fraction(0)
        return Fraction(self._input.start_time, av.time_base)

    def attach(
        self, output: OutputContainer, extension: str, origin: Fraction, *, alpha: bool = False
    ) -> None:
        """Add the streams and tags to an output whose header is not written yet.

        Args:
            output: gets a stream for each one it can hold; `notes` names the others.
            extension: of the output, without the dot.
            origin: this time of the original becomes zero in the output.
            alpha: the picture is transparent; what the notes advise must hold that.
        """
        self._origin = origin
        for stream in self._input.streams:
            if self._streams and _is_copied(stream):
                self._add(output, stream, extension, alpha)
        output.metadata.update(kept_tags(self._input.metadata))
        chapters = clipped_chapters(self._input.chapters(), origin, self._end_in_output())
        if chapters:
            output.set_chapters(chapters)
        if self._start is not None:
            self._input.seek(self._first_needed(self._start), backward=True)

    def video_tags(self) -> dict[str, str]:
        """Tags of the original's video stream (language, title), without its rotation."""
        video = self._main_video()
        return kept_tags(video.metadata) if video else {}

    def timecode(self, extension: str, first: Frame, rate: Fraction) -> str:
        """The timecode of the first frame written, "" without any; `notes` says why one is lost.

        Args:
            extension: of the output, without the dot.
            first: the frame, at its time in the original.
            rate: frames a second.
        """
        timecode = timecode_of(self._input, self._main_video())
        if not timecode:
            return ""
        if extension not in _HOLD_TIMECODE:
            self.notes.append(
                f"timecode {timecode} left out: .{extension} cannot hold it; .mov can"
            )
            return ""
        found = advanced(timecode, self._frames_before(first, rate), rate)
        if found is None:
            self.notes.append(
                f"timecode {timecode} left out: it is none of {float(rate):g} frames a second"
            )
        return found or ""

    def until(self, seconds: Fraction) -> Iterator[Packet[Any]]:
        """The next packets that start at or before a time of the output, ready to be muxed."""
        while self._step(seconds + _READ_AHEAD_SECONDS):
            packet = self._waiting
            if packet is not None:
                if _decode_seconds(packet) > seconds:
                    return
                self._waiting = None
                yield self._counted(packet)

    def rest(self, last_seconds: Fraction, end_seconds: Fraction) -> Iterator[Packet[Any]]:
        """What remains once the video is written.

        Args:
            last_seconds: when the last written frame starts, in the output.
            end_seconds: when it ends.

        Sound that goes on after the picture is kept whole, unless the video itself was cut
        short: then it ends with the picture.
        """
        held: list[Packet[Any]] = []
        limit = self._origin + last_seconds + _CUT_SHORT_SECONDS
        while self._video_seconds <= limit and self._step(None):
            if self._waiting is not None:
                held.append(self._waiting)
                self._waiting = None
        for packet in held:
            if self._video_seconds <= limit or _decode_seconds(packet) < end_seconds:
                yield self._counted(packet)
        for target, (time_base, cue_end) in self._last_cues.items():
            end = max(cue_end, end_seconds, self._muxed_seconds)
            yield empty_cue(target, time_base, end)

    def close(self) -> None:
        """Close the original. Idempotent."""
        self._packets.close()
        self._input.close()

    # ── streams and tags ─────────────────────────────────────────────────────────────────────

    def _first_needed(self, start: Fraction) -> int:
        """Where to read from, in microseconds: before the start if a cue can reach into it."""
        copied = (self._input.streams[index] for index in self._targets)
        has_cues = any(stream.type == "subtitle" for stream in copied)
        first = start - LONGEST_CUE_SECONDS if has_cues else start
        return max(int(first * av.time_base), self._input.start_time or 0)

    def _end_in_output(self) -> Fraction | None:
        return None if self._end is None else self._end - self._origin

    def _add(self, output: OutputContainer, stream: Stream, extension: str, alpha: bool) -> None:
        if _is_cover(stream) and extension not in ("mkv", "webm"):
            # MP4 written in fragments would get a second, empty video track with it.
            self.notes.append(f"cover picture left out: .{extension} is written without; .mkv can")
            return
        if not fits(stream, extension):
            if stream.type in ("audio", "subtitle"):
                self.notes.append(left_out(stream, extension, alpha=alpha))
            return
        target = output.add_stream_from_template(stream, opaque=True)
        target.metadata.update(kept_tags(stream.metadata))
        target.disposition = stream.disposition
        self._targets[stream.index] = target
        if _has_adts_headers(stream):
            self._filters[stream.index] = BitStreamFilterContext("aac_adtstoasc", in_stream=stream)

    def _frames_before(self, first: Frame, rate: Fraction) -> int:
        """How many frames of the original come before one of them."""
        video = self._main_video()
        if video is None or first.pts is None:
            return 0
        begin = (video.start_time or 0) * (video.time_base or Fraction(0))
        return max(round((first.pts * first.time_base - begin) * rate), 0)

    def _main_video(self) -> Stream | None:
        for stream in self._input.streams.video:
            if not _is_cover(stream):
                return stream
        return None

    # ── packets ──────────────────────────────────────────────────────────────────────────────

    def _step(self, limit: Fraction | None) -> bool:
        """Read one packet of the original unless one is waiting; False at the end or the limit."""
        if self._waiting is not None:
            return True
        if not self._targets or (limit is not None and self._position - self._origin > limit):
            return False
        try:
            self._waiting = next(self._packets)
        except StopIteration:
            return False
        return True

    def _demux(self) -> Generator[Packet[Any] | None]:
        """Each packet that is copied, at its place in the output; None for each that is not."""
        try:
            yield from self._demux_all()
        except MEDIA_FAILURES as error:
            logger.debug("reading sound: %r", error)
            self.notes.append(f"sound and subtitles end early: {reason(error)}")

    def _demux_all(self) -> Iterator[Packet[Any] | None]:
        video = self._main_video()
        video_index = -1 if video is None else video.index
        done: set[int] = set()
        for packet in self._input.demux():
            index = packet.stream_index
            if packet.size == 0 or packet.time_base is None:
                continue
            seconds = _start_seconds(packet)
            if seconds is not None and not _is_cover(packet.stream):
                self._position = max(self._position, seconds)
                if index == video_index:
                    self._video_seconds = max(self._video_seconds, seconds)
            if index not in self._targets or index in done:
                yield None
            elif self._in_range(packet, seconds):
                yield self._moved(packet)
            elif self._end is not None and seconds is not None and seconds >= self._end:
                done.add(index)
                if len(done) == len(self._targets):
                    return
            else:
                yield None

    def _in_range(self, packet: Packet[Any], seconds: Fraction | None) -> bool:
        if _is_cover(packet.stream):
            return True
        if seconds is None:
            return self._start is None
        if self._end is not None and seconds >= self._end:
            return False
        start = self._start
        return start is None or seconds >= start or seconds + cue_seconds(packet) > start

    def _counted(self, packet: Packet[Any]) -> Packet[Any]:
        """A packet that is muxed now; what the end of the subtitles needs is remembered of it."""
        seconds = _decode_seconds(packet)
        self._muxed_seconds = max(self._muxed_seconds, seconds)
        stream = packet.stream
        if stream.type == "subtitle" and stream.codec_context.name == "mov_text":
            self._last_cues[stream] = (packet.time_base, seconds + cue_seconds(packet))
        return packet

    def _moved(self, packet: Packet[Any]) -> Packet[Any]:
        """The packet at its place in the output."""
        target = self._targets[packet.stream_index]
        if _is_cover(packet.stream):
            packet.pts = packet.dts = 0
        elif self._origin:
            shift = round(self._origin / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
        if self._start is not None or self._end is not None:
            clip_cue(packet, self._end_in_output())
        if packet.stream_index in self._filters:
            time_base = packet.time_base
            (packet,) = self._filters[packet.stream_index].filter(packet)
            packet.time_base = time_base
        packet.stream = target
        return packet


def _start_seconds(packet: Packet[Any]) -> Fraction | None:
    ticks = packet.pts if packet.pts is not None else packet.dts
    return None if ticks is None else ticks * packet.time_base


def _decode_seconds(packet: Packet[Any]) -> Fraction:
    ticks = packet.dts if packet.dts is not None else packet.pts
    return (ticks or 0) * packet.time_base


def _is_cover(stream: Stream) -> bool:
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def _is_copied(stream: Stream) -> bool:
    if stream.type == "video":
        return bool(stream.disposition & Disposition.attached_pic)
    return stream.type in ("audio", "subtitle", "attachment")


def _has_adts_headers(stream: Stream) -> bool:
    """AAC of a transport stream: a header before each packet, which other containers do without.

    The muxers remove it by themselves, but not MP4's when it delays its own header.
    """
    context = stream.codec_context
    return context is not None and context.name == "aac" and not context.extradata
