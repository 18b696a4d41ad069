"""Lengths and moments as people write them: 90, 1:30, 0:01:30.5."""

from __future__ import annotations

import re

#: What `parse_seconds` takes, for messages.
CLOCK_FORMS = "seconds, MM:SS or HH:MM:SS"

_CLOCK = re.compile(r"(?:(\d+):)?(\d+):(\d{1,2}(?:\.\d*)?)")


def parse_seconds(text: str) -> float | None:
    """Seconds; None if the text is not of this kind.

    Seconds alone may be any number; after a colon, minutes and seconds are below 60.
    """
    clock = _CLOCK.fullmatch(text.strip())
    if clock is None:
        try:
            return float(text)
        except ValueError:
            return None
    hours, minutes, seconds = clock[1], int(clock[2]), float(clock[3])
    if seconds >= 60 or (hours is not None and minutes >= 60):
        return None
    return int(hours or 0) * 3600 + minutes * 60 + seconds
