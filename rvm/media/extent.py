"""How long a file claims to be, and whether all of it was there."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from rvm.media.truncation import missing_bytes

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Extent:
    """What a container says about its video stream, in seconds from the container's start.

    Attributes:
        origin_seconds: time stamp at which the container starts; 0 for most files.
        duration_seconds: claimed length of the video stream, or None.
        frame_count: claimed number of frames, or None.
        indexed_packets: packets listed in the file's own index, or None where it has no full one.
    """

    origin_seconds: Fraction
    duration_seconds: Fraction | None
    frame_count: int | None
    indexed_packets: int | None


def extent_of(container: InputContainer, stream: VideoStream, rate: Fraction | None) -> Extent:
    """Read the claims of an open container; `rate` is the nominal frame rate."""
    origin = Fraction(container.start_time or 0, _MICROSECONDS)
    duration = _claimed_seconds(container, stream, rate)
    is_mov = "mp4" in container.format.name.split(",")
    count: int | None = stream.frames if is_mov and stream.frames > 0 else None
    if count is None and duration is not None and rate:
        count = max(1, round(duration * rate))
    entries = len(stream.index_entries) if is_mov and stream.frames > 0 else 0
    return Extent(origin, duration, count, entries or None)


def _claimed_seconds(
    container: InputContainer, stream: VideoStream, rate: Fraction | None
) -> Fraction | None:
    tag = _tag_seconds(stream.metadata.get("DURATION", ""))
    if tag:
        return tag - Fraction(container.start_time or 0, _MICROSECONDS)
    claims = [Fraction(0)]
    if stream.duration and stream.duration > 0 and stream.time_base:
        claims.append(stream.duration * stream.time_base)
    if "avi" in container.format.name and stream.frames > 0 and stream.average_rate:
        claims.append(stream.frames / stream.average_rate)
    if claims == [0] and container.duration and container.duration > 0:
        claims.append(Fraction(container.duration, _MICROSECONDS))
    return max(claims) or None


def shortfall(
    extent: Extent, path: Path, *, packets: int | None, end_seconds: Fraction, frame: Fraction
) -> Fraction | None:
    """Seconds of video that the file claims but did not hold; None if it is complete.

    Args:
        extent: the claims.
        path: the file, whose outer structure is checked.
        packets: packets read from first to last, None if reading began in the middle.
        end_seconds: end of the last frame, from the container's start.
        frame: seconds of one frame.
    """
    claimed = extent.duration_seconds
    lost = Fraction(0) if claimed is None else claimed - end_seconds
    if extent.indexed_packets is not None and packets is not None:
        gone = extent.indexed_packets - packets
        cut = gone > 0 and (lost > frame / 2 or missing_bytes(path) > 0)
        return max(lost, gone * frame) if cut else None
    if missing_bytes(path) and (claimed is None or lost > frame / 2):
        return max(lost, Fraction(0))
    # The structure is whole or unknown. Claims alone are often a little wrong (an audio stream
    # that outlasts the picture, a rounded header), so only a gross difference counts.
    if claimed is not None and lost > max(Fraction(2), claimed / 10):
        return lost
    return None


def _tag_seconds(text: str) -> Fraction | None:
    """`00:00:02.600000000`, as Matroska's DURATION tag has it, in seconds."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except ValueError:
        return None
