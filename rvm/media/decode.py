"""Decode a video file into frames: upright, native planes, exact times, honest about damage."""

from __future__ import annotations

import logging
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rvm.clock_time import exact_seconds, exact_start
from rvm.closing import Closing
from rvm.errors import InputError, UsageError
from rvm.media.dynamic_hdr import dynamic_hdr_of
from rvm.media.hardware import begin
from rvm.media.hdr10 import hdr10_of
from rvm.media.open import open_input
from rvm.media.passage import Passage, no_pictures
from rvm.media.pictures import PictureConverter
from rvm.media.timeline import Timeline
from rvm.sources.base import SourceInfo

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator

    import av
    from av.container import InputContainer

    from rvm.frame import Frame
    from rvm.media.hardware import HardwareDecoder

logger = logging.getLogger(__name__)


class VideoReader(Closing):
    """The frames of the first real video stream of a local file.

    Frames come upright, in presentation order, in their native layout where a `Frame` can have
    it, with the file's own pts (see `Timeline` for what happens to bad ones). Opening decodes the
    first frame, so that `info` is complete. A frame of another size than `info` keeps its size.

    Args:
        path: the file; see `rvm.media.open.open_input` for what is refused.
        start_seconds: first moment to read, counted from the start of the file (0 is its first
            time stamp, whatever that is); frames before it are decoded and left out.
        end_seconds: first moment not to read; None reads to the end.
        loop: start over at the end, for ever; pts and index go on growing.
        opener: opens the container instead of `open_input(path)`; for network streams.
        decoder: decodes on a device where it gives the same pictures as software; the frames'
            planes then lie there. See `rvm.media.hardware` for what it does not do.
        was_compared: it was found to do so with this very file before, and need not be compared
            with software again.

    Attributes:
        info: what is known before the first frame is taken.

    Raises:
        InputError: the file cannot be opened, holds no video, or no frame of it can be decoded.
        UsageError: a start or end that makes no sense.
    """

    info: SourceInfo

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start_seconds: float = 0.0,
        end_seconds: float | None = None,
        loop: bool = False,
        opener: Callable[[], InputContainer] | None = None,
        decoder: HardwareDecoder | None = None,
        was_compared: bool = False,
    ) -> None:
        self._start = exact_start(start_seconds)
        if end_seconds is not None and not end_seconds > start_seconds:
            raise UsageError(f"end ({end_seconds} s) must come after start ({start_seconds} s)")
        self._name = str(path)
        self._path = Path(path)
        self._opener = opener or (lambda: open_input(path))
        self._is_file = opener is None
        self._end = None if end_seconds is None else exact_seconds(end_seconds)
        self._loop = loop
        self._decoder = decoder
        self._was_compared = was_compared
        self._index = 0
        self._damaged_before = self._concealed_before = 0
        self._taken = 0  # pictures of the current passage
        self._closed = False
        self._passage, picture, note = self._begin()
        try:
            self._first: Frame | None = self._read_first(picture, note)
        except BaseException:
            self.close()
            raise

    @property
    def device(self) -> str:
        """Where the planes of the next frames lie: "cpu", or the decoder's device."""
        on_device = self._decoder is not None and self._passage.on_device
        return self._decoder.device if self._decoder is not None and on_device else "cpu"

    @property
    def damaged(self) -> int:
        """Packets skipped so far because they could not be decoded, and frames concealed."""
        return self._damaged_before + self._passage.damaged

    @property
    def concealed(self) -> int:
        """Damaged frames so far that came out all the same, as the decoder patched them up."""
        return self._concealed_before + self._passage.concealed

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, once.

        Raises:
            InputError: after the last good frame, if the file is cut short or damaged from there.
        """
        first, self._first = self._first, None
        if first is not None and not self._closed:
            yield first
        while not self._closed:
            picture = self._next_picture()
            if picture is None:
                self._raise_if_cut_short()
                if not self._loop or self._closed:
                    break
                picture = self._start_over()
                if picture is None:
                    break
            yield self._frame(picture)

    def close(self) -> None:
        """Free the file. From any thread, at any time, more than once."""
        self._closed = True
        self._passage.close()

    def _begin(self) -> tuple[Passage, av.VideoFrame | None, str]:
        """The first passage, its first picture, and why that is not on the device."""
        if self._decoder is None:
            return self._in_software(), None, ""
        if self._was_compared:
            return self._on_device_again(), None, ""
        begun = begin(self._decoder, self._in_software, self._on_device)
        return begun.passage, begun.picture, begun.note

    def _in_software(self) -> Passage:
        return Passage(self._opener, self._name, self._start, self._end)

    def _on_device(self) -> Passage:
        decoder = self._decoder
        assert decoder is not None  # noqa: S101 - callers looked
        # Not through `self`: a cycle would keep the device's decoder until Python looks for those.
        opener = partial(decoder.open, self._path)
        return Passage(opener, self._name, self._start, self._end, on_device=True)

    def _read_first(self, picture: av.VideoFrame | None, note: str) -> Frame:
        if picture is None:
            picture = self._passage.next_picture()
        if picture is None:
            raise self._nothing_to_read()
        passage = self._passage
        self._timeline = Timeline(passage.time_base, passage.rate)
        aspect = passage.stream.sample_aspect_ratio
        self._pictures = PictureConverter(picture, aspect, self._name)
        self._taken = 1
        first = self._frame(picture)
        self.info = self._describe(first, picture, note)
        return first

    def _next_picture(self) -> av.VideoFrame | None:
        """The next picture; from the first one that the device does not give on, in software."""
        passage = self._passage
        try:
            picture = passage.next_picture()
        except InputError as error:
            if not passage.on_device:
                raise
            picture = self._go_on_in_software(str(error))
        else:
            if passage.on_device and passage.damaged:
                picture = self._go_on_in_software(passage.last_damage)
            elif passage.on_device and self._is_elsewhere(picture):
                picture = self._go_on_in_software("its decoder gave a picture in main memory")
        self._taken += 1
        return picture

    def _is_elsewhere(self, picture: av.VideoFrame | None) -> bool:
        """Whether a picture of the device's decoder does not lie on the device."""
        decoder = self._decoder
        return picture is not None and decoder is not None and decoder.format_of(picture) is None

    def _go_on_in_software(self, why: str) -> av.VideoFrame | None:
        """Decode anew from the start of the part, and leave out the pictures that were taken."""
        taken = self._taken
        logger.warning("%s: decoded on the CPU from frame %d on: %s", self._name, self._index, why)
        self._replace(self._in_software())
        for _ in range(taken):
            if self._passage.next_picture() is None:
                return None
        self._taken = taken
        return self._passage.next_picture()

    def _replace(self, passage: Passage) -> None:
        self._passage.close()
        self._passage = passage
        self._taken = 0
        if self._closed:
            passage.close()

    def _nothing_to_read(self) -> InputError:
        length = self._passage.extent.duration_seconds
        if self._start > 0 and length is not None and not self._passage.damaged:
            return InputError(
                f"{self._name}: nothing to read from {float(self._start):g} s on; "
                f"it lasts {float(length):.2f} s"
            )
        return no_pictures(self._passage, self._name)

    def _frame(self, picture: av.VideoFrame) -> Frame:
        duration = picture.duration if picture.duration and picture.duration > 0 else None
        frame = self._pictures.frame(
            picture,
            pts=self._timeline.place(picture.pts, duration),
            time_base=self._passage.time_base,
            duration=duration,
            index=self._index,
            decoder=self._decoder if self._passage.on_device else None,
        )
        self._index += 1
        return frame

    def _start_over(self) -> av.VideoFrame | None:
        """Open the file again; its first picture, or None if it was closed meanwhile."""
        passage = self._open_again()
        self._damaged_before += self._passage.damaged
        self._concealed_before += self._passage.concealed
        self._replace(passage)
        if self._closed:
            return None
        self._timeline.loop()
        picture = self._next_picture()
        if picture is None and not self._closed:
            raise no_pictures(self._passage, self._name)
        return picture

    def _open_again(self) -> Passage:
        return self._on_device_again() if self._passage.on_device else self._in_software()

    def _on_device_again(self) -> Passage:
        try:
            return self._on_device()
        except InputError as error:
            logger.warning("%s: decoded on the CPU from here on: %s", self._name, error)
            return self._in_software()

    def _raise_if_cut_short(self) -> None:
        words = self._passage.cut_short(self._path) if self._is_file else None
        if words is not None and not self._loop:
            raise InputError(f"{self._name}: {words}")

    def _describe(self, first: Frame, picture: av.VideoFrame, note: str) -> SourceInfo:
        passage, extent = self._passage, self._passage.extent
        end = self._end
        if extent.duration_seconds is not None:
            end = min(end or extent.duration_seconds, extent.duration_seconds)
        length = None if end is None or self._loop else max(end - self._start, Fraction(0))
        count = extent.frame_count if length == extent.duration_seconds else None
        if count is None and length is not None and passage.rate:
            count = max(1, round(length * passage.rate))
        return SourceInfo(
            name=self._name,
            width=first.width,
            height=first.height,
            format=first.format,
            colour=first.colour,
            time_base=passage.time_base,
            frame_rate=passage.rate,
            sample_aspect=first.sample_aspect,
            frame_count=None if self._loop else count,
            duration_seconds=None if length is None else float(length),
            live=not self._is_file,
            hdr10=hdr10_of(picture),
            dynamic_hdr=dynamic_hdr_of(picture),
            original=self._path if self._is_file else None,
            files=(self._path,) if self._is_file else (),
            start_seconds=float(self._start),
            end_seconds=None if self._end is None else float(self._end),
            notes=(
                *self._pictures.notes(picture, on_device=passage.on_device),
                *passage.notes,
                *((note,) if note else ()),
            ),
        )
