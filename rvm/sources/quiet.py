"""Keep OpenCV from talking on stderr about what is then said in one plain line."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def quiet_opencv() -> Iterator[None]:
    """No log lines of OpenCV inside (for the whole process)."""
    import cv2

    log: Any = cv2.utils.logging
    previous = log.getLogLevel()
    log.setLogLevel(log.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(previous)
