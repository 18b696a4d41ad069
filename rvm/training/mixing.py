"""A person and another place put together: blended, and their light and colours matched."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rvm.training import augmentation as aug
from rvm.training.augmentation import Rng

UInt8 = npt.NDArray[np.uint8]


def blend(alpha: UInt8, fgr: UInt8, back: UInt8) -> UInt8:
    """fgr * alpha + back * (1 - alpha); [T,h,w], [T,h,w,3], [T,h,w,3]."""
    a = alpha[..., None].astype(np.uint16)
    mixed = fgr * a + back * (255 - a) + 127
    return (mixed // 255).astype(np.uint8)


def match_light(fgr: UInt8, alpha: UInt8, back: UInt8, share: float) -> UInt8:
    """Move the person's mean colour towards the background's by ``share`` of the difference."""
    inside = alpha[0] > 127
    if not inside.any():
        return fgr
    person = fgr[0][inside].mean(0)
    room = back[0].reshape(-1, 3).mean(0)
    gain = np.clip((person + share * (room - person)) / np.maximum(person, 8), 0.4, 1.8)
    return brightened(fgr, gain)


def match_room(rng: Rng, back: UInt8, alpha: UInt8, fgr: UInt8) -> UInt8:
    """The place in the colour of some spot of the person: a dark wall behind dark hair.

    That colour is the mean of a patch around a random pixel of the person; the place's own mean
    goes most of the way there, channel by channel.
    """
    rows, columns = np.nonzero(alpha[0] > 250)
    if not rows.size:
        return back
    spot = int(rng.integers(rows.size))
    y, x, reach = int(rows[spot]), int(columns[spot]), max(2, alpha.shape[2] // 80)
    around = (slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1))
    colour = fgr[0][around][alpha[0][around] > 250].mean(0)
    room = np.maximum(back[0].reshape(-1, 3).mean(0), 4)
    gain = np.clip((room + rng.uniform(0.6, 1.0) * (colour - room)) / room, 0.1, 5)
    return brightened(back, gain)


def brightened(frames: UInt8, gain: npt.NDArray[np.float64]) -> UInt8:
    """Every channel times its factor of ``gain`` [3]."""
    table = np.arange(256, dtype=np.float32)[:, None] * gain.astype(np.float32)
    return aug.apply_tone(frames, table.clip(0, 255))
