"""Decoding on a device: what a decoder there must offer, and when its pictures are taken.

A hardware decoder is used for a file only if its first picture is the same, sample for sample, as
the one decoded in software (the standards of `EXACT_CODECS` leave no freedom). So cropping, colour
layout and depth need no list of what which driver does. Whatever it does not do later on (a packet
that fails, a picture of another layout) is done in software again, see `VideoReader`. What it does
not tell of is a damaged slice that it has made up for in its own way.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from rvm.errors import RvmError
from rvm.media.open import MEDIA_FAILURES, reason
from rvm.media.planes import canonical_format, orientation_of, planes_of

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    import av
    from av.container import InputContainer

    from rvm.frame import ByteImage, PixelFormat, Plane
    from rvm.media.passage import Passage
    from rvm.media.planes import Orientation

logger = logging.getLogger(__name__)

#: FFmpeg's decoders of codecs whose result is fixed to the last bit.
EXACT_CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "libdav1d")
#: Layouts that hardware hands out: NV12 and P010, de-interleaved.
_LAYOUTS = ("yuv420p", "yuv420p10")


class HardwareDecoder(Protocol):
    """Decodes on one device and leaves the pictures there."""

    @property
    def device(self) -> str:
        """Where the planes lie, as torch writes it: "cuda:0"."""

    def open(self, path: str | os.PathLike[str]) -> InputContainer:
        """As `rvm.media.open.open_input`, but its video stream is decoded on the device.

        Raises:
            InputError: the device or its decoder cannot be used.
        """

    def format_of(self, picture: av.VideoFrame) -> PixelFormat | None:
        """What the planes of a picture will be; None if it does not lie on the device."""

    def planes(self, picture: av.VideoFrame, orientation: Orientation) -> tuple[Plane, ...]:
        """Upright planes of a picture on the device, copied there from the decoder's surface."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A passage whose first picture was decoded.

    Attributes:
        passage: reads on from there.
        picture: the first one; None if there is none.
        note: why it is not decoded on the device, for the user; "" if it is.
    """

    passage: Passage
    picture: av.VideoFrame | None
    note: str


def begin(
    decoder: HardwareDecoder, software: Callable[[], Passage], hardware: Callable[[], Passage]
) -> Begun:
    """Open a file on the device, or in software where the device cannot do what software does.

    Args:
        decoder: the device's.
        software, hardware: open the same part of the same file.

    Raises:
        InputError: it cannot be decoded in software either.
    """
    passage = software()
    try:
        picture = passage.next_picture()
        if picture is None or passage.damaged:
            return Begun(passage, picture, _note(decoder, "the file is damaged"))
        problem = _unfit(passage, picture)
    except BaseException:
        passage.close()
        raise
    if problem:
        return Begun(passage, picture, _note(decoder, problem))
    begun = _on_device(decoder, hardware, picture)
    if isinstance(begun, str):
        return Begun(passage, picture, _note(decoder, begun))
    passage.close()
    return begun


def _unfit(passage: Passage, picture: av.VideoFrame) -> str:
    """What about a file no device can do exactly, in words; "" if nothing."""
    codec = passage.stream.codec_context.name
    if codec not in EXACT_CODECS:
        return f"{codec} is decoded in software only"
    if canonical_format(picture).name not in _LAYOUTS or len(picture.format.components) != 3:
        return f"{picture.format.name} is decoded in software only"
    if picture.width % 2 or picture.height % 2:
        return f"{picture.width}x{picture.height} is an odd size"
    return ""


def _on_device(
    decoder: HardwareDecoder, hardware: Callable[[], Passage], expected: av.VideoFrame
) -> Begun | str:
    """The passage on the device, or why there is none."""
    passage = None
    try:
        passage = hardware()
        picture = passage.next_picture()
        if passage.damaged:
            problem = f"its decoder failed ({passage.last_damage})"
        else:
            problem = _difference(decoder, picture, expected)
        if not problem:
            return Begun(passage, picture, "")
    except (RvmError, *MEDIA_FAILURES) as error:
        logger.debug("%s cannot decode: %r", decoder.device, error)
        problem = reason(error)
    if passage is not None:
        passage.close()
    return problem


def _difference(
    decoder: HardwareDecoder, picture: av.VideoFrame | None, expected: av.VideoFrame
) -> str:
    """What is other about the device's picture than about that of software; "" if nothing."""
    format = None if picture is None else decoder.format_of(picture)
    if picture is None or format is None:
        return "its decoder does not take this file"
    orientation = orientation_of(expected)
    if (format, orientation_of(picture)) != (canonical_format(expected), orientation):
        return "its decoder gives another layout than software"
    if _tags(picture) != _tags(expected):
        return f"its decoder gives other times or colours: {_tags(picture)}, not {_tags(expected)}"
    pairs = zip(decoder.planes(picture, orientation), planes_of(expected, orientation), strict=True)
    return _furthest_apart([(plane.cpu().numpy(), other) for plane, other in pairs])


def _furthest_apart(pairs: list[tuple[ByteImage, ByteImage]]) -> str:
    """By how much planes differ, in words; "" where they are equal."""
    if all(np.array_equal(one, other) for one, other in pairs):
        return ""
    if any(one.shape != other.shape for one, other in pairs):
        return "its decoder gives another size than software"
    most = max(int(np.abs(one.astype(int) - other.astype(int)).max()) for one, other in pairs)
    return f"its decoder gives other samples than software (up to {most} codes off)"


def _tags(picture: av.VideoFrame) -> tuple[int | None, ...]:
    """Time and colour fields; FFmpeg's old full-range layouts have the range in their name too."""
    full = picture.format.name.startswith("yuvj")
    return (
        picture.pts, int(picture.colorspace), 2 if full else int(picture.color_range),
        int(picture.color_primaries), int(picture.color_trc),
    )  # fmt: skip


def _note(decoder: HardwareDecoder, problem: str) -> str:
    return f"decoded on the CPU, not on {decoder.device}: {problem}"
