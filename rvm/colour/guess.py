"""Colour tags for a source that names none."""

from __future__ import annotations

import dataclasses
from typing import Literal

from rvm.frame import SRGB, ColourTags, Primaries

#: Widths of standard-definition broadcast and DVD lines, cropped or not (ITU-R BT.601: 720).
_BROADCAST_WIDTHS = range(702, 721)
_BROADCAST_PRIMARIES: dict[int, Primaries] = {
    576: "bt601-625",
    480: "bt601-525",
    486: "bt601-525",
}


def guess_tags(width: int, height: int, family: Literal["yuv", "rgb"] = "yuv") -> ColourTags:
    """The customary meaning of an untagged picture, marked `guessed`.

    From 720 rows (or 1280 columns) up players take BT.709, below it the BT.601 matrix; limited
    range for YUV. Primaries stay BT.709, which is what today's small pictures are made with,
    except for the broadcast sizes 720x576 and 720x480. RGB is sRGB, full range.

    Args:
        width, height: upright size in pixels.
        family: "yuv" or "rgb".
    """
    if family == "rgb":
        return dataclasses.replace(SRGB, guessed=True)
    if height >= 720 or width >= 1280:
        return ColourTags("bt709", "limited", "bt709", "bt709", guessed=True)
    primaries: Primaries = "bt709"
    if width in _BROADCAST_WIDTHS:
        primaries = _BROADCAST_PRIMARIES.get(height, "bt709")
    return ColourTags("bt601", "limited", primaries, "bt709", guessed=True)
