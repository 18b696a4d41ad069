"""Y'CbCr to R'G'B' matrices, non-constant luminance."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from rvm.frame import Matrix

Float64 = npt.NDArray[np.float64]

#: (Kr, Kb): weights of red and blue in luma. BT.601 2.5.1, BT.709 3.2, BT.2020 table 4.
LUMA_WEIGHTS: dict[Matrix, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
}


@functools.cache
def rgb_to_yuv(matrix: Matrix) -> Float64:
    """3x3 from R'G'B' 0..1 to (Y' 0..1, Cb -0.5..0.5, Cr -0.5..0.5); identity for "rgb"."""
    if matrix == "rgb":
        return np.eye(3)
    red, blue = LUMA_WEIGHTS[matrix]
    luma = np.array([red, 1 - red - blue, blue])
    cb = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
    cr = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
    return np.stack([luma, cb, cr])


@functools.cache
def yuv_to_rgb(matrix: Matrix) -> Float64:
    """3x3 inverse of `rgb_to_yuv`."""
    return np.asarray(np.linalg.inv(rgb_to_yuv(matrix)), np.float64)
