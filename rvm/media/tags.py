"""FFmpeg's colour numbers to `ColourTags` and back.

The numbers are the code points of ITU-T H.273 (tables 2, 3 and 4); for the range they are FFmpeg's
own (1 limited, 2 full).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rvm.colour.guess import guess_tags
from rvm.errors import InputError
from rvm.frame import SRGB, ColourTags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rvm.frame import Matrix, Primaries, Range, Transfer

UNSPECIFIED = 2

# SMPTE 240M and FCC matrices differ from the one named here by less than 2 code values.
_MATRICES: Mapping[int, Matrix] = {
    0: "rgb", 1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601", 7: "bt709", 9: "bt2020",
    10: "bt2020",
}  # fmt: skip
_PRIMARIES: Mapping[int, Primaries] = {
    1: "bt709", 4: "bt601-525", 5: "bt601-625", 6: "bt601-525", 7: "bt601-525", 9: "bt2020",
    11: "display-p3", 12: "display-p3", 22: "bt601-625",
}  # fmt: skip
# 6, 14 and 15 are the BT.709 curve under other names; 4, 5 and 7 are plain powers close to it.
_TRANSFERS: Mapping[int, Transfer] = {
    1: "bt709", 4: "srgb", 5: "bt709", 6: "bt709", 7: "bt709", 8: "linear", 11: "bt709",
    13: "srgb", 14: "bt709", 15: "bt709", 16: "pq", 18: "hlg",
}  # fmt: skip
_RANGES: Mapping[int, Range] = {1: "limited", 2: "full"}

#: Matrices that are no linear Y'CbCr of the kinds above, so treating them as one gives false
#: colours: YCgCo and its reversible forms, ICtCp, IPT-C2, and derived constant luminance.
_UNKNOWN_MATRICES: Mapping[int, str] = {
    8: "YCgCo", 11: "YDzDx", 12: "chromaticity-derived", 13: "chromaticity-derived",
    14: "ICtCp", 15: "IPT-C2", 16: "YCgCo-Re", 17: "YCgCo-Ro",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ColourNumbers:
    """FFmpeg's four colour fields of a frame or codec context."""

    colorspace: int = UNSPECIFIED
    color_range: int = 0
    color_primaries: int = UNSPECIFIED
    color_trc: int = UNSPECIFIED


def to_tags(numbers: ColourNumbers, width: int, height: int, pixel_format: str) -> ColourTags:
    """What a decoded picture's colour fields mean; what is unspecified is guessed.

    Args:
        numbers: the fields as FFmpeg gives them.
        width, height: upright size in pixels; decides the guess.
        pixel_format: FFmpeg's name of the decoded format; `yuvj*` and gray are full range.

    Raises:
        InputError: a matrix that cannot be honoured.
    """
    if numbers.colorspace in _UNKNOWN_MATRICES:
        raise InputError(
            f"colour matrix {_UNKNOWN_MATRICES[numbers.colorspace]} is not supported; "
            "convert the video to BT.709 first"
        )
    if is_rgb(pixel_format):
        return _rgb_tags(numbers)
    guess = guess_tags(width, height, "yuv")
    matrix = _MATRICES.get(numbers.colorspace)
    if matrix in (None, "rgb"):
        # Wide primaries or an HDR curve without a matrix can only mean BT.2020.
        wide = numbers.color_primaries == 9 or numbers.color_trc in (16, 18)
        matrix = "bt2020" if wide else None
    full = pixel_format.startswith(("yuvj", "gray", "ya8", "ya16", "yaf", "mono"))
    default_range: Range = "full" if full else "limited"
    return ColourTags(
        matrix=matrix or guess.matrix,
        range=_RANGES.get(numbers.color_range, default_range),
        primaries=_PRIMARIES.get(numbers.color_primaries) or _usual_primaries(matrix, guess),
        transfer=_TRANSFERS.get(numbers.color_trc, "bt709"),
        guessed=matrix is None,
        transfer_number=numbers.color_trc if numbers.color_trc in _TRANSFERS else None,
    )


def to_numbers(colour: ColourTags) -> ColourNumbers:
    """The fields to write into an output with this colour."""
    primaries = {"bt709": 1, "bt601-625": 5, "bt601-525": 6, "bt2020": 9, "display-p3": 12}
    # The BT.709 curve has a name of its own in each standard: a file gets back the one it had,
    # and what never had one gets its standard's.
    curve = {"bt601-625": 6, "bt601-525": 6, "bt2020": 14}.get(colour.primaries, 1)
    transfers = {"bt709": curve, "linear": 8, "srgb": 13, "pq": 16, "hlg": 18}
    number = transfers[colour.transfer]
    if _TRANSFERS.get(colour.transfer_number or 0) == colour.transfer:
        number = colour.transfer_number or number
    bt601 = 5 if colour.primaries == "bt601-625" else 6
    matrices = {"rgb": 0, "bt709": 1, "bt601": bt601, "bt2020": 9}
    return ColourNumbers(
        colorspace=matrices[colour.matrix],
        color_range=2 if colour.range == "full" else 1,
        color_primaries=primaries[colour.primaries],
        color_trc=number,
    )


def is_rgb(pixel_format: str) -> bool:
    """Whether FFmpeg's pixel format of that name holds red, green and blue."""
    prefixes = ("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "x2rgb", "x2bgr", "pal8")
    return pixel_format.startswith((*prefixes, "bayer", "xyz"))


def _rgb_tags(numbers: ColourNumbers) -> ColourTags:
    # Decoders hand RGB out as full range whatever the range tag says, and players show it so.
    return ColourTags(
        matrix="rgb",
        range="full",
        primaries=_PRIMARIES.get(numbers.color_primaries, SRGB.primaries),
        transfer=_TRANSFERS.get(numbers.color_trc, SRGB.transfer),
    )


def _usual_primaries(matrix: Matrix | None, guess: ColourTags) -> Primaries:
    """Primaries that go with a matrix when the file names only the matrix."""
    if matrix in ("bt709", "bt2020"):
        return matrix
    return guess.primaries
