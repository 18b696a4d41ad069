"""The Triton kernels of `rvm.gpu.kernels_refine`; imported only where they run.

One program makes a strip of one row. The small coefficient planes stay in the cache; the picture
is read once and alpha is written once.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rvm.gpu.triton_sample import bilinear_taps


@triton.jit
def _enlarged(small, columns, y0, y1, wy, x0, x1, wx, inside):
    """A bilinear sample of a small contiguous float plane."""
    upper, lower = small + y0 * columns, small + y1 * columns
    top = tl.load(upper + x0, mask=inside, other=0.0) * (1 - wx)
    top += tl.load(upper + x1, mask=inside, other=0.0) * wx
    bottom = tl.load(lower + x0, mask=inside, other=0.0) * (1 - wx)
    bottom += tl.load(lower + x1, mask=inside, other=0.0) * wx
    return top * (1 - wy) + bottom * wy


@triton.jit
def _to_byte(value):
    """0..1 to 0..255, rounded to nearest; what is not a number becomes 0."""
    value = tl.where(value == value, value, 0.0) * 255.0 + 0.5
    return tl.minimum(tl.maximum(value, 0.0), 255.0).to(tl.uint8)


@triton.jit
def luma_alpha(
    plane, stride_y, stride_x, stride_c, from_0, from_1, from_2, plus,
    small, small_rows, small_columns, scale_y, scale_x, alpha, alpha_y, width,
    CHANNELS: tl.constexpr, STRIP: tl.constexpr,
):  # fmt: skip
    """See `rvm.gpu.kernels_refine.luma_alpha`."""
    x = tl.program_id(0) * STRIP + tl.arange(0, STRIP)
    y = tl.program_id(1)
    inside = x < width
    here = plane + y * stride_y + x * stride_x
    luma = tl.load(here, mask=inside, other=0).to(tl.float32) * from_0 + plus
    if CHANNELS == 3:
        luma += tl.load(here + stride_c, mask=inside, other=0).to(tl.float32) * from_1
        luma += tl.load(here + 2 * stride_c, mask=inside, other=0).to(tl.float32) * from_2
    y0, y1, wy = bilinear_taps(y, small_rows, scale_y)
    x0, x1, wx = bilinear_taps(x, small_columns, scale_x)
    area = small_rows * small_columns
    slope = _enlarged(small, small_columns, y0, y1, wy, x0, x1, wx, inside)
    offset = _enlarged(small + area, small_columns, y0, y1, wy, x0, x1, wx, inside)
    tl.store(alpha + y * alpha_y + x, _to_byte(slope * luma + offset), mask=inside)


@triton.jit
def _clamped(value):
    return tl.minimum(tl.maximum(value, 0.0), 1.0)


@triton.jit
def guided_alpha(
    picture, picture_c, picture_y, picture_x,
    small, small_rows, small_columns, scale_y, scale_x,
    alpha, alpha_y, weighted, weighted_c, weighted_y, width, STRIP: tl.constexpr,
):  # fmt: skip
    """See `rvm.gpu.kernels_refine.guided_alpha`."""
    x = tl.program_id(0) * STRIP + tl.arange(0, STRIP)
    y = tl.program_id(1)
    inside = x < width
    y0, y1, wy = bilinear_taps(y, small_rows, scale_y)
    x0, x1, wx = bilinear_taps(x, small_columns, scale_x)
    area = small_rows * small_columns
    here = picture + y * picture_y + x * picture_x
    red = tl.load(here, mask=inside, other=0.0).to(tl.float32)
    green = tl.load(here + picture_c, mask=inside, other=0.0).to(tl.float32)
    blue = tl.load(here + 2 * picture_c, mask=inside, other=0.0).to(tl.float32)
    grey = (red + green + blue) * (1.0 / 3.0)
    slope = _enlarged(small + 3 * area, small_columns, y0, y1, wy, x0, x1, wx, inside)
    offset = _enlarged(small + 7 * area, small_columns, y0, y1, wy, x0, x1, wx, inside)
    opacity = slope * grey + offset
    tl.store(alpha + y * alpha_y + x, _to_byte(opacity), mask=inside)
    opacity = _clamped(tl.where(opacity == opacity, opacity, 0.0))
    there = weighted + y * weighted_y + x
    kind = weighted.dtype.element_ty
    tl.store(there, opacity.to(kind), mask=inside)
    for channel in tl.static_range(3):
        if channel == 0:
            colour = red
        elif channel == 1:
            colour = green
        else:
            colour = blue
        slope = _enlarged(small + channel * area, small_columns, y0, y1, wy, x0, x1, wx, inside)
        offset = _enlarged(
            small + (channel + 4) * area, small_columns, y0, y1, wy, x0, x1, wx, inside
        )
        change = _clamped(colour + (slope * colour + offset)) - colour
        target = there + (channel + 1) * weighted_c
        tl.store(target, (opacity * change).to(kind), mask=inside)


@triton.jit
def area_residual(
    weighted, weighted_c, weighted_y, rows, columns, out, out_rows, out_columns,
    SPAN: tl.constexpr, STRIP: tl.constexpr,
):  # fmt: skip
    """See `rvm.gpu.kernels_refine.area_residual`; windows as in torch's adaptive pooling."""
    x = tl.program_id(0) * STRIP + tl.arange(0, STRIP)
    y = tl.program_id(1)
    left = x * columns // out_columns
    right = ((x + 1) * columns + out_columns - 1) // out_columns
    top = y * rows // out_rows
    bottom = ((y + 1) * rows + out_rows - 1) // out_rows
    column = left[:, None] + tl.arange(0, SPAN)[None, :]
    mask = (x < out_columns)[:, None] & (column < right[:, None])
    opacity = tl.zeros((STRIP, SPAN), tl.float32)
    red = tl.zeros((STRIP, SPAN), tl.float32)
    green = tl.zeros((STRIP, SPAN), tl.float32)
    blue = tl.zeros((STRIP, SPAN), tl.float32)
    for row in range(top, bottom):
        here = weighted + row * weighted_y + column
        opacity += tl.load(here, mask=mask, other=0.0).to(tl.float32)
        red += tl.load(here + weighted_c, mask=mask, other=0.0).to(tl.float32)
        green += tl.load(here + 2 * weighted_c, mask=mask, other=0.0).to(tl.float32)
        blue += tl.load(here + 3 * weighted_c, mask=mask, other=0.0).to(tl.float32)
    # Sums instead of means: the count of pixels only scales the least weight.
    count = ((right - left) * (bottom - top)).to(tl.float32)
    total = tl.maximum(tl.sum(opacity, axis=1), count * 1e-6)
    there = out + (y * out_columns + x) * 3
    inside = x < out_columns
    tl.store(there, tl.sum(red, axis=1) / total, mask=inside)
    tl.store(there + 1, tl.sum(green, axis=1) / total, mask=inside)
    tl.store(there + 2, tl.sum(blue, axis=1) / total, mask=inside)
