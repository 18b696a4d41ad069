"""The alpha blend of a whole picture in one launch, and its twin in plain torch.

`blend` takes the compiled kernel for CUDA tensors where Triton is installed, and the twin for
everything else. Both give out = (front * alpha + back * (255 - alpha) + 127) // 255 in integers,
for chroma with the mean alpha of its cell, and with the model's colour added where alpha is mixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rvm.gpu import has_triton, on_device_of
from rvm.gpu.planes import (
    Planes,
    alpha_of_planes,
    bilinear,
    blend_plane,
    channels_of,
    like_plane,
)

#: Code value of each channel, for a background of one colour.
Colour = tuple[int, int, int]
#: Luma samples of one program: rows, columns.
_TILE_YUV = (4, 256)
_TILE_RGB = (4, 512)
_WARPS = 4


@dataclass(frozen=True, slots=True)
class Enlarged:
    """A small picture that stands for a large one.

    Attributes:
        code: [1, 3, rows, columns] float32, contiguous, whole code values.
        shift: log2 of its enlargement to luma (or RGB) size; to chroma it is less by their shift.
    """

    code: Tensor
    shift: int

    def planes(self, like: Planes, chroma_shift: tuple[int, int]) -> Planes:
        """Planes of the shapes and types of `like`, enlarged bilinearly and rounded."""
        rows, columns = self.code.shape[-2:]
        parts = [self.code] if len(like) == 1 else channels_of(self.code)
        planes = []
        for index, (part, plane) in enumerate(zip(parts, like, strict=True)):
            less_x, less_y = chroma_shift if index else (0, 0)
            size = (rows << self.shift - less_y, columns << self.shift - less_x)
            wide = bilinear(part, size).round()[..., : plane.shape[0], : plane.shape[1]]
            planes.append(like_plane(wide, plane).to(torch.int32).to(plane.dtype))
        return tuple(planes)


@dataclass(frozen=True, slots=True)
class Residual:
    """A model's foreground colour.

    Attributes:
        small: (rows, columns, 3) float32, contiguous: person minus picture, R'G'B' 0..1.
        linear: for each channel of the picture the three weights that turn it into code values.
    """

    small: Tensor
    linear: tuple[tuple[float, float, float], ...]

    def planes(self, like: Planes) -> Planes:
        """What to add to each plane, float32, enlarged bilinearly."""
        r, g, b = channels_of(self.small.permute(2, 0, 1)[None])
        parts = [r * red + g * green + b * blue for red, green, blue in self.linear]
        parts = [torch.cat(parts, 1)] if len(like) == 1 else parts
        return tuple(
            like_plane(bilinear(part, (plane.shape[0], plane.shape[1])), plane)
            for part, plane in zip(parts, like, strict=True)
        )


Back = Planes | Colour | Enlarged


def blend(
    front: Planes,
    alpha: Tensor,
    back: Back,
    *,
    max_value: int,
    chroma_shift: tuple[int, int] = (0, 0),
    residual: Residual | None = None,
) -> Planes:
    """Blend one picture.

    Args:
        front: Y, U, V of shape (rows, columns), or one packed (rows, columns, 3) plane of RGB;
            uint8 or uint16. Rows may be padded; chroma samples may lie apart (NV12).
        alpha: (rows, columns) uint8 at the size of luma.
        back: planes like `front`, one code value for each channel, or a picture to enlarge.
        max_value: largest code value.
        chroma_shift: log2 of the chroma's subsampling in x and y.
        residual: colour to add where alpha is mixed.

    Returns:
        new contiguous planes.
    """
    if not has_triton(alpha.device):
        return blend_twin(
            front, alpha, back, max_value=max_value, chroma_shift=chroma_shift, residual=residual
        )
    out = tuple(torch.empty_like(plane, memory_format=torch.contiguous_format) for plane in front)
    if len(front) == 1:
        _launch_rgb(front[0], alpha, back, residual, out[0], max_value)
    else:
        _launch_yuv(front, alpha, back, residual, out, max_value, chroma_shift)
    return out


def blend_twin(
    front: Planes,
    alpha: Tensor,
    back: Back,
    *,
    max_value: int,
    chroma_shift: tuple[int, int] = (0, 0),
    residual: Residual | None = None,
) -> Planes:
    """`blend` in plain torch, plane by plane."""
    alphas = alpha_of_planes(alpha, len(front), chroma_shift)
    changes = residual.planes(front) if residual else (None,) * len(front)
    return tuple(
        blend_plane(plane, behind, weight, change, max_value)
        for plane, behind, weight, change in zip(
            front, back_planes(back, front, chroma_shift), alphas, changes, strict=True
        )
    )


def back_planes(back: Back, like: Planes, chroma_shift: tuple[int, int]) -> Planes:
    """A background as tensors that broadcast to the planes of `like`."""
    if isinstance(back, Enlarged):
        return back.planes(like, chroma_shift)
    if isinstance(back[0], Tensor):
        return back
    colour = [torch.full((), int(code), dtype=torch.int32, device=like[0].device) for code in back]
    return (torch.stack(colour),) if len(like) == 1 else tuple(colour)


def _launch_yuv(
    front: Planes, alpha: Tensor, back: Back, residual: Residual | None, out: Planes,
    max_value: int, chroma_shift: tuple[int, int],
) -> None:  # fmt: skip
    from rvm.gpu import triton_blend

    front, alpha = _rows_contiguous(front), _rows_contiguous((alpha,))[0]
    (rows, columns), (uv_rows, uv_columns) = front[0].shape, front[1].shape
    shift_x, shift_y = chroma_shift
    kind, behind, colour, small = _behind(back, front)
    tile_rows, tile_columns = _TILE_YUV
    grid = (-(-columns // tile_columns), -(-rows // tile_rows))
    odd = bool(columns % (1 << shift_x) or rows % (1 << shift_y))
    with on_device_of(alpha):
        triton_blend.blend_yuv[grid](
            *front, front[0].stride(0), *_chroma_strides(front),
            alpha, alpha.stride(0),
            *behind, behind[0].stride(0), *_chroma_strides(behind), *colour,
            *small[:3], small[3], small[3] * (1 << shift_x), small[3] * (1 << shift_y),
            *_residual(residual, alpha, (rows, columns), (uv_rows, uv_columns)),
            *out, out[0].stride(0), out[1].stride(0), rows, columns, uv_rows, uv_columns,
            TOP=max_value, BACK=kind, RESIDUAL=residual is not None,
            SHIFT_X=shift_x, SHIFT_Y=shift_y, ODD=odd, R=tile_rows, C=tile_columns,
            num_warps=_WARPS,
        )  # fmt: skip


def _launch_rgb(
    front: Tensor, alpha: Tensor, back: Back, residual: Residual | None, out: Tensor, max_value: int
) -> None:
    from rvm.gpu import triton_blend

    rows, columns, _ = front.shape
    if front.stride()[1:] != (3, 1):
        front = front.contiguous()
    alpha = _rows_contiguous((alpha,))[0]
    kind, behind, colour, small = _behind(back, (front,))
    plane = behind[0] if behind[0].ndim < 3 or behind[0].stride(1) == 3 else behind[0].contiguous()
    tile_rows, tile_columns = _TILE_RGB
    grid = (-(-3 * columns // tile_columns), -(-rows // tile_rows))
    tables = _residual(residual, alpha, (rows, columns), (rows, columns))
    with on_device_of(alpha):
        triton_blend.blend_rgb[grid](
            front, front.stride(0), alpha, alpha.stride(0), plane, plane.stride(0),
            *colour, *small, *tables[:5], *tables[7:], out, out.stride(0), rows, columns,
            TOP=max_value, BACK=kind, RESIDUAL=residual is not None,
            R=tile_rows, C=tile_columns, num_warps=_WARPS,
        )  # fmt: skip


def _behind(back: Back, front: Planes) -> tuple[int, Planes, Colour, tuple[Any, ...]]:
    """How a kernel gets its background: kind, planes, colour, and (small, rows, columns, scale).

    What its kind does not look at is filled with something of the right type.
    """
    if isinstance(back, Enlarged):
        rows, columns = back.code.shape[-2:]
        return 2, front, (0, 0, 0), (back.code, rows, columns, 1 / (1 << back.shift))
    nothing = (front[0], 1, 1, 1.0)
    if isinstance(back[0], Tensor):
        return 0, _rows_contiguous(back), (0, 0, 0), nothing
    return 1, front, back, nothing


def _residual(
    residual: Residual | None, filler: Tensor, luma: tuple[int, int], chroma: tuple[int, int]
) -> tuple[Any, ...]:
    """Map, its rows and columns, luma's scales x and y, chroma's, and the nine weights."""
    if residual is None:
        return (filler, 1, 1, *(1.0,) * 4, *(0.0,) * 9)
    rows, columns, _ = residual.small.shape
    return (
        residual.small, rows, columns, columns / luma[1], rows / luma[0],
        columns / chroma[1], rows / chroma[0],
        *(weight for row in residual.linear for weight in row),
    )  # fmt: skip


def _chroma_strides(planes: Planes) -> tuple[int, int]:
    return (planes[1].stride(0), planes[1].stride(1)) if len(planes) > 1 else (0, 1)


def _rows_contiguous(planes: Planes) -> Planes:
    """Luma (and RGB) with its samples side by side, chroma with one stride for both planes."""
    luma, *chroma = planes
    if luma.ndim == 2 and luma.stride(1) != 1:
        luma = luma.contiguous()
    if chroma and chroma[0].stride() != chroma[1].stride():
        chroma = [plane.contiguous() for plane in chroma]
    return luma, *chroma
