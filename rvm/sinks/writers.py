"""Which writer an output's name asks for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rvm.sinks.encoded import EncodedFile, Encoding
from rvm.sinks.images import is_images, open_images

if TYPE_CHECKING:
    from rvm.sinks.hints import SourceHints
    from rvm.sinks.layers import FrameWriter


def open_writer(
    spec: str | Path,
    *,
    info: SourceHints,
    encoding: Encoding | None = None,
    gray: bool = False,
    overwrite: bool = False,
) -> FrameWriter:
    """A writer without the original's sound: image files or a video, by the name.

    Raises:
        UsageError: the name, the codec and the options do not go together.
        OutputError: the place cannot be written.
    """
    if is_images(spec):
        return open_images(spec, info=info, gray=gray, overwrite=overwrite)
    return EncodedFile(
        Path(spec), encoding or Encoding(), info, gray=gray, keep="nothing", overwrite=overwrite
    )
