"""A picture of one format and meaning in another: planes to planes where that is enough."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rvm.colour import chroma, ranges, rgb
from rvm.frame import ColourTags, Frame, PixelFormat, Plane

_DISPLAY_CURVES = ("bt709", "srgb")
#: Coefficients below this are rounding errors of a matrix and its inverse.
_NOTHING = 1e-9


def recode(frame: Frame, pixels: PixelFormat, tags: ColourTags) -> tuple[Plane, ...]:
    """The same picture, at its own size, as `pixels` with the meaning of `tags`.

    The same meaning costs nothing; another range, depth or matrix is arithmetic on the planes;
    everything else (other primaries, curve, subsampling, RGB) goes through display RGB.
    """
    if frame.format == pixels and same_meaning(frame.colour, tags):
        return frame.planes
    if _is_affine(frame, pixels, tags):
        return _recode_planes(frame, pixels, tags)
    return rgb.planes_from_display(rgb.to_display(frame), pixels, tags)


def same_meaning(one: ColourTags, other: ColourTags) -> bool:
    """True if equal code values of one layout look equal."""
    return (one.matrix, one.range) == (other.matrix, other.range) and _same_signal(one, other)


def _same_signal(one: ColourTags, other: ColourTags) -> bool:
    """True if equal R'G'B' look equal."""
    curves = {one.transfer, other.transfer}
    same_curve = len(curves) == 1 or curves.issubset(_DISPLAY_CURVES)
    return same_curve and one.primaries == other.primaries


def _is_affine(frame: Frame, pixels: PixelFormat, tags: ColourTags) -> bool:
    same_layout = (frame.format.family, frame.format.chroma_shift) == (
        pixels.family,
        pixels.chroma_shift,
    )
    return same_layout and pixels.family == "yuv" and _same_signal(frame.colour, tags)


def _recode_planes(frame: Frame, pixels: PixelFormat, tags: ColourTags) -> tuple[Plane, ...]:
    """Y'CbCr to Y'CbCr: neutral stays neutral, so chroma never needs luma."""
    first, second = (
        np.vstack([affine, [0, 0, 0, 1]])
        for affine in (
            ranges.code_to_rgb(frame.format, frame.colour),
            ranges.rgb_to_code(pixels, tags),
        )
    )
    matrix = np.where(np.abs(second @ first) < _NOTHING, 0, second @ first)
    if not matrix[0, 1:3].any() and not (matrix[1, 2] or matrix[2, 1]):
        return tuple(
            _scaled(plane, float(matrix[row, row]), float(matrix[row, 3]), pixels)
            for row, plane in enumerate(frame.planes)
        )
    luma, *rest = frame.planes
    colour = np.asarray(chroma.merge((*rest,)), np.float32)
    # what chroma and the constants give to each of Y, Cb, Cr
    parts = cv2.split(cv2.transform(colour, matrix[:3, 1:].astype(np.float32)))
    wide = chroma.upsample(parts[0], pixels.chroma_shift, frame.width, frame.height)
    bright = cv2.scaleAdd(np.asarray(luma, np.float32), float(matrix[0, 0]), wide)
    return tuple(
        chroma.round_to(part, pixels.dtype, pixels.max_value)
        for part in (bright, parts[1], parts[2])
    )


def _scaled(
    plane: npt.NDArray[Any], gain: float, offset: float, pixels: PixelFormat
) -> npt.NDArray[Any]:
    """One plane when only range or depth differ: gain and offset, rounded, in one pass."""
    depth = cv2.CV_8U if pixels.depth == 8 else cv2.CV_16U
    moved = cv2.addWeighted(plane, gain, plane, 0.0, offset, dtype=depth)
    return moved if pixels.depth in (8, 16) else np.minimum(moved, np.uint16(pixels.max_value))
