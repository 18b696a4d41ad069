"""A single colour."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

import numpy as np

from rvm.colour import rgb
from rvm.compositing.base import Background
from rvm.compositing.css_colours import CSS_COLOURS
from rvm.errors import UsageError

if TYPE_CHECKING:
    from rvm.frame import Frame, Matte

Rgb = tuple[int, int, int]
_HEX = re.compile(r"#([0-9a-f]{3}|[0-9a-f]{6})", re.IGNORECASE)


def parse_colour(text: str) -> Rgb | None:
    """`#rgb`, `#rrggbb` or a CSS colour name as (red, green, blue) 0..255; None if neither.

    Raises:
        UsageError: it starts with # but is not a colour.
    """
    text = text.strip()
    if not text.startswith("#"):
        return CSS_COLOURS.get(text.lower())
    if not _HEX.fullmatch(text):
        raise UsageError(f"{text} is not a colour; write #rgb or #rrggbb, for instance #00b140")
    digits = text[1:] if len(text) == 7 else "".join(digit * 2 for digit in text[1:])
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


class SolidColour(Background):
    """One sRGB colour, in whatever format and tags the frame has.

    Args:
        colour: `#rgb`, `#rrggbb` or a CSS colour name.

    Raises:
        UsageError: not a colour; the message names the nearest one.
    """

    def __init__(self, colour: str) -> None:
        parsed = parse_colour(colour)
        if parsed is None:
            near = difflib.get_close_matches(colour.lower(), CSS_COLOURS, 1)
            hint = f"did you mean {near[0]}?" if near else "write #rrggbb or a CSS colour name"
            raise UsageError(f"unknown colour {colour!r}; {hint}")
        self.rgb: Rgb = parsed
        self._picture: Frame | None = None

    def behind(self, frame: Frame, matte: Matte) -> Frame:
        """See `Background.behind`."""
        if self._picture is None or not same_shape(self._picture, frame):
            self._picture = self._paint(frame)
        return self._picture

    def _paint(self, frame: Frame) -> Frame:
        pixel = np.array(self.rgb, np.uint8).reshape(1, 1, 3)
        samples = rgb.planes_from_display(pixel, frame.format, frame.colour)
        shapes = frame.format.plane_shapes(frame.width, frame.height)
        planes = tuple(
            np.ascontiguousarray(np.broadcast_to(sample[0, 0], shape))
            for sample, shape in zip(samples, shapes, strict=True)
        )
        return frame.with_picture(planes)


def same_shape(picture: Frame, frame: Frame) -> bool:
    """True if a picture made for another frame has the format, size and tags of this one."""
    return (picture.format, picture.size, picture.colour, picture.sample_aspect) == (
        frame.format,
        frame.size,
        frame.colour,
        frame.sample_aspect,
    )
