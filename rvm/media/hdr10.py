"""HDR10's static metadata: the display a picture was graded on, and how bright it gets."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from rvm.media.side_data import side_data_of

if TYPE_CHECKING:
    import av

#: libavutil's AVMasteringDisplayMetadata: ten fractions, and which of them are known.
_DISPLAY = struct.Struct("=22i")
#: Its AVContentLightMetadata.
_LIGHT = struct.Struct("=2I")

Chromaticity = tuple[Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class MasteringDisplay:
    """A display (SMPTE ST 2086).

    Attributes:
        red, green, blue, white: CIE 1931 (x, y) of its primaries and white.
        darkest, brightest: luminance in cd/m².
    """

    red: Chromaticity
    green: Chromaticity
    blue: Chromaticity
    white: Chromaticity
    darkest: Fraction
    brightest: Fraction


@dataclass(frozen=True, slots=True)
class Hdr10:
    """What a stream says of itself; at least one of the two is there.

    Attributes:
        display: it was mastered on.
        light: brightest pixel and brightest frame on average (MaxCLL, MaxFALL; CTA-861.3), cd/m².
    """

    display: MasteringDisplay | None
    light: tuple[int, int] | None


def hdr10_of(picture: av.VideoFrame) -> Hdr10 | None:
    """What a decoded picture carries; None if nothing, or nothing complete."""
    found = side_data_of(picture)
    display = _display(found.get("MASTERING_DISPLAY_METADATA", b""))
    light = _light(found.get("CONTENT_LIGHT_LEVEL", b""))
    return Hdr10(display, light) if display or light else None


def _display(data: bytes) -> MasteringDisplay | None:
    if len(data) < _DISPLAY.size:
        return None
    numbers = _DISPLAY.unpack_from(data)
    pairs = list(zip(numbers[0:20:2], numbers[1:20:2], strict=True))
    if not all(numbers[20:]) or not all(below for _, below in pairs):
        return None
    values = [Fraction(above, below) for above, below in pairs]
    red, green, blue, white = zip(values[0:8:2], values[1:8:2], strict=True)
    return MasteringDisplay(red, green, blue, white, values[8], values[9])


def _light(data: bytes) -> tuple[int, int] | None:
    if len(data) < _LIGHT.size:
        return None
    brightest, average = _LIGHT.unpack_from(data)
    return (brightest, average) if brightest or average else None
