"""A second look at the same picture, left and right exchanged.

What a network gets wrong by chance it gets wrong otherwise on the mirror image, so the mean of both
mattes has finer and steadier outlines than either (models/compact.md has the figures), for twice
the network's time. Both are one batch of two, each with a memory of its own; that of the mirror
image is kept as the network left it, mirrored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rvm.matting.contracts.base import Array

_ALPHAS = 4
#: The pixels of a cell of `matte_planes`, left and right exchanged.
_EXCHANGED = [1, 0, 3, 2, 4]
_LIMIT = np.float32(0.5)


def put_mirror_image(pictures: Array) -> None:
    """Make the second of two pictures [2,c,h,w] the first one's mirror image, in place."""
    pictures[1] = pictures[0, ..., ::-1]


def second_turned(arrays: Array) -> Array:
    """[n,c,h,w] with left and right exchanged in the second of them, if there is one."""
    if len(arrays) == 1:
        return arrays
    return np.concatenate([arrays[:1], arrays[1:, ..., ::-1]])


def as_many(arrays: Array, count: int) -> Array:
    """As many of [n,c,h,w], neither of them turned, as asked for: one stands for two."""
    return arrays[:count] if len(arrays) >= count else np.repeat(arrays[:1], count, axis=0)


def mean_of_maps(maps: Array) -> Array:
    """[2,1,h,w] of a picture and its mirror image -> [1,1,h,w]."""
    return np.asarray((maps[:1] + maps[1:, ..., ::-1]) / 2, maps.dtype)


def mean_of_planes(planes: Array) -> Array:
    """`matte_planes` [2,5,h,w] of a picture and its mirror image -> [1,5,h,w].

    Alpha is clamped before, as whoever reads the planes does it afterwards.
    """
    both = np.array(planes)
    np.clip(both[:, :_ALPHAS], -_LIMIT, _LIMIT, out=both[:, :_ALPHAS])
    return np.asarray((both[:1] + both[1:, _EXCHANGED, :, ::-1]) / 2, planes.dtype)
