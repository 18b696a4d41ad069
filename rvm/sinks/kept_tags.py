"""Which tags of the original go on being true of an output."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

#: Tags that describe the old file rather than its content.
_STALE = frozenset({
    "major_brand", "minor_version", "compatible_brands", "encoder", "duration", "rotate", "bps",
    "number_of_frames", "number_of_bytes", "vendor_id", "timecode", "stereo_mode", "alpha_mode",
})  # fmt: skip


def kept_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags of a file or stream without those that describe only the old one."""
    return {
        name: value
        for name, value in tags.items()
        if name.lower() not in _STALE and not name.startswith("_STATISTICS")
    }


def timecode_of(container: InputContainer, video: Stream | None) -> str:
    """What the file calls its first frame: said of the video, of all of it, or by a track."""
    of_video = video.metadata if video else {}
    of_tracks = [stream.metadata for stream in container.streams if stream.type == "data"]
    for tags in (of_video, container.metadata, *of_tracks):
        for name, value in tags.items():
            if name.lower() == "timecode" and value:
                return value
    return ""
