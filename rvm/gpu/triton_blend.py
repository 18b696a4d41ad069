"""The Triton kernels of `rvm.gpu.kernels_blend`; imported only where they run.

One launch does luma and both chroma planes, so that alpha, which all three need, is read once.
Each program takes a tile of R by C luma samples, with the chroma cells that lie in it. Every plane
has its own strides: chroma that is interleaved (NV12) is a plane with a sample stride of 2.

What lies behind is planes (BACK 0), one colour (1), or a small picture that is enlarged on the
way (2), so that a blurred background is never written at full size.
"""

from __future__ import annotations

import triton
import triton.language as tl

from rvm.gpu.triton_sample import bilinear_taps


@triton.jit
def _gathered(plane, row, step, y0, y1, wy, x0, x1, wx, where):
    """Bilinear mean of four samples; read only `where` it is needed."""
    upper, lower = plane + y0 * row, plane + y1 * row
    top = tl.load(upper + x0 * step, mask=where, other=0.0) * (1 - wx)
    top += tl.load(upper + x1 * step, mask=where, other=0.0) * wx
    bottom = tl.load(lower + x0 * step, mask=where, other=0.0) * (1 - wx)
    bottom += tl.load(lower + x1 * step, mask=where, other=0.0) * wx
    return top * (1 - wy) + bottom * wy


@triton.jit
def _nearest(value):
    """Nearest whole number, halves to even, of what is not negative and below 2^22."""
    return (value + 8388608.0) - 8388608.0


@triton.jit
def _mixed_sum(front, back, alpha):
    return (front * alpha + back * (255 - alpha) + 127) // 255


@triton.jit
def _moved(front, change, where, TOP: tl.constexpr):
    """`front` plus a float change where it counts, rounded and clamped to 0..TOP."""
    moved = tl.minimum(tl.maximum(front.to(tl.float32) + change, 0.0), TOP * 1.0)
    return tl.where(where, _nearest(moved).to(tl.int32), front)


@triton.jit
def _behind(
    back, row, step, colour, small, small_rows, small_columns, scale_x, scale_y, r, c, inside, need,
    BACK: tl.constexpr,
):  # fmt: skip
    """Code values of one plane's background, int32."""
    if BACK == 0:
        return tl.load(back + r * row + c * step, mask=inside, other=0).to(tl.int32)
    elif BACK == 1:
        return colour
    else:
        y0, y1, wy = bilinear_taps(r, small_rows, scale_y)
        x0, x1, wx = bilinear_taps(c, small_columns, scale_x)
        wide = _gathered(small, small_columns, 1, y0, y1, wy, x0, x1, wx, need)
        return _nearest(wide).to(tl.int32)


@triton.jit
def _change(
    residual, residual_rows, residual_columns, scale_x, scale_y, red, green, blue, r, c, where
):
    """What the model's colour adds to one plane: three bilinear samples through a linear map."""
    y0, y1, wy = bilinear_taps(r, residual_rows, scale_y)
    x0, x1, wx = bilinear_taps(c, residual_columns, scale_x)
    row = residual_columns * 3
    total = _gathered(residual, row, 3, y0, y1, wy, x0, x1, wx, where) * red
    total += _gathered(residual + 1, row, 3, y0, y1, wy, x0, x1, wx, where) * green
    total += _gathered(residual + 2, row, 3, y0, y1, wy, x0, x1, wx, where) * blue
    return total


#: Colours would otherwise each compile a kernel: Triton treats 1 and multiples of 16 specially.
_ANY = ["colour_y", "colour_u", "colour_v"]


@triton.jit(do_not_specialize=_ANY)
def blend_yuv(
    front_y, front_u, front_v, front_row, front_uv_row, front_step,
    alpha, alpha_row,
    back_y, back_u, back_v, back_row, back_uv_row, back_step,
    colour_y, colour_u, colour_v,
    small, small_rows, small_columns, small_scale, small_uv_scale_x, small_uv_scale_y,
    residual, residual_rows, residual_columns,
    residual_scale_x, residual_scale_y, residual_uv_scale_x, residual_uv_scale_y,
    y_red, y_green, y_blue, u_red, u_green, u_blue, v_red, v_green, v_blue,
    out_y, out_u, out_v, out_row, out_uv_row,
    rows, columns, uv_rows, uv_columns,
    TOP: tl.constexpr, BACK: tl.constexpr, RESIDUAL: tl.constexpr,
    SHIFT_X: tl.constexpr, SHIFT_Y: tl.constexpr, ODD: tl.constexpr,
    R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """All three planes of one tile."""
    kind = out_y.dtype.element_ty
    area = small_rows * small_columns
    r = tl.program_id(1) * R + tl.arange(0, R)[:, None]
    c = tl.program_id(0) * C + tl.arange(0, C)[None, :]
    inside = (r < rows) & (c < columns)
    if ODD:  # the last row or column is repeated, which makes a cell's mean that of what is there
        place = tl.minimum(r, rows - 1) * alpha_row + tl.minimum(c, columns - 1)
        a = tl.load(alpha + place).to(tl.int32)
    else:
        a = tl.load(alpha + r * alpha_row + c, mask=inside, other=0).to(tl.int32)
    y = tl.load(front_y + r * front_row + c, mask=inside, other=0).to(tl.int32)
    if RESIDUAL:
        mixed = inside & (a > 0) & (a < 255)
        if tl.max(mixed.to(tl.int32)) > 0:  # in most tiles nothing is
            change = _change(
                residual, residual_rows, residual_columns, residual_scale_x, residual_scale_y,
                y_red, y_green, y_blue, r, c, mixed,
            )  # fmt: skip
            y = _moved(y, change, mixed, TOP)
    back = _behind(
        back_y, back_row, 1, colour_y, small, small_rows, small_columns, small_scale, small_scale,
        r, c, inside, inside & (a < 255), BACK,
    )  # fmt: skip
    tl.store(out_y + r * out_row + c, _mixed_sum(y, back, a).to(kind), mask=inside)

    uv_r = tl.program_id(1) * (R >> SHIFT_Y) + tl.arange(0, R >> SHIFT_Y)[:, None]
    uv_c = tl.program_id(0) * (C >> SHIFT_X) + tl.arange(0, C >> SHIFT_X)[None, :]
    inside = (uv_r < uv_rows) & (uv_c < uv_columns)
    if SHIFT_X + SHIFT_Y > 0:
        cells = tl.reshape(a, (R >> SHIFT_Y, 1 << SHIFT_Y, C >> SHIFT_X, 1 << SHIFT_X))
        a = tl.sum(tl.sum(cells, 3), 1)
        if SHIFT_X + SHIFT_Y == 2:
            a = (a + 2) >> 2  # OpenCV rounds means of four up,
        else:
            a = (a >> 1) + ((a >> 1) & a & 1)  # and means of two to even
    u = tl.load(front_u + uv_r * front_uv_row + uv_c * front_step, mask=inside, other=0)
    v = tl.load(front_v + uv_r * front_uv_row + uv_c * front_step, mask=inside, other=0)
    u, v = u.to(tl.int32), v.to(tl.int32)
    if RESIDUAL:
        mixed = inside & (a > 0) & (a < 255)
        if tl.max(mixed.to(tl.int32)) > 0:
            change_u = _change(
                residual, residual_rows, residual_columns, residual_uv_scale_x,
                residual_uv_scale_y, u_red, u_green, u_blue, uv_r, uv_c, mixed,
            )  # fmt: skip
            change_v = _change(
                residual, residual_rows, residual_columns, residual_uv_scale_x,
                residual_uv_scale_y, v_red, v_green, v_blue, uv_r, uv_c, mixed,
            )  # fmt: skip
            u, v = _moved(u, change_u, mixed, TOP), _moved(v, change_v, mixed, TOP)
    need = inside & (a < 255)
    b_u = _behind(
        back_u, back_uv_row, back_step, colour_u, small + area, small_rows, small_columns,
        small_uv_scale_x, small_uv_scale_y, uv_r, uv_c, inside, need, BACK,
    )  # fmt: skip
    b_v = _behind(
        back_v, back_uv_row, back_step, colour_v, small + 2 * area, small_rows, small_columns,
        small_uv_scale_x, small_uv_scale_y, uv_r, uv_c, inside, need, BACK,
    )  # fmt: skip
    place = uv_r * out_uv_row + uv_c
    tl.store(out_u + place, _mixed_sum(u, b_u, a).to(kind), mask=inside)
    tl.store(out_v + place, _mixed_sum(v, b_v, a).to(kind), mask=inside)


@triton.jit
def _of_channel(channel, first, second, third):
    return tl.where(channel == 0, first, tl.where(channel == 1, second, third))


@triton.jit(do_not_specialize=["colour_r", "colour_g", "colour_b"])
def blend_rgb(
    front, front_row, alpha, alpha_row, back, back_row,
    colour_r, colour_g, colour_b,
    small, small_rows, small_columns, small_scale,
    residual, residual_rows, residual_columns, residual_scale_x, residual_scale_y,
    r_red, r_green, r_blue, g_red, g_green, g_blue, b_red, b_green, b_blue,
    out, out_row, rows, columns,
    TOP: tl.constexpr, BACK: tl.constexpr, RESIDUAL: tl.constexpr,
    R: tl.constexpr, C: tl.constexpr,
):  # fmt: skip
    """One tile of R rows by C samples of packed RGB; `columns` counts pixels."""
    r = tl.program_id(1) * R + tl.arange(0, R)[:, None]
    sample = tl.program_id(0) * C + tl.arange(0, C)[None, :]
    pixel = sample // 3
    channel = sample - pixel * 3
    inside = (r < rows) & (pixel < columns)
    a = tl.load(alpha + r * alpha_row + pixel, mask=inside, other=0).to(tl.int32)
    value = tl.load(front + r * front_row + sample, mask=inside, other=0).to(tl.int32)
    if RESIDUAL:
        mixed = inside & (a > 0) & (a < 255)
        if tl.max(mixed.to(tl.int32)) > 0:
            change = _change(
                residual, residual_rows, residual_columns, residual_scale_x, residual_scale_y,
                _of_channel(channel, r_red, g_red, b_red),
                _of_channel(channel, r_green, g_green, b_green),
                _of_channel(channel, r_blue, g_blue, b_blue), r, pixel, mixed,
            )  # fmt: skip
            value = _moved(value, change, mixed, TOP)
    if BACK == 2:
        y0, y1, wy = bilinear_taps(r, small_rows, small_scale)
        x0, x1, wx = bilinear_taps(pixel, small_columns, small_scale)
        plane = small + channel * (small_rows * small_columns)
        need = inside & (a < 255)
        wide = _gathered(plane, small_columns, 1, y0, y1, wy, x0, x1, wx, need)
        behind = _nearest(wide).to(tl.int32)
    elif BACK == 1:
        behind = _of_channel(channel, colour_r, colour_g, colour_b)
    else:
        behind = tl.load(back + r * back_row + sample, mask=inside, other=0).to(tl.int32)
    blended = _mixed_sum(value, behind, a).to(out.dtype.element_ty)
    tl.store(out + r * out_row + sample, blended, mask=inside)
