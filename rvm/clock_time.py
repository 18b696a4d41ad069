"""Lengths and moments as people write them: 90, 1:30, 0:01:30.5, and as they mean them."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from rvm.errors import UsageError

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


def exact_seconds(seconds: float) -> Fraction:
    """Seconds as a person typed them: 0.8 means 4/5, not the double nearest to it.

    That of 0.2 is a little above one fifth, and would leave out a frame at 0.2 s.
    """
    return Fraction(seconds).limit_denominator(1_000_000)


def exact_start(seconds: float) -> Fraction:
    """`exact_seconds` of where a part begins.

    Raises:
        UsageError: it is below 0, or no number.
    """
    if seconds < 0 or not math.isfinite(seconds):
        raise UsageError(f"start must be 0 or more seconds, not {seconds}")
    return exact_seconds(seconds)
