"""The matte as a file: gray video or gray PNG images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rvm.sinks.layers import LayerSink, matte_layer
from rvm.sinks.writers import open_writer

if TYPE_CHECKING:
    from pathlib import Path

    from rvm.sinks.encoded import Encoding
    from rvm.sinks.hints import SourceHints


class MatteFileSink(LayerSink):
    """Alpha as brightness, 0..255.

    `.mkv` is lossless (FFV1, 8-bit gray, full range) unless another codec is asked for, and so
    are PNG images; `.mp4`, `.mov` and `.webm` are lossy, luma is alpha in full range (in limited
    range where the codec has no other: ProRes).
    """

    def __init__(
        self,
        path: str | Path,
        *,
        info: SourceHints,
        encoding: Encoding | None = None,
        overwrite: bool = False,
    ) -> None:
        """Check everything that needs no frame; arguments as for `VideoFileSink`."""
        writer = open_writer(path, info=info, encoding=encoding, gray=True, overwrite=overwrite)
        super().__init__(matte_layer, writer)
