"""Keep OpenCV from talking on stderr about what is then said in one plain line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: OpenCV's LOG_LEVEL_SILENT.
_SILENT = 0


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """No log lines of OpenCV inside (for the whole process)."""
    import cv2

    log: Any = getattr(cv2.utils, "logging", cv2)  # OpenCV 4.11 has the two functions at its top
    previous = log.getLogLevel()
    log.setLogLevel(_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(previous)
