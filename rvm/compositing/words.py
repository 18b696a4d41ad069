"""What a caller may give as a background, as the one text that `parse_background` reads."""

from __future__ import annotations

import operator
from pathlib import Path

from rvm.errors import UsageError

#: A text (see `parse_background`), the path of a file, or red, green and blue, 0..255 each.
BackgroundLike = str | Path | tuple[int, int, int]


def background_words(background: BackgroundLike) -> str:
    """`(0, 255, 0)` -> `#00ff00`; a path -> its text; a text -> itself.

    Raises:
        UsageError: something else, or an empty text.
    """
    if isinstance(background, Path):
        return str(background)
    if isinstance(background, tuple):
        return _hex(background)
    if not isinstance(background, str):
        raise UsageError(
            f"background: got {background!r}, expected a text, a path or a tuple (red, green, blue)"
        )
    if not background.strip():
        raise UsageError("background: got an empty text; leave it out for the usual one")
    return background


def _hex(colour: tuple[int, ...]) -> str:
    try:
        channels = [operator.index(channel) for channel in colour]
    except TypeError:
        channels = []
    if len(channels) != 3 or not all(0 <= channel <= 255 for channel in channels):
        raise UsageError(f"background: got {colour!r}, expected red, green and blue, 0..255 each")
    return "#" + bytes(channels).hex()
