"""Cover fit: fill the frame, keep the proportions, cut off what sticks out, from the middle."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

#: (left, top, width, height) in samples.
Rect = tuple[int, int, int, int]
_SQUARE = Fraction(1)


def cover_rect(
    width: int,
    height: int,
    to_width: int,
    to_height: int,
    aspect: Fraction = _SQUARE,
    to_aspect: Fraction = _SQUARE,
    grid: tuple[int, int] = (1, 1),
) -> Rect:
    """The middle part of a picture that has the proportions of the target.

    Args:
        width, height: size of the picture in pixels.
        to_width, to_height: size it will be scaled to.
        aspect, to_aspect: width over height of one pixel, before and after.
        grid: left and top are multiples of this (the chroma subsampling).

    Returns:
        a rectangle inside the picture, at least one pixel wide and high.
    """
    # What one source pixel's width is worth in source rows, once shown on the target.
    wanted = Fraction(to_width, to_height) * to_aspect / aspect
    if Fraction(width, height) > wanted:
        part_width, part_height = max(1, round(height * wanted)), height
    else:
        part_width, part_height = width, max(1, round(width / wanted))
    left = (width - part_width) // 2 // grid[0] * grid[0]
    top = (height - part_height) // 2 // grid[1] * grid[1]
    return left, top, part_width, part_height


def crop(samples: npt.NDArray[Any], rect: Rect) -> npt.NDArray[Any]:
    """A view of the rectangle."""
    left, top, width, height = rect
    return samples[top : top + height, left : left + width]


def scale(
    samples: npt.NDArray[Any], width: int, height: int, *, fast: bool = False
) -> npt.NDArray[Any]:
    """Resize (rows, columns[, channels]): mean over the area when shrinking, cubic when growing.

    Args:
        samples: uint8, uint16 or float32.
        width, height: wanted size.
        fast: for moving pictures: bilinear instead of cubic.
    """
    rows, columns = samples.shape[:2]
    if (columns, rows) == (width, height):
        return samples
    samples = np.ascontiguousarray(samples)
    if columns >= width and rows >= height:
        return cv2.resize(samples, (width, height), interpolation=cv2.INTER_AREA)
    grow = cv2.INTER_LINEAR if fast else cv2.INTER_CUBIC
    return cv2.resize(samples, (width, height), interpolation=grow)
