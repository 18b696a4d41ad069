"""One pass through (a part of) a media file: open, seek, decode, and say if the end was missing."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from fractions import Fraction
from typing import TYPE_CHECKING

from av.codec.context import ThreadType

from rvm.errors import InputError
from rvm.gpu import capturing
from rvm.media.extent import extent_of, shortfall
from rvm.media.open import MEDIA_FAILURES, first_video_stream, is_local
from rvm.media.packets import PictureDecoder
from rvm.threads import thread_shares

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

logger = logging.getLogger(__name__)

#: How much further back to seek, in seconds, when a seek landed after its target.
_SEEK_BACK_SECONDS = (0, 4, 20)
#: Time stamps after a seek are guessed in program streams until the next one that is written
#: down; these are never more than 0.7 s apart (ISO/IEC 13818-1, 2.7.4).
_PROGRAM_STREAM_MARGIN_SECONDS = 2
#: How long `close` waits for the packet that another thread is reading.
_CLOSE_WAIT_SECONDS = 1.0


class Passage:
    """The pictures whose time lies in [start, end), counted from the start of the file.

    A picture without any time counts as inside. Seeking is exact: it decodes from a keyframe
    before the start and leaves out what is earlier.

    Args:
        opener: opens the container; called again if seeking fails.
        name: of the input, for messages.
        start, end: seconds from the container's first time stamp; `end` None is the file's end.
        on_device: the container decodes on a device, which gains nothing from threads here.

    Attributes:
        concealed: pictures handed out so far that the decoder had to make up in part.
    """

    def __init__(
        self,
        opener: Callable[[], InputContainer],
        name: str,
        start: Fraction = Fraction(0),
        end: Fraction | None = None,
        *,
        on_device: bool = False,
    ) -> None:
        self._opener = opener
        self.on_device = on_device
        self._name = name
        self._start, self._end = start, end
        self._stepping = threading.Lock()
        self._closed = False
        self._container: InputContainer | None = None
        self._ready: list[av.VideoFrame] = []
        self._damaged_before = 0
        self.concealed = 0
        self._whole = True
        self._end_seconds = Fraction(0)
        self._finished = False
        #: What beginning and ending to decode must not come between; see `rvm.gpu.capturing`.
        self._exclusive = capturing.LOCK if on_device else contextlib.nullcontext()
        try:
            self._open()
            if start > 0:
                self._go_to_start()
        except BaseException:
            self.close()
            raise

    @property
    def damaged(self) -> int:
        """Packets skipped so far, and pictures concealed."""
        return self._damaged_before + self._decoder.damaged + self.concealed

    @property
    def last_damage(self) -> str:
        """What was wrong with the last of those; "" without any."""
        return self._decoder.last_damage or ("a damaged picture" if self.concealed else "")

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines for the user about this stream."""
        if self.stream.metadata.get("alpha_mode") == "1":
            return ("the transparency of the input is ignored",)
        return ()

    def next_picture(self) -> av.VideoFrame | None:
        """The next picture of the part, or None at its end and after `close`."""
        picture = self._decoded()
        if picture is None or (self._end is not None and self.seconds_of(picture) >= self._end):
            return None
        # Those before the start are not counted: after a seek decoders may lack what they need.
        self.concealed += self._decoder.is_concealed(picture)
        return picture

    def seconds_of(self, picture: av.VideoFrame) -> Fraction:
        """Time of a picture from the start of the file; the start of the part if it has none."""
        if picture.pts is None:
            return self._start
        return picture.pts * self.time_base - self.extent.origin_seconds

    def cut_short(self, path: Path) -> str | None:
        """After the last picture: what of the file was missing, in words, or None."""
        if not self._finished or self._closed:
            return None
        rate = self.rate or Fraction(25)
        packets = self._decoder.packets if self._whole else None
        lost = shortfall(
            self.extent, path, packets=packets, end_seconds=self._end_seconds, frame=1 / rate
        )
        if lost is None:
            return None
        claimed, count = self.extent.duration_seconds, self.extent.frame_count
        if claimed is None or count is None:
            return "the file is cut short; its last part is missing"
        whole = f" ({self._decoder.pictures} of {count} frames)" if self._whole else ""
        seconds = f"{float(self._end_seconds):.2f} of {float(claimed):.2f} seconds"
        return f"the file is cut short: {seconds}{whole} could be read"

    def close(self) -> None:
        """Free the container. From any thread, at any time, more than once."""
        self._closed = True
        # FFmpeg must not lose its context in mid-call: wait for the step that is under way, and
        # if it hangs (a dead network disk) leave the closing to that thread.
        if self._stepping.acquire(timeout=_CLOSE_WAIT_SECONDS):
            try:
                self._free()
            finally:
                self._stepping.release()

    def _free(self) -> None:
        container, self._container = self._container, None
        self._ready = []
        if container is not None:
            with self._exclusive:
                container.close()

    def _open(self) -> None:
        self._free()
        self._decoding = False
        container = self._container = self._opener()
        self.stream = stream = first_video_stream(container, self._name)
        # Decoding several frames at once is fast, but holds each of them back: not for live ones.
        ahead = is_local(container) and not self.on_device
        stream.thread_type = ThreadType.AUTO if ahead else ThreadType.SLICE
        threads = 1 if self.on_device else thread_shares().decoder
        stream.codec_context.thread_count = threads
        self.rate = _frame_rate(stream)
        self.time_base = stream.time_base or Fraction(1, 90_000)
        frame_seconds = 1 / (self.rate or Fraction(25))
        self._decoder = PictureDecoder(container, stream, self._name, frame_seconds)
        self.extent = extent_of(container, stream, self.rate)
        self._program_stream = container.format.name == "mpeg"

    def _go_to_start(self) -> None:
        start = self.extent.origin_seconds + self._start
        if self._program_stream:
            start -= _PROGRAM_STREAM_MARGIN_SECONDS
        for back in _SEEK_BACK_SECONDS:
            target = start - back
            if target <= self.extent.origin_seconds:
                break
            try:
                self._decoder.seek(math.floor(target / self.time_base))
            except MEDIA_FAILURES as error:
                logger.debug("%s: cannot seek, reading from the start: %r", self._name, error)
                break
            self._whole = False
            picture = self._decoded()
            if picture is not None and self.seconds_of(picture) <= self._start:
                self._drop_until_start(picture)
                return
            self._ready = []
        self._damaged_before = self.damaged
        self._open()
        self._whole = True
        self._drop_until_start(self._decoded())

    def _drop_until_start(self, picture: av.VideoFrame | None) -> None:
        while picture is not None and self.seconds_of(picture) < self._start:
            picture = self._decoded()
        if picture is not None:
            self._ready.insert(0, picture)

    def _decoded(self) -> av.VideoFrame | None:
        """The next picture of the stream, or None at its end and after `close`."""
        while not self._ready:
            with self._stepping:
                if self._closed:
                    self._free()
                    return None
                # FFmpeg makes the decoder when it meets the first packet.
                with contextlib.nullcontext() if self._decoding else self._exclusive:
                    pictures = self._decoder.step()
                self._decoding = True
            if pictures is None:
                self._finished = True
                return None
            self._ready = pictures
        picture = self._ready.pop(0)
        frame = picture.duration * self.time_base if picture.duration else Fraction(0)
        self._end_seconds = max(self._end_seconds, self.seconds_of(picture) + frame)
        return picture


def _frame_rate(stream: VideoStream) -> Fraction | None:
    """Nominal frames a second; None if unknown or absurd (a time base taken for a rate)."""
    for rate in (stream.guessed_rate, stream.average_rate):
        if rate and 0 < rate <= 1000:
            return Fraction(rate)
    return None


def no_pictures(passage: Passage, name: str) -> InputError:
    """Why not a single picture came out, for an error."""
    count = passage.extent.frame_count
    if passage.damaged:
        return InputError(f"{name}: no frame can be decoded; the video is damaged or encrypted")
    claimed = f" ({count} are announced)" if count else ""
    return InputError(f"{name}: there is not a single frame in this file{claimed}")
