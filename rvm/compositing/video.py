"""A moving picture with its own clock."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rvm.colour.recode import recode
from rvm.compositing import fit
from rvm.compositing.base import Background
from rvm.compositing.solid import same_shape
from rvm.errors import InputError
from rvm.frame import Frame
from rvm.media.decode import VideoReader

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from rvm.frame import Matte, Plane

logger = logging.getLogger(__name__)

#: Length of a frame when neither its duration nor a rate is known.
_FALLBACK_SECONDS = 1 / 25
#: A picture due at the same instant counts as due, whatever two time bases make of that instant.
_TOLERANCE_SECONDS = 0.5e-3


class Video(Background):
    """A video or GIF behind the person, looped, covering the frame.

    It runs on the *frames'* clock: a frame `t` seconds after the first one is put before the
    picture that the video shows at `t` modulo its length. So a dropped frame does not slow the
    background down, and an offline run gives the same result every time. A frame without a time
    takes the next picture.

    Args:
        path: any local file that can be converted.

    Raises:
        InputError: not there, or not a video. A file that turns out to be cut short is looped as
            far as it goes, with a warning.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self._length: float | None = None
        self._start: float | None = None
        self._shown: Frame | None = None
        self._reader: VideoReader | None = None
        self._current, self._next = self._rewind()

    def behind(self, frame: Frame, matte: Matte) -> Frame:
        """See `Background.behind`."""
        before = self._current
        self._seek(self._time_of(frame))
        if self._shown is None or before is not self._current or not same_shape(self._shown, frame):
            self._shown = self._fitted(self._current, frame)
        return self._shown

    def close(self) -> None:
        """See `Background.close`."""
        if self._reader is not None:
            self._reader.close()

    def _time_of(self, frame: Frame) -> float:
        """Seconds since the first frame; the next picture's own time if the frame has none."""
        seconds = frame.pts_seconds
        if seconds is None:
            if self._shown is None:
                return 0.0
            return self._end_of(self._current) if self._next is None else self._at(self._next)
        if self._start is None:
            self._start = seconds
        return max(0.0, seconds - self._start) + _TOLERANCE_SECONDS

    def _seek(self, seconds: float) -> None:
        """Make `_current` the picture shown at `seconds`, decoding forward and looping."""
        if self._length is not None:
            seconds %= self._length
        if seconds < self._at(self._current):
            self._current, self._next = self._rewind()
        while self._next is not None and self._at(self._next) <= seconds:
            self._current, self._next = self._next, self._pull()
        if self._next is None and self._length is None:
            self._length = max(self._end_of(self._current), 1e-3)
            if seconds >= self._length:
                self._seek(seconds)

    def _rewind(self) -> tuple[Frame, Frame | None]:
        """Open the video afresh; its first two pictures."""
        self.close()
        self._reader = self._open()
        self._pictures: Iterator[Frame] = iter(self._reader)
        first = self._pull()
        if first is None:
            raise InputError(f"{self.path}: no picture in this background video; try another file")
        self._origin = first.pts_seconds or 0.0
        return first, self._pull()

    def _open(self) -> VideoReader:
        return VideoReader(self.path)

    def _fitted(self, picture: Frame, like: Frame) -> Frame:
        return fitted(picture, like)

    def _pull(self) -> Frame | None:
        try:
            return next(self._pictures, None)
        except InputError as error:
            logger.warning("background video loops as far as it can be read: %s", error)
            return None

    def _at(self, picture: Frame) -> float:
        return (picture.pts_seconds or 0.0) - self._origin

    def _end_of(self, picture: Frame) -> float:
        if picture.duration:
            return self._at(picture) + float(picture.duration * picture.time_base)
        rate = None if self._reader is None else self._reader.info.frame_rate
        return self._at(picture) + (float(1 / rate) if rate else _FALLBACK_SECONDS)


def fitted(picture: Frame, like: Frame) -> Frame:
    """A picture scaled to cover `like`, in its format and with its meaning."""
    planes = tuple(
        fit.scale(fit.crop(plane, part), shape[1], shape[0], fast=True)
        for plane, part, shape in cover(picture, like)
    )
    scaled = Frame(planes, picture.format, like.width, like.height, colour=picture.colour)
    return like.with_picture(recode(scaled, like.format, like.colour))


def cover(picture: Frame, like: Frame) -> Iterator[tuple[Plane, fit.Rect, tuple[int, ...]]]:
    """Each plane of a picture with the part of it that covers `like`, and its size there."""
    grid = (1 << picture.format.chroma_shift[0], 1 << picture.format.chroma_shift[1])
    rect = fit.cover_rect(
        picture.width, picture.height, like.width, like.height,
        picture.sample_aspect, like.sample_aspect, grid,
    )  # fmt: skip
    wanted = picture.format.plane_shapes(like.width, like.height)
    for index, (plane, shape) in enumerate(zip(picture.planes, wanted, strict=True)):
        yield plane, _at_plane(rect, grid if index else (1, 1)), shape


def _at_plane(rect: fit.Rect, step: tuple[int, int]) -> fit.Rect:
    """A rectangle of pixels as samples of a subsampled plane, rounded outwards."""
    left, top, width, height = rect
    return left // step[0], top // step[1], -(-width // step[0]), -(-height // step[1])
