"""The guided filter at the size of the network's picture, for graphs that leave it out.

The same figures as `rvm.network.compact.guided_coefficients` (He et al., "Guided Image Filtering",
TPAMI 2013, with a window of 3x3 and a learnt regulariser): within each window alpha is taken for a
linear function of luma, whose factor is covariance over variance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from rvm.jit import kernels
from rvm.matting.refine import LUMA_709, luma_of

if TYPE_CHECKING:
    from rvm.frame import FloatImage
    from rvm.matting.contracts.base import Array

#: Of luma variance: what the network's logarithm of the regulariser moves around, and its bounds.
_BASE, _LEAST, _MOST = np.float32(6), np.float32(-4), np.float32(6)
_ZERO = np.float32(0)


def coarse_alpha(matte_planes: Array) -> FloatImage:
    """Alpha 0..1 [h,w] of the network's picture from its `matte_planes` [5,h/2,w/2]."""
    rows, columns = matte_planes.shape[1:]
    alpha = np.empty((2 * rows, 2 * columns), np.float32)
    for quarter in range(4):
        alpha[quarter // 2 :: 2, quarter % 2 :: 2] = matte_planes[quarter]
    alpha += np.float32(0.5)
    return np.asarray(np.clip(alpha, 0, 1, out=alpha), np.float32)


def mean_of_cells(matte_planes: Array) -> FloatImage:
    """`coarse_alpha` at half its size: 0..1 [h/2,w/2]."""
    alpha = np.asarray(matte_planes[:4], np.float32) + np.float32(0.5)
    return np.asarray(np.clip(alpha, 0, 1, out=alpha).mean(0), np.float32)


def guided_coefficients(picture: Array, matte_planes: Array) -> tuple[FloatImage, FloatImage]:
    """Factor and offset [h,w] so that `factor * luma + offset` follows alpha, with luma's edges.

    Args:
        picture: [3,h,w] RGB 0..1, what the network saw.
        matte_planes: [5,h/2,w/2], what the graph returned; finite.
    """
    picture = np.ascontiguousarray(picture, np.float32)
    matte_planes = np.ascontiguousarray(matte_planes, np.float32)
    fused = kernels("rvm.matting.fused_guide")
    if fused is None:
        return _fitted(luma_of(picture), matte_planes)
    factor, offset = (np.empty(picture.shape[1:], np.float32) for _ in range(2))
    fused.fit(picture, matte_planes, LUMA_709[0], (_LEAST, _MOST, _BASE), factor, offset)
    return factor, offset


def _fitted(luma: FloatImage, matte_planes: Array) -> tuple[FloatImage, FloatImage]:
    """What `fused_guide.fit` does."""
    size = (luma.shape[1], luma.shape[0])
    logarithm = cv2.resize(matte_planes[4], size, interpolation=cv2.INTER_LINEAR)
    regulariser = cv2.exp(np.clip(np.asarray(logarithm, np.float32), _LEAST, _MOST) - _BASE)
    return linear_fit(luma, coarse_alpha(matte_planes), regulariser, cv2.BORDER_REPLICATE)


def linear_fit(
    luma: FloatImage, alpha: FloatImage, regulariser: Array | np.float32, border: int
) -> tuple[FloatImage, FloatImage]:
    """Factor and offset [h,w] of alpha as a linear function of luma, in windows of 3x3.

    Args:
        luma, alpha: [h,w] 0..1.
        regulariser: added to luma's variance; one number or one a pixel.
        border: OpenCV's name for what lies beyond the edges.
    """

    def mean(plane: FloatImage) -> FloatImage:
        return np.asarray(cv2.blur(plane, (3, 3), borderType=border), np.float32)

    mean_luma, mean_alpha = mean(luma), mean(alpha)
    variance = np.maximum(mean(luma * luma) - mean_luma * mean_luma, _ZERO)
    covariance = mean(luma * alpha) - mean_luma * mean_alpha
    factor = np.asarray(covariance / (variance + regulariser), np.float32)
    return factor, np.asarray(mean_alpha - factor * mean_luma, np.float32)
