"""The Triton kernels of `rvm.gpu.kernels_sample`; imported only where they run.

One program makes a strip of one output row: it gathers the strip from all three planes, applies
the affine map, and writes every row of it. Each plane has its own strides, so padded rows, the
interleaved chroma of NV12 and packed RGB are all just planes.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def bilinear_taps(index, size, scale):
    """Both neighbours of an output sample, and how much the second one counts."""
    place = tl.maximum((index.to(tl.float32) + 0.5) * scale - 0.5, 0.0)
    low = tl.minimum(place.to(tl.int32), size - 1)
    return low, tl.minimum(low + 1, size - 1), place - low.to(tl.float32)


@triton.jit
def _sampled(
    plane, stride_y, stride_x, rows, columns, scale_y, scale_x, y, x, inside,
    BLOCK: tl.constexpr, SAME: tl.constexpr,
):  # fmt: skip
    """Code values at `x` of output row `y`: bilinear between the means of BLOCK x BLOCK samples."""
    if SAME:
        value = tl.load(plane + y * stride_y + x * stride_x, mask=inside, other=0).to(tl.float32)
    else:
        y0, y1, wy = bilinear_taps(y, rows, scale_y)
        x0, x1, wx = bilinear_taps(x, columns, scale_x)
        # The samples of both blocks of a row side by side, so that a warp reads runs of memory.
        side = tl.arange(0, 2 * BLOCK)[None, :]
        first = side < BLOCK
        column = tl.where(first, x0[:, None] * BLOCK + side, x1[:, None] * BLOCK + side - BLOCK)
        across = tl.where(first, (1 - wx)[:, None], wx[:, None])
        offset = column * stride_x
        mask = inside[:, None] & (side >= 0)
        upper = plane + y0 * BLOCK * stride_y
        lower = plane + y1 * BLOCK * stride_y
        top = tl.zeros_like(across)
        bottom = tl.zeros_like(across)
        for line in tl.static_range(BLOCK):
            top += tl.load(upper + line * stride_y + offset, mask=mask, other=0).to(tl.float32)
            bottom += tl.load(lower + line * stride_y + offset, mask=mask, other=0).to(tl.float32)
        value = tl.sum((top * (1 - wy) + bottom * wy) * across, axis=1)
        value *= 1.0 / (BLOCK * BLOCK)
    return value


@triton.jit
def _mapped(a, b, c, from_a, from_b, from_c, plus, CLAMP: tl.constexpr):
    value = a * from_a + b * from_b + c * from_c + plus
    if CLAMP:
        value = tl.minimum(tl.maximum(value, 0.0), 1.0)
    return value


@triton.jit
def sample_planes(
    plane_0, plane_1, plane_2, stride_0y, stride_0x, stride_1y, stride_1x, stride_2y, stride_2x,
    rows_0, columns_0, scale_0y, scale_0x, rows_1, columns_1, scale_1y, scale_1x,
    m00, m01, m02, m03, m10, m11, m12, m13, m20, m21, m22, m23, m30, m31, m32, m33,
    out, out_c, out_y, out_x, width,
    BLOCK_0: tl.constexpr, SAME_0: tl.constexpr, BLOCK_1: tl.constexpr, SAME_1: tl.constexpr,
    FOURTH: tl.constexpr, STRIP: tl.constexpr,
):  # fmt: skip
    """Three planes to 3 or 4 channels of `out`; see `rvm.gpu.kernels_sample.sample`."""
    x = tl.program_id(0) * STRIP + tl.arange(0, STRIP)
    y = tl.program_id(1)
    inside = x < width
    a = _sampled(
        plane_0, stride_0y, stride_0x, rows_0, columns_0, scale_0y, scale_0x, y, x, inside,
        BLOCK_0, SAME_0,
    )  # fmt: skip
    b = _sampled(
        plane_1, stride_1y, stride_1x, rows_1, columns_1, scale_1y, scale_1x, y, x, inside,
        BLOCK_1, SAME_1,
    )  # fmt: skip
    c = _sampled(
        plane_2, stride_2y, stride_2x, rows_1, columns_1, scale_1y, scale_1x, y, x, inside,
        BLOCK_1, SAME_1,
    )  # fmt: skip
    here = out + y * out_y + x * out_x
    kind = out.dtype.element_ty
    tl.store(here, _mapped(a, b, c, m00, m01, m02, m03, True).to(kind), mask=inside)
    tl.store(here + out_c, _mapped(a, b, c, m10, m11, m12, m13, True).to(kind), mask=inside)
    tl.store(here + 2 * out_c, _mapped(a, b, c, m20, m21, m22, m23, True).to(kind), mask=inside)
    if FOURTH:
        fourth = _mapped(a, b, c, m30, m31, m32, m33, False)
        tl.store(here + 3 * out_c, fourth.to(kind), mask=inside)
