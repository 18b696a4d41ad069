"""The person's own colours as a file, to go with the matte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rvm.sinks.layers import LayerSink, foreground_layer
from rvm.sinks.writers import open_writer

if TYPE_CHECKING:
    from pathlib import Path

    from rvm.sinks.encoded import Encoding
    from rvm.sinks.hints import SourceHints


class ForegroundFileSink(LayerSink):
    """Straight foreground colours on and right beside the person, black elsewhere; opaque.

    Colours are not multiplied by alpha and go on a little beyond the edge: with the matte file
    they make a pair that any editor can put over any background.
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
        writer = open_writer(path, info=info, encoding=encoding, overwrite=overwrite)
        super().__init__(foreground_layer, writer)
