"""The composed picture as a video file, with the original's sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rvm.sinks.encoded import EncodedFile, Encoding
from rvm.sinks.layers import LayerSink, picture_layer

if TYPE_CHECKING:
    from pathlib import Path

    from rvm.sinks.hints import SourceHints


class VideoFileSink(LayerSink):
    """Encodes pictures; copies sound, subtitles, chapters and tags of the original."""

    def __init__(
        self,
        path: Path,
        *,
        info: SourceHints,
        encoding: Encoding | None = None,
        alpha: bool = False,
        keep_audio: bool = True,
        overwrite: bool = False,
    ) -> None:
        """Check everything that needs no frame.

        Args:
            path: `.mp4`, `.m4v`, `.mov`, `.mkv` or `.webm`.
            info: of the source.
            encoding: codec and quality; None is automatic.
            alpha: keep the picture's transparency (`.mov`, `.webm`, `.mkv`).
            keep_audio: copy sound and subtitles of `info.original`.
            overwrite: replace what is there.

        Raises:
            UsageError: codec, container and options do not go together.
            OutputError: the place cannot be written.
        """
        writer = EncodedFile(
            path, encoding or Encoding(), info, alpha=alpha,
            keep="all" if keep_audio else "tags", overwrite=overwrite,
        )  # fmt: skip
        super().__init__(picture_layer, writer)
