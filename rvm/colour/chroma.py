"""Changing the size of planes: chroma subsampling and the network's small picture.

A chroma sample is taken to lie at the centre of the luma samples it covers. (H.264 and HEVC put
it a quarter of a chroma sample to the left by default; the difference is below what the eye or
the matte resolves, and is the same on the way there and back.)
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[Any]


def downsample(plane: Samples, shift: tuple[int, int], out: Samples | None = None) -> Samples:
    """Average over the 2^x by 2^y block of every chroma sample.

    An odd last row or column is repeated, so that the mean is over what is there.

    Args:
        plane: (rows, columns) or (rows, columns, channels); uint8, uint16 or float32.
        shift: log2 of the subsampling in x and y.
        out: memory to use for the result, if it fits.

    Returns:
        the same dtype, size divided and rounded up; `plane` itself where there is none.
    """
    x, y = shift
    if (x, y) == (0, 0):
        return plane
    rows, columns = plane.shape[:2]
    pad_x, pad_y = -columns % (1 << x), -rows % (1 << y)
    if pad_x or pad_y:
        plane = cv2.copyMakeBorder(plane, 0, pad_y, 0, pad_x, cv2.BORDER_REPLICATE)
    size = ((columns + pad_x) >> x, (rows + pad_y) >> y)
    return cv2.resize(plane, size, dst=out, interpolation=cv2.INTER_AREA)


def upsample(plane: Samples, shift: tuple[int, int], width: int, height: int) -> Samples:
    """Bilinear inverse of `downsample`: a plane of `width` x `height`."""
    x, y = shift
    if (x, y) == (0, 0):
        return plane
    size = (plane.shape[1] << x, plane.shape[0] << y)
    return cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)[:height, :width]


def resample(plane: Samples, width: int, height: int) -> Samples:
    """A plane at any size: by area when shrinking, bilinear when growing.

    Shrinking halves while it can (a 2x2 mean, which is fast) and takes the rest, a factor
    below two, bilinearly: within a code value or two of a true area mean at a tenth of the time.

    Args:
        plane: (rows, columns[, channels]), rows may be padded.
        width, height: wanted size in samples.
    """
    rows, columns = plane.shape[:2]
    while columns >= 2 * width and rows >= 2 * height:
        columns, rows = (columns + 1) // 2, (rows + 1) // 2
        plane = cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_LINEAR)
    if (columns, rows) == (width, height):
        return plane
    return cv2.resize(
        plane, (width, height), interpolation=_rest_filter(columns, rows, width, height)
    )


def _rest_filter(columns: int, rows: int, width: int, height: int) -> int:
    """Bilinear, unless one axis still shrinks by two or more (a very different aspect)."""
    shrinks = columns >= width and rows >= height
    if shrinks and (columns >= 2 * width or rows >= 2 * height):
        return int(cv2.INTER_AREA)
    return int(cv2.INTER_LINEAR)


def merge(planes: tuple[Samples, ...]) -> Samples:
    """Planes of one size as (rows, columns, 3)."""
    return cv2.merge(planes) if len(planes) > 1 else planes[0]


def round_to(samples: Samples, dtype: np.dtype[Any], max_value: int) -> Samples:
    """Nearest code value, clamped to 0..`max_value`."""
    if dtype == np.uint8:
        return saturate(samples, cv2.CV_8U)
    return np.minimum(saturate(samples, cv2.CV_16U), np.uint16(max_value))


def saturate(samples: Samples, cv_type: int) -> Samples:
    """Round float samples (rows, columns[, channels]) to an integer type, clamping to it."""
    # addWeighted is OpenCV's only exposed float-to-integer pass that keeps signs and is safe for
    # every shape (cv2.add with a scalar mistakes a 4x1 picture for one).
    return cv2.addWeighted(samples, 1.0, samples, 0.0, 0.0, dtype=cv_type)
