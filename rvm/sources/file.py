"""A video file, or a network camera, as a source."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from rvm.media.decode import VideoReader
from rvm.media.open import hide_secrets, open_stream
from rvm.sources.base import Source

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from rvm.frame import Frame


class FileSource(Source):
    """The video of a local file; see `rvm.media.decode.VideoReader`.

    Args:
        path: the file.
        start_seconds, duration_seconds: the part to read; counted from the start of the file.
        loop: start over at the end, for ever.

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
    ) -> None:
        end = None if duration_seconds is None else start_seconds + duration_seconds
        self._reader = VideoReader(path, start_seconds=start_seconds, end_seconds=end, loop=loop)
        self.info = self._reader.info

    @property
    def damaged(self) -> int:  # type: ignore[override]
        """Packets skipped so far because they could not be decoded."""
        return self._reader.damaged

    def __iter__(self) -> Iterator[Frame]:
        yield from self._reader

    def close(self) -> None:
        """Free the file."""
        self._reader.close()


class StreamSource(Source):
    """A network camera (`rtsp[s]://`, `http[s]://`), live.

    Raises:
        UnsafeInputError: another kind of address.
        InputError: no answer within `timeout_seconds`, or not a video stream; also from the
            iterator, when the camera stops sending for that long.
    """

    def __init__(self, url: str, *, timeout_seconds: float = 5.0) -> None:
        self._reader = VideoReader(
            hide_secrets(url), opener=lambda: open_stream(url, timeout_seconds=timeout_seconds)
        )
        self.info = dataclasses.replace(self._reader.info, frame_count=None, duration_seconds=None)

    @property
    def damaged(self) -> int:  # type: ignore[override]
        """Packets skipped so far because they could not be decoded."""
        return self._reader.damaged

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._reader:
            yield dataclasses.replace(frame, captured_at_seconds=time.monotonic())

    def close(self) -> None:
        """Leave the camera."""
        self._reader.close()
