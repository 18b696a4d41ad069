"""Code values: limited and full range at every depth, joined with the matrix to one affine map.

ITU-T H.273 8.3: limited range puts luma (and RGB) at 16..235 and chroma at 16..240 around 128,
times 2^(depth-8); full range uses 0..2^depth-1, chroma centred on 2^(depth-1).
"""

from __future__ import annotations

import functools

import numpy as np

from rvm.colour.matrices import Float64, rgb_to_yuv, yuv_to_rgb
from rvm.frame import ColourTags, Matrix, PixelFormat, Range


def effective_matrix(pixels: PixelFormat, tags: ColourTags) -> Matrix:
    """The matrix that applies: "rgb" for RGB layouts whatever the tags say.

    A YUV layout tagged "rgb" contradicts itself (GBR is stored as RGB here); it reads as BT.709.
    """
    if pixels.family == "rgb":
        return "rgb"
    return "bt709" if tags.matrix == "rgb" else tags.matrix


def scales_and_offsets(pixels: PixelFormat, range_: Range) -> tuple[Float64, Float64]:
    """Per channel (scale, offset) with code = offset + scale * unit.

    Unit is 0..1 for luma and RGB, -0.5..0.5 for chroma.
    """
    step = float(1 << (pixels.depth - 8))
    top = float(pixels.max_value)
    if range_ == "limited":
        luma, chroma = (219 * step, 16 * step), (224 * step, 128 * step)
    else:
        luma, chroma = (top, 0.0), (top, 128 * step)
    rows = [luma, luma, luma] if pixels.family == "rgb" else [luma, chroma, chroma]
    table = np.array(rows)
    return table[:, 0], table[:, 1]


@functools.cache
def code_to_rgb(pixels: PixelFormat, tags: ColourTags) -> Float64:
    """3x4 affine map from code values (of one pixel, in plane order) to R'G'B' 0..1."""
    scale, offset = scales_and_offsets(pixels, tags.range)
    linear = yuv_to_rgb(effective_matrix(pixels, tags)) / scale
    return np.hstack([linear, -(linear @ offset)[:, None]])


@functools.cache
def rgb_to_code(pixels: PixelFormat, tags: ColourTags) -> Float64:
    """3x4 affine map from R'G'B' 0..1 to code values in plane order, not yet rounded."""
    scale, offset = scales_and_offsets(pixels, tags.range)
    linear = rgb_to_yuv(effective_matrix(pixels, tags)) * scale[:, None]
    return np.hstack([linear, offset[:, None]])
