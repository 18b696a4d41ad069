"""SMPTE timecode: what the first frame of a part is called."""

from __future__ import annotations

import re
from fractions import Fraction

#: Rates whose timecode may leave out numbers to keep up with the clock: how many, once a minute
#: but every tenth.
_DROPPED_NUMBERS = {Fraction(30000, 1001): 2, Fraction(60000, 1001): 4}
_FORM = re.compile(r"(\d{2}):(\d{2}):(\d{2})([:;.])(\d{2,3})")


def advanced(timecode: str, frames: int, rate: Fraction) -> str | None:
    """The timecode some frames later; None if it makes no sense at that rate.

    Args:
        timecode: `hh:mm:ss:ff`; a semicolon (or a point) before the frames means drop-frame.
        frames: how many frames later; 0 only checks it.
        rate: frames a second.
    """
    match = _FORM.fullmatch(timecode.strip())
    if match is None:
        return None
    hours, minutes, seconds, frame = (int(match[group]) for group in (1, 2, 3, 5))
    drops = match[4] != ":"
    dropped = _DROPPED_NUMBERS.get(rate, 0) if drops else 0
    nominal = round(rate)
    if frame >= nominal or minutes > 59 or seconds > 59 or (drops and not dropped):
        return None
    minute = hours * 60 + minutes
    count = (minute * 60 + seconds) * nominal + frame - dropped * (minute - minute // 10)
    return _written(count + frames, nominal, dropped)


def _written(count: int, nominal: int, dropped: int) -> str:
    """The timecode of the frame with this number, counted from midnight."""
    ten_minutes = 600 * nominal - 9 * dropped
    tens, rest = divmod(count % (144 * ten_minutes), ten_minutes)
    # The first of ten minutes is whole, each other one lacks its first numbers.
    later = max(rest - 60 * nominal, 0) // (60 * nominal - dropped) + (rest >= 60 * nominal)
    number = tens * 600 * nominal + rest + dropped * later
    seconds, frame = divmod(number, nominal)
    minutes, second = divmod(seconds, 60)
    separator = ";" if dropped else ":"
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}{separator}{frame:02d}"
