"""Files of still pictures: what they are called, and how OpenCV's samples of them are meant."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

#: Suffixes of the files that are read as still pictures.
PICTURE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm"})
#: Suffixes that say "a picture". As an input, AVIF is read like a video all the same: that keeps
#: its depth, primaries and curve, which OpenCV does not tell.
CALLED_PICTURES = PICTURE_SUFFIXES | {".avif"}

_PNM = re.compile(rb"P([2356])(?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+(\d+)\s")
_HEAD_BYTES = 4096


def decode_picture(data: npt.NDArray[np.uint8], flags: int) -> npt.NDArray[Any] | None:
    """The picture in a file's bytes, its samples over the whole range of their type.

    Args:
        data: (bytes,) the whole file.
        flags: OpenCV's `IMREAD_` ones.

    Returns:
        (rows, columns) or (rows, columns, channels) in OpenCV's order; None if it is no picture
        that this OpenCV reads.
    """
    import cv2

    try:
        picture = cv2.imdecode(data, flags)
    except cv2.error:  # empty data, or more pixels than OpenCV allows
        return None
    if picture is None or picture.dtype not in (np.uint8, np.uint16):
        return picture
    return _whole_range(picture, _white(data))


def _white(data: npt.NDArray[np.uint8]) -> int | None:
    """The greatest value of a sample where OpenCV hands it out as it is in the file, or None."""
    head = data[:_HEAD_BYTES].tobytes()
    if head[4:8] == b"ftyp":
        return _white_of_avif(head)
    found = _PNM.match(head)
    if found is None:
        return None
    as_text, white = found[1] in b"23", int(found[2])
    return None if as_text and white < 256 else white  # OpenCV has scaled those


def _white_of_avif(head: bytes) -> int | None:
    """By its AV1CodecConfigurationBox, whose third byte has high_bitdepth and twelve_bit."""
    place = head.find(b"av1C") + len(b"av1C") + 2
    if b"av1C" not in head or place >= len(head):
        return None
    high, twelve = head[place] & 0x40, head[place] & 0x20
    return (4095 if twelve else 1023) if high else 255


def _whole_range(picture: npt.NDArray[Any], white: int | None) -> npt.NDArray[Any]:
    top = int(np.iinfo(picture.dtype).max)
    if not white or white >= top:
        return picture
    scaled = (picture.astype(np.uint32) * top + white // 2) // white
    return np.minimum(scaled, top).astype(picture.dtype)
