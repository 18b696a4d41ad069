"""What sinks are told about the source, without depending on the sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fractions import Fraction

    from rvm.frame import PixelFormat
    from rvm.media.hdr10 import Hdr10


class SourceHints(Protocol):
    """What a sink likes to know of a source before the first frame; `SourceInfo` has it all."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def width(self) -> int:
        """Upright width in pixels."""

    @property
    def height(self) -> int:
        """Upright height in pixels."""

    @property
    def format(self) -> PixelFormat:
        """The frames' layout."""

    @property
    def frame_rate(self) -> Fraction | None:
        """Nominal frames a second; never used to time frames that have a time."""

    @property
    def frame_count(self) -> int | None:
        """How many frames the container claims."""

    @property
    def hdr10(self) -> Hdr10 | None:
        """Static metadata of an HDR picture."""

    @property
    def dynamic_hdr(self) -> tuple[str, ...]:
        """Names of HDR metadata that changes from scene to scene."""

    @property
    def original(self) -> Path | None:
        """The file whose sound, subtitles and tags are kept."""

    @property
    def start_seconds(self) -> float:
        """Where in `original` the frames start."""

    @property
    def end_seconds(self) -> float | None:
        """Where in `original` the frames end; None: with the file."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that the run reads."""

    @property
    def picture_names(self) -> tuple[str, ...]:
        """The name of each frame's picture file, where the frames are that; else none."""


def files_read(hints: SourceHints) -> list[Path]:
    """Every file that the run reads, as far as it is known: no output may take its place."""
    return [Path(hints.name), *([hints.original] if hints.original else []), *hints.files]
