"""How much of a person or a place a frame shows, and where."""

from __future__ import annotations

import numpy as np

from rvm.training.augmentation import Placement, Rng
from rvm.training.material import Still
from rvm.training.rarities import Rarities, happens

WIDE_SHARE = 0.3
"""How often a real picture may end inside the frame; its mirror image goes on from there."""

HEADLESS = (0.12, 0.5)
"""How much of a person is above the frame when the head is cut off."""

STANDING = 1.7
"""A person this much taller than wide stands, seen whole or nearly so."""

INSIDE = (0.01, 0.98)
"""A box whose upper and lower edge lie between these shares of the picture's height cuts nobody
off."""


def frame_person(
    rng: Rng, still: Still, size: tuple[int, int], *, natural: bool, rarities: Rarities
) -> tuple[tuple[float, float], Placement]:
    """Choose how much of a person is in frame: all, the upper body or the head.

    Returns the source anchor (middle of the visible part) and where it goes.
    """
    width, height = size
    left, top, right, bottom = still.box
    shown, fill = part_shown(rng, still, natural, rarities)
    scale = height * fill / ((bottom - top) * shown)
    if natural:
        scale = filling(rng, scale, still, size)
    upper = upper_edge(rng, still, scale, height, fill, natural=natural, rarities=rarities)
    spread = 0.1 if natural else 0.26
    x = width * (0.5 + np.clip(rng.normal(0, spread), -0.45, 0.45))
    stretch = np.exp(rng.normal(0, 0.06))
    angle = rng.normal(0, 3.0)
    anchor = ((left + right) / 2, float(top))
    return anchor, Placement(x, upper, scale * stretch, scale / stretch, angle)


def part_shown(rng: Rng, still: Still, natural: bool, rarities: Rarities) -> tuple[float, float]:
    """How much of the person is in frame, from the top down, and what share of it that fills."""
    left, top, right, bottom = still.box
    standing = bottom - top > STANDING * (right - left)
    shares = (1.0, 0.55, 0.36, 0.24, 0.16) if standing else (1.0, 1.0, 0.8, 0.6, 0.5)
    shown = float(rng.choice(shares, p=[0.22, 0.2, 0.24, 0.21, 0.13]))
    shown *= rng.uniform(0.9, 1.15)
    fill = rng.uniform(0.6, 1.0) if shown > 0.8 else rng.uniform(0.75, 1.0)
    if not natural and seen_from_afar(rng, standing, all(uncut(still)), rarities):
        return 1.0, rng.uniform(0.25, 0.6)
    return shown, fill


def uncut(still: Still) -> tuple[bool, bool]:
    """Whether the picture's upper edge leaves the person whole, and whether its lower edge does."""
    rows = still.alpha.shape[0]
    return still.box[1] >= INSIDE[0] * rows, still.box[3] <= INSIDE[1] * rows


def filling(rng: Rng, scale: float, still: Still, size: tuple[int, int]) -> float:
    """A scale that keeps most of the frame inside the picture, or shows all of it, mirrored."""
    width, height = size
    rows, columns = still.alpha.shape[:2]
    if rng.random() > WIDE_SHARE:
        scale = max(scale, width / columns * 0.92)
    return float(max(scale, height / rows * 0.98))


def upper_edge(
    rng: Rng, still: Still, scale: float, height: int, fill: float, *, natural: bool,
    rarities: Rarities,
) -> float:  # fmt: skip
    """Row of the frame where the person begins; above it, below 0, where the head is cut off."""
    tall = (still.box[3] - still.box[1]) * scale
    y = height * (rng.uniform(0.0, 0.06) + (1 - fill) * rng.uniform(0.2, 1.0))
    if happens(rng, rarities.headless):
        y = -tall * rng.uniform(*HEADLESS)
        if natural:  # the picture has to go on down to the frame's lower edge
            y = max(y, height - (still.alpha.shape[0] - still.box[1]) * scale)
    if not natural:  # who is cut off by the picture's edge must be by the frame's
        below_top, above_bottom = uncut(still)
        if not above_bottom:
            y = max(y, height - tall + 1)
        elif not below_top:
            y = min(y, -0.02 * height)
    return y


def seen_from_afar(rng: Rng, standing: bool, whole: bool, rarities: Rarities) -> bool:
    """Whether a cut-out person is; whoever does not stand, only if whole."""
    if standing:
        return bool(rng.random() < rarities.far)
    return whole and happens(rng, rarities.bent)


def cover(
    rng: Rng, source_w: int, source_h: int, size: tuple[int, int], most: float
) -> tuple[tuple[float, float], Placement]:
    """Let a picture cover the frame, zoomed in up to ``most`` times."""
    width, height = size
    scale = max(width / source_w, height / source_h) * rng.uniform(1.0, most)
    slack_x = max(0.0, source_w * scale - width) / 2
    slack_y = max(0.0, source_h * scale - height) / 2
    x = width / 2 + rng.uniform(-slack_x, slack_x)
    y = height / 2 + rng.uniform(-slack_y, slack_y)
    stretch = np.exp(rng.normal(0, 0.05))
    anchor = (source_w / 2, source_h / 2)
    return anchor, Placement(x, y, scale * stretch, scale / stretch, rng.normal(0, 2.0))
