"""A decoded picture to a `Frame`: planes, orientation, pixel aspect and colour tags."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from rvm.errors import InputError
from rvm.frame import Frame
from rvm.media.open import MEDIA_FAILURES, reason
from rvm.media.planes import conversion_note, orientation_of, planes_of, upright_format
from rvm.media.tags import ColourNumbers, to_tags

if TYPE_CHECKING:
    import av

    from rvm.frame import ColourTags, PixelFormat, Plane
    from rvm.media.hardware import HardwareDecoder


class PictureConverter:
    """Makes frames of one stream's pictures.

    The orientation is that of the first picture. Size, format and colour are read from each
    picture, so that a change in mid-stream shows in the frame.

    Args:
        first: the stream's first picture.
        sample_aspect: width over height of a stored pixel, or None if the file does not say.
        name: of the input, for messages.
    """

    def __init__(self, first: av.VideoFrame, sample_aspect: Fraction | None, name: str) -> None:
        self._name = name
        self._orientation = orientation_of(first)
        aspect = sample_aspect if sample_aspect and sample_aspect > 0 else Fraction(1)
        self._aspect = 1 / aspect if self._orientation.swaps_axes else aspect
        self._tags: dict[tuple[ColourNumbers, int, int, str], ColourTags] = {}

    def frame(
        self,
        picture: av.VideoFrame,
        *,
        pts: int,
        time_base: Fraction,
        duration: int | None,
        index: int,
        decoder: HardwareDecoder | None = None,
    ) -> Frame:
        """The frame of a picture.

        Args:
            picture: decoded.
            pts, time_base, duration, index: see `Frame`.
            decoder: the device's that decoded it, where planes then stay; None: software.

        Raises:
            InputError: a pixel format or colour matrix that cannot be used.
        """
        width, height = picture.width, picture.height
        if self._orientation.swaps_axes:
            width, height = height, width
        planes, format = self._picture(picture, decoder)
        return Frame(
            planes=planes,
            format=format,
            width=width,
            height=height,
            pts=pts,
            time_base=time_base,
            index=index,
            colour=self._colour(picture, width, height),
            sample_aspect=self._aspect,
            duration=duration,
        )

    def notes(self, picture: av.VideoFrame, *, on_device: bool = False) -> tuple[str, ...]:
        """Lines for the user about what was changed on the way from this picture to its frame."""
        # What a device hands out is changed in nothing but its layout.
        note = None if on_device else conversion_note(picture, self._orientation)
        interlaced = "interlaced video: its two fields are treated as one picture"
        return (*((note,) if note else ()), *((interlaced,) if picture.interlaced_frame else ()))

    def _picture(
        self, picture: av.VideoFrame, decoder: HardwareDecoder | None
    ) -> tuple[tuple[Plane, ...], PixelFormat]:
        """Upright planes and their format."""
        if decoder is not None:
            format = decoder.format_of(picture)
            if format is not None:
                return decoder.planes(picture, self._orientation), format
        try:
            planes = planes_of(picture, self._orientation)
        except InputError:
            raise
        except MEDIA_FAILURES as error:
            raise InputError(
                f"{self._name}: pixel format {picture.format.name} cannot be used ({reason(error)})"
            ) from error
        return planes, upright_format(picture, self._orientation)

    def _colour(self, picture: av.VideoFrame, width: int, height: int) -> ColourTags:
        numbers = ColourNumbers(
            int(picture.colorspace), int(picture.color_range),
            int(picture.color_primaries), int(picture.color_trc),
        )  # fmt: skip
        key = (numbers, width, height, picture.format.name)
        if key not in self._tags:
            try:
                self._tags[key] = to_tags(*key)
            except InputError as error:
                raise InputError(f"{self._name}: {error}") from error
        return self._tags[key]
