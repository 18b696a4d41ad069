"""The guided filter at the size of the network's picture in one pass; see `rvm.matting.guide`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rvm.jit import compiled

Floats = npt.NDArray[np.float32]

_NINTH = np.float32(1 / 9)
_NEAR, _FAR = np.float32(0.75), np.float32(0.25)
_HALF, _ONE, _ZERO = np.float32(0.5), np.float32(1), np.float32(0)


@compiled
def fit(
    picture: Floats,
    planes: Floats,
    weights: Floats,
    bounds: tuple[np.float32, np.float32, np.float32],
    factor: Floats,
    offset: Floats,
) -> None:
    """`guide.guided_coefficients`, windows of 3x3 with the edges repeated.

    Args:
        picture: (3, rows, columns) RGB 0..1.
        planes: (5, rows / 2, columns / 2), finite.
        weights: of red, green and blue in luma.
        bounds: least and most of the regulariser's logarithm, and what is taken off it, so that
            -10 to 0 are left.
        factor, offset: (rows, columns), the result.
    """
    rows, columns = factor.shape
    luma, alpha = _luma(picture, weights), _alpha(planes)
    regulariser = np.empty(columns, np.float32)
    sums = np.empty((4, columns + 2), np.float32)
    for y in range(rows):
        _regulariser(planes[4], y, bounds, regulariser)
        _sum_three(
            (luma[max(y - 1, 0)], luma[y], luma[min(y + 1, rows - 1)]),
            (alpha[max(y - 1, 0)], alpha[y], alpha[min(y + 1, rows - 1)]),
            sums,
        )
        _divide(sums, regulariser, factor[y], offset[y])


@compiled
def _luma(picture: Floats, weights: Floats) -> Floats:
    """The weighted sum of red, green and blue."""
    red, green, blue = weights[0], weights[1], weights[2]
    luma = np.empty((picture.shape[1], picture.shape[2]), np.float32)
    for y in range(luma.shape[0]):
        for x in range(luma.shape[1]):
            luma[y, x] = red * picture[0, y, x] + green * picture[1, y, x] + blue * picture[2, y, x]
    return luma


@compiled
def _alpha(planes: Floats) -> Floats:
    """The four pixels of every cell side by side, 0..1."""
    rows, columns = planes.shape[1:]
    alpha = np.empty((2 * rows, 2 * columns), np.float32)
    for y in range(2 * rows):
        left, right = planes[2 * (y % 2), y // 2], planes[2 * (y % 2) + 1, y // 2]
        for x in range(columns):
            alpha[y, 2 * x] = min(max(left[x] + _HALF, _ZERO), _ONE)
            alpha[y, 2 * x + 1] = min(max(right[x] + _HALF, _ZERO), _ONE)
    return alpha


@compiled
def _regulariser(
    logarithm: Floats, y: int, bounds: tuple[np.float32, np.float32, np.float32], row: Floats
) -> None:
    """Row `y` of the exponential of the twice as large, bilinear logarithm."""
    small_rows, columns = logarithm.shape
    near = logarithm[y // 2]
    far = logarithm[min(max(y // 2 - 1 + 2 * (y % 2), 0), small_rows - 1)]
    mixed = np.empty(columns + 2, np.float32)
    for x in range(columns):
        mixed[x + 1] = _NEAR * near[x] + _FAR * far[x]
    mixed[0], mixed[columns + 1] = mixed[1], mixed[columns]
    for x in range(columns):
        row[2 * x] = _FAR * mixed[x] + _NEAR * mixed[x + 1]
        row[2 * x + 1] = _NEAR * mixed[x + 1] + _FAR * mixed[x + 2]
    least, most, base = bounds
    for x in range(row.size):
        row[x] = _exponential(min(max(row[x], least), most) - base)


@compiled
def _exponential(x: Any) -> Any:
    """exp(x) of x in -10..0 to five digits: the series of x / 64, squared six times.

    Unlike the library's it is done for many numbers at once.
    """
    t = x * np.float32(1 / 64)
    power = _ONE + t * (_ONE + t * (_HALF + t * (np.float32(1 / 6) + t * np.float32(1 / 24))))
    for _ in range(6):
        power = power * power
    return power


@compiled
def _sum_three(
    luma: tuple[Floats, Floats, Floats], alpha: tuple[Floats, Floats, Floats], sums: Floats
) -> None:
    """Sums over three rows of luma, alpha, luma squared and their product; ends repeated."""
    columns = luma[0].size
    for x in range(columns):
        above, here, below = luma[0][x], luma[1][x], luma[2][x]
        sums[0, x + 1] = above + here + below
        sums[1, x + 1] = alpha[0][x] + alpha[1][x] + alpha[2][x]
        sums[2, x + 1] = above * above + here * here + below * below
        sums[3, x + 1] = above * alpha[0][x] + here * alpha[1][x] + below * alpha[2][x]
    for quantity in range(4):
        sums[quantity, 0] = sums[quantity, 1]
        sums[quantity, columns + 1] = sums[quantity, columns]


@compiled
def _divide(sums: Floats, regulariser: Floats, factor: Floats, offset: Floats) -> None:
    """Covariance over regularised variance, and what is left for the offset."""
    luma, alpha, square, product = sums[0], sums[1], sums[2], sums[3]
    for x in range(factor.size):
        mean_luma = (luma[x] + luma[x + 1] + luma[x + 2]) * _NINTH
        mean_alpha = (alpha[x] + alpha[x + 1] + alpha[x + 2]) * _NINTH
        mean_square = (square[x] + square[x + 1] + square[x + 2]) * _NINTH
        mean_product = (product[x] + product[x + 1] + product[x + 2]) * _NINTH
        variance = max(mean_square - mean_luma * mean_luma, _ZERO)
        found = (mean_product - mean_luma * mean_alpha) / (variance + regulariser[x])
        factor[x] = found
        offset[x] = mean_alpha - found * mean_luma
