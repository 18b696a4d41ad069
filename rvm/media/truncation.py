"""Whether a file is shorter than its own structure says.

FFmpeg plays a cut-off Matroska or AVI file to its end without an error. The outermost elements of
these containers name their sizes, so a missing tail shows without decoding anything.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import BinaryIO

logger = logging.getLogger(__name__)

_EBML, _SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"
#: More boxes than any sane file has at the top level (a fragmented one has two a second or so).
_MOST_BOXES = 1_000_000


def missing_bytes(path: str | Path) -> int:
    """How many bytes the file's structure promises beyond its end; 0 if complete or unknown.

    Knows ISO media (MP4, MOV: boxes, ISO/IEC 14496-12), Matroska and WebM (EBML, RFC 8794), and
    RIFF (AVI). A Matroska segment of unknown size, as a live recording has, counts as complete.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(12)
            file.seek(0)
            if head[:4] == _EBML:
                end = _matroska_end(file)
            elif head[:4] == b"RIFF":
                end = _riff_end(file, size)
            elif head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
                end = _boxes_end(file, size)
            else:
                end = 0
    except (OSError, ValueError) as error:
        logger.debug("cannot check the structure of %s: %r", path, error)
        return 0
    return max(0, end - size)


def _boxes_end(file: BinaryIO, size: int) -> int:
    position = 0
    for _ in range(_MOST_BOXES):
        if position >= size:
            break
        file.seek(position)
        header = file.read(16)
        if len(header) < 8:
            return position + 8
        length = int.from_bytes(header[:4], "big")
        if length == 0:  # to the end of the file
            return size
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:
            return 0  # not a box; the demuxer shall judge
        position += length
    return position


def _riff_end(file: BinaryIO, size: int) -> int:
    position = 0
    while position + 8 <= size:
        file.seek(position)
        header = file.read(8)
        if header[:4] != b"RIFF":
            break
        position += 8 + int.from_bytes(header[4:], "little")
    return position


def _matroska_end(file: BinaryIO) -> int:
    """End of the first segment, 0 if its size is unknown."""
    for expected in (_EBML, _SEGMENT):
        if file.read(4) != expected:
            return 0
        length = _ebml_size(file)
        if length is None:
            return 0
        if expected == _SEGMENT:
            return file.tell() + length
        file.seek(length, 1)
    return 0


def _ebml_size(file: BinaryIO) -> int | None:
    """A variable-length size; None where all its bits are ones, which means unknown."""
    first = file.read(1)
    if not first or first[0] == 0:
        raise ValueError("bad EBML size")
    length = 9 - first[0].bit_length()
    value = int.from_bytes(first + file.read(length - 1), "big") & (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else value
