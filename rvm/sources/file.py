"""A video file as a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rvm.media.decode import VideoReader
from rvm.sources.base import Source

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from rvm.frame import Frame
    from rvm.media.hardware import HardwareDecoder


class FileSource(Source):
    """The video of a local file; see `rvm.media.decode.VideoReader`.

    Args:
        path: the file.
        start_seconds, duration_seconds: the part to read; counted from the start of the file.
        loop: start over at the end, for ever.
        device: decode on this CUDA device where that gives the same pictures; the frames' planes
            are then tensors there.

    Raises:
        InputError: the file cannot be opened, read or decoded.
        UsageError: a start or duration that makes no sense.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        loop: bool = False,
        device: str = "cpu",
    ) -> None:
        end = None if duration_seconds is None else start_seconds + duration_seconds
        self._reader = VideoReader(
            path, start_seconds=start_seconds, end_seconds=end, loop=loop, decoder=_decoder(device)
        )
        self.info = self._reader.info

    @property
    def device(self) -> str:  # type: ignore[override]
        """Where the next frames' planes lie."""
        return self._reader.device

    @property
    def damaged(self) -> int:  # type: ignore[override]
        """Packets skipped so far because they could not be decoded, and frames concealed."""
        return self._reader.damaged

    @property
    def concealed(self) -> int:  # type: ignore[override]
        """Damaged frames so far that came out as the decoder patched them up."""
        return self._reader.concealed

    def __iter__(self) -> Iterator[Frame]:
        yield from self._reader

    def close(self) -> None:
        """Free the file."""
        self._reader.close()


def _decoder(device: str) -> HardwareDecoder | None:
    if not device.startswith("cuda"):
        return None
    from rvm.gpu.nvdec import NvdecDecoder

    return NvdecDecoder(device)
