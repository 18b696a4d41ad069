"""The contract of a source: something that yields frames until it ends.

* Frames come in presentation order with strictly increasing `index`; `pts` never goes backwards.
* End of the stream is the end of the iterator. An error that ends it early raises `InputError`
  (or `DeviceError` for a camera) *after* every good frame has been yielded.
* The frames are rotated upright and in one of `rvm.frame.PIXEL_FORMATS`.
* `close` may be called at any time, from another thread too, and more than once; an iterator that
  is blocked then ends soon. The one who opened a source closes it.
* Opening happens in the constructor: a source that exists can be read, and `info` is complete.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from rvm.closing import Closing
from rvm.frame import ColourTags, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rvm.frame import Frame
    from rvm.media.hdr10 import Hdr10


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known before the first frame.

    Attributes:
        name: for messages: the path, device or kind.
        width, height: upright size in pixels (a later frame may differ; it says so itself).
        format, colour, sample_aspect, time_base: as in `Frame`.
        frame_rate: nominal frames a second, or None; never used to time frames.
        frame_count, duration_seconds: what the container claims, or None; progress only.
        live: True if frames come at their own pace and waiting loses them.
        original: the media file whose sound, subtitles and tags an encoded output keeps.
        hdr10: static metadata of an HDR picture, or None.
        dynamic_hdr: names of HDR metadata that changes from scene to scene (`HDR10+`).
        start_seconds, end_seconds: the part of `original` that is read (None: to the end).
        files: every file that is read; no output may take the place of one.
        picture_names: the name of each frame's picture file, where the frames are that.
        notes: lines the user should see (for instance "10-bit 4:1:1 converted to 4:2:2").
    """

    name: str
    width: int
    height: int
    format: PixelFormat
    colour: ColourTags
    time_base: Fraction
    frame_rate: Fraction | None = None
    sample_aspect: Fraction = Fraction(1)
    frame_count: int | None = None
    duration_seconds: float | None = None
    live: bool = False
    hdr10: Hdr10 | None = None
    dynamic_hdr: tuple[str, ...] = ()
    original: Path | None = None
    start_seconds: float = 0.0
    end_seconds: float | None = None
    files: tuple[Path, ...] = ()
    picture_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Source(Closing):
    """One open source of frames."""

    info: SourceInfo
    #: Where the planes of its frames lie: "cpu", or a torch device they were decoded on.
    device: str = "cpu"
    #: Damaged packets and frames so far.
    damaged: int = 0
    #: How many of those are frames all the same, as the decoder patched them up.
    concealed: int = 0
    #: Times a lost camera was reopened.
    reopened: int = 0
    #: Seconds it was switched off because nobody wanted its frames.
    idle_seconds: float = 0.0

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, once."""
