"""A video file under construction: one encoder, one container, what the original adds to it.

Times are kept exactly: the stream's time base is the source's. (Matroska and WebM store whole
milliseconds; there a time is rounded to the nearest one.) A killed process leaves a file that
plays: MP4 and MOV are written in fragments of about a second that a clean end turns into an
ordinary file, Matroska in short clusters, and each packet is handed to the system at once.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import av

from rvm.clock_time import exact_seconds
from rvm.errors import InputError, OutputError
from rvm.gpu import capturing
from rvm.gpu.lanes import gpu_of
from rvm.media.encode import set_tags, tags_for, to_video_frame
from rvm.media.open import MEDIA_FAILURES
from rvm.sinks.codecs import CODECS, CONTAINERS, Codec, choose_codec, choose_format, quiet_encoders
from rvm.sinks.hints import files_read
from rvm.sinks.partial import PartialFile, check_target, kept_note, plain_reason
from rvm.sinks.passthrough import Passthrough
from rvm.sinks.times import OutputClock
from rvm.threads import thread_shares

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from rvm.frame import Frame, PixelFormat
    from rvm.gpu.nvenc import NvencFeeder
    from rvm.sinks.hints import SourceHints

logger = logging.getLogger(__name__)

_MOV_OPTIONS = {
    "movflags": "hybrid_fragmented+delay_moov",  # delay_moov: exact times through edit lists
    "flush_packets": "1",
    "max_interleave_delta": "1000000",
}
# A fragment must not begin between a P frame and the B frames shown before it: were those B
# frames all of the last fragment, the muxer would take the end of the video from them, and players
# would leave out the last picture. So with B frames each fragment begins with a key frame, and
# there is one every second.
_AT_KEY_FRAMES = {"movflags": _MOV_OPTIONS["movflags"] + "+frag_keyframe"}
_AT_KEY_FRAMES_SECONDS = 1
_AT_TIMES = {"frag_duration": "500000"}
_LEAST_MOVIE_TIMESCALE = 10_000
_MKV_OPTIONS = {
    "cluster_time_limit": "200",
    "avoid_negative_ts": "disabled",  # sound may start a little before the picture; keep both
    "flush_packets": "1",
    "max_interleave_delta": "1000000",
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the user wants a video encoded.

    Attributes:
        codec: a name in `rvm.sinks.codecs`, or "auto".
        crf: constant quality, lower is better; None: the codec's default.
        bitrate: bits a second instead of `crf`.
        preset: the encoder's speed preset; None: the codec's default.
        threads: encoder threads; 0: see `rvm.threads`.
        gpu: number of the GPU for encoders that work on one.
    """

    codec: str = "auto"
    crf: float | None = None
    bitrate: int | None = None
    preset: str | None = None
    threads: int = 0
    gpu: int = 0


class EncodedFile:
    """Takes frames, ends as a video file. Raises `OutputError` for all that goes wrong."""

    def __init__(
        self,
        path: Path,
        encoding: Encoding,
        hints: SourceHints,
        *,
        alpha: bool = False,
        gray: bool = False,
        keep: Literal["all", "tags", "nothing"] = "all",
        overwrite: bool = False,
    ) -> None:
        """Check everything that needs no frame, and claim the temporary file.

        Args:
            path: final name; its extension is the container.
            encoding: what the user asked for.
            hints: of the source.
            alpha: store the frames' transparency.
            gray: store only the luma where the codec can (FFV1).
            keep: what of `hints.original` is kept: sound, subtitles, chapters and tags; only
                chapters and tags; nothing.
            overwrite: replace what is there.

        Raises:
            UsageError: codec, container and options do not go together.
            OutputError: the place cannot be written.
        """
        self.path = path
        self.notes: list[str] = []
        self._encoding = encoding
        self._hints = hints
        self._alpha = alpha
        self._gray = gray
        self._extension = path.suffix.lower().removeprefix(".")
        self._codec = self._pick_codec(hints.format, (hints.width, hints.height))
        check_target(path, overwrite=overwrite, inputs=files_read(hints))
        self._container: OutputContainer | None = None
        self._passthrough: Passthrough | None = None
        if keep != "nothing" and hints.original is not None:
            self._passthrough = Passthrough(
                hints.original, start_seconds=hints.start_seconds,
                end_seconds=hints.end_seconds, streams=keep == "all",
            )  # fmt: skip
        try:
            self._partial = PartialFile(path, overwrite=overwrite)
        except OutputError:
            self._release()
            raise
        self._stream: VideoStream
        self._feeder: NvencFeeder | None = None
        self._ended = False
        self._clock = OutputClock(hints.frame_rate)
        self._size = (0, 0)

    # ── the three calls ──────────────────────────────────────────────────────────────────────

    def takes_from_device(self, frame: Frame) -> bool:
        """Whether the encoder takes this frame where it is, on a GPU, with nothing to convert."""
        codec = self._codec
        if not codec.on_gpu or gpu_of(frame.planes[0]) is None or self._alpha or self._gray:
            return False
        _, stored = choose_format(codec, frame.format, alpha=False, preset=self._encoding.preset)
        return stored == frame.format and stored.chroma_shift == (1, 1)

    def write(self, frame: Frame) -> None:
        """Encode one frame.

        Raises:
            InputError: its size is not that of the first frame.
            OutputError: encoding or writing failed.
        """
        if self._container is not None and frame.size != self._size:
            (width, height), (new_width, new_height) = self._size, frame.size
            raise InputError(
                f"{self._hints.name}: the picture size changes from {width}x{height} to "
                f"{new_width}x{new_height} at frame {frame.index}; a video file has one size"
            )
        with self._translated():
            if self._container is None:
                self._begin(frame)
            picture = self._picture(frame)
            picture.pts, picture.time_base, picture.duration = self._clock.stamp(frame)
            opened = self._stream.codec_context.is_open
            with contextlib.nullcontext() if opened else self._opening():
                packets = self._stream.encode(picture)
            self._mux(packets)

    def close(self) -> None:
        """Finish the file and give it its final name. Idempotent.

        Raises:
            OutputError: it cannot be finished; what there is keeps its temporary name.
        """
        if self._ended:
            return
        self._ended = True
        if self._container is None:
            self._release()
            self._partial.discard()
            self.notes.append(f"{self.path}: no frames, nothing was written")
            return
        try:
            with self._translated():
                self._finish()
            self._note_times()
        finally:
            self._release()
        self._partial.commit()

    def abort(self) -> None:
        """Leave what exists playable under the temporary name. Idempotent."""
        if self._ended:
            return
        self._ended = True
        try:
            if self._container is not None:
                self._finish()
        except MEDIA_FAILURES as error:
            logger.debug("finishing an aborted file: %r", error)
        self._release()
        kept = self._partial.keep()
        if kept is not None:
            self.notes.append(kept_note(self.path, kept))

    # ── beginning ────────────────────────────────────────────────────────────────────────────

    def _pick_codec(self, pixels: PixelFormat, size: tuple[int, int]) -> Codec:
        wanted = self._encoding
        name = "ffv1" if self._gray and wanted.codec == "auto" and self._extension == "mkv" else ""
        codec, note = choose_codec(
            name or wanted.codec, self._extension, alpha=self._alpha, depth=pixels.depth, size=size,
            gpu=wanted.gpu,
        )  # fmt: skip
        # Refuses at once what the codec does not know; `_choose_format` may set other defaults.
        self._options = codec.encoder_options(
            wanted.crf, wanted.bitrate, wanted.preset, full=self._alpha
        )
        if note and note not in self.notes:
            self.notes.append(note)
        return codec

    def _begin(self, frame: Frame) -> None:
        self._codec = self._pick_codec(frame.format, frame.size)
        self._choose_format(frame)
        origin = self._clock.begin(frame, self._origin(frame))
        self._container = av.open(
            str(self._partial.temporary.absolute()), "w", format=CONTAINERS[self._extension],
            container_options=self._container_options(),
        )  # fmt: skip
        self._size = frame.size
        if self.takes_from_device(frame):
            from rvm.gpu.nvenc import NvencFeeder

            self._feeder = NvencFeeder(frame, self._padded)
        self._stream = self._add_video(self._container, frame)
        if self._passthrough is not None:
            self._stream.metadata.update(self._passthrough.video_tags())
            self._add_timecode(self._passthrough, frame)
            self._passthrough.attach(self._container, self._extension, origin, alpha=self._alpha)
        if self._feeder is None:  # else it opens with its first picture
            with self._opening():
                self._stream.codec_context.open()
            self._container.start_encoding()

    @contextlib.contextmanager
    def _opening(self) -> Iterator[None]:
        """The encoder is opened inside."""
        quiet_encoders()
        try:
            with capturing.LOCK if self._codec.on_gpu else contextlib.nullcontext():
                yield
        except MEDIA_FAILURES as error:
            width, height = self._padded
            raise OutputError(
                f"{self.path}: {self._codec.name} does not take {width}x{height} {self._format} "
                f"pictures with these options ({plain_reason(error)}); try another --codec"
            ) from error

    def _container_options(self) -> dict[str, str]:
        if self._extension in ("mkv", "webm"):
            return _MKV_OPTIONS
        # MP4 delays a stream in ticks of the whole movie, by default milliseconds: make those
        # as fine as the video's, or a first frame at 21.3 ms comes out at 21.
        scale = self._clock.time_base.denominator
        while scale < _LEAST_MOVIE_TIMESCALE:
            scale *= 2
        fragments = _AT_KEY_FRAMES if self._codec.reorders else _AT_TIMES
        return {**_MOV_OPTIONS, **fragments, "movie_timescale": str(scale)}

    def _choose_format(self, frame: Frame) -> None:
        codec, pixels, wanted = self._codec, frame.format, self._encoding
        self._format, stored = choose_format(codec, pixels, alpha=self._alpha, preset=wanted.preset)
        full = self._alpha or stored.chroma_shift == (0, 0)
        self._options = codec.encoder_options(wanted.crf, wanted.bitrate, wanted.preset, full=full)
        if codec.on_gpu:
            self._options["gpu"] = str(wanted.gpu)
        if self._gray and codec.name == "ffv1":
            self._format = "gray"
        self._add_hdr10()
        self._note_dynamic_hdr()
        self._tags = tags_for(stored, frame, limited_only=codec.limited_only)
        step_x, step_y = (1 << shift for shift in stored.chroma_shift) if codec.even else (1, 1)
        width, height = frame.size
        self._padded = (width + -width % step_x, height + -height % step_y)
        if self._padded != frame.size:
            self.notes.append(
                f"{width}x{height} is padded to {self._padded[0]}x{self._padded[1]} by repeating "
                f"the edge: {codec.name} needs even sizes"
            )
        if _is_less(stored, pixels) and not self._gray:
            self.notes.append(f"stored as {self._format}: {codec.name} has no {pixels.name}")
        if frame.sample_aspect != 1 and not self._keeps_aspect():
            self.notes.append(
                f"the pixel shape {frame.sample_aspect} is not stored: .{self._extension} with "
                f"{codec.name} has no place for it; .mp4 and .mov have"
            )
        if self._tags.range != frame.colour.range and frame.format.family == "yuv":
            self.notes.append(f"stored with {self._tags.range} range: {codec.name} has no other")

    def _add_hdr10(self) -> None:
        hdr10, codec = self._hints.hdr10, self._codec
        if hdr10 is None or self._gray:
            return
        if codec.hdr10 is not None:
            self._options = codec.hdr10.added_to(self._options, hdr10)
            return
        able = ", ".join(other.name for other in CODECS.values() if other.hdr10)
        self.notes.append(
            "HDR10 metadata (mastering display, light level) left out: "
            f"{codec.name} does not take it here; {able} do"
        )

    def _note_dynamic_hdr(self) -> None:
        kinds = self._hints.dynamic_hdr
        if kinds and not self._gray:
            self.notes.append(
                f"{' and '.join(kinds)} metadata (scene by scene) left out: no codec here takes it"
            )

    def _add_timecode(self, original: Passthrough, frame: Frame) -> None:
        timecode = original.timecode(self._extension, frame, self._clock.rate)
        if timecode:
            self._stream.metadata["timecode"] = timecode

    def _keeps_aspect(self) -> bool:
        return self._codec.says_aspect or self._extension not in ("mkv", "webm")

    def _origin(self, frame: Frame) -> Fraction:
        """The time of the source that becomes zero in the output; never after the first frame."""
        if self._passthrough is not None:
            origin = self._passthrough.origin()
        else:
            origin = exact_seconds(self._hints.start_seconds)
        if frame.pts is None:
            return origin
        return max(min(origin, frame.pts * frame.time_base), Fraction(0))

    def _add_video(self, container: OutputContainer, frame: Frame) -> VideoStream:
        rate = self._clock.rate
        stream = container.add_stream(
            self._codec.encoder, rate=rate, options=self._options, width=self._padded[0],
            height=self._padded[1], time_base=self._clock.time_base,
        )  # fmt: skip
        context: Any = stream.codec_context
        context.pix_fmt = self._format if self._feeder is None else self._feeder.pix_fmt
        context.thread_count = self._encoding.threads or thread_shares().encoder
        if self._codec.reorders and self._extension not in ("mkv", "webm"):
            context.gop_size = max(1, round(rate * _AT_KEY_FRAMES_SECONDS))
        if self._encoding.bitrate is not None:
            context.bit_rate = self._encoding.bitrate
        if self._codec.tag and self._extension not in ("mkv", "webm"):
            context.codec_tag = self._codec.tag
        set_tags(context, self._tags)
        if frame.sample_aspect != 1:
            context.sample_aspect_ratio = frame.sample_aspect
        return stream  # type: ignore[return-value]

    # ── pictures, packets, times, ending ─────────────────────────────────────────────────────

    def _picture(self, frame: Frame) -> av.VideoFrame:
        if self._feeder is None or not self.takes_from_device(frame):
            return to_video_frame(
                frame, self._format, padded_size=self._padded, tags=self._tags,
                share=self._codec.copies,
            )  # fmt: skip
        picture = self._feeder.picture(frame)
        set_tags(picture, self._tags)
        return picture

    def _mux(self, packets: Iterable[Packet[Any]]) -> None:
        container = self._container
        assert container is not None  # noqa: S101 - set by _begin
        for packet in packets:
            self._clock.repair_decode_time(packet)
            if self._passthrough is not None and packet.dts is not None:
                container.mux(list(self._passthrough.until(packet.dts * packet.time_base)))
            container.mux(packet)

    def _finish(self) -> None:
        container = self._container
        assert container is not None  # noqa: S101 - callers looked
        self._mux(self._stream.encode(None))
        if self._passthrough is not None:
            last, end = self._clock.last_frame()
            for packet in self._passthrough.rest(last, end):
                container.mux(packet)
        container.close()

    def _note_times(self) -> None:
        if self._clock.moved:
            self.notes.append(f"{self._clock.moved} frames had no later time than the one before")

    def _release(self) -> None:
        if self._passthrough is not None:
            self._passthrough.close()
            self.notes.extend(self._passthrough.notes)
            self._passthrough = None
        if self._container is not None:
            with contextlib.suppress(*MEDIA_FAILURES):
                self._container.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn what PyAV raises into one plain line that says where the partial file is."""
        try:
            yield
        except (InputError, OutputError):
            raise
        except MEDIA_FAILURES as error:
            logger.debug("writing %s: %r", self.path, error)
            kept = ""
            with contextlib.suppress(OSError):
                if self._partial.temporary.stat().st_size:
                    kept = f"; what was written so far is {self._partial.temporary}"
            raise OutputError(f"{self.path}: {plain_reason(error)}{kept}") from error


def _is_less(stored: PixelFormat, original: PixelFormat) -> bool:
    """True if something of the picture is lost between two layouts."""
    coarser = any(a > b for a, b in zip(stored.chroma_shift, original.chroma_shift, strict=True))
    return stored.depth < original.depth or coarser
