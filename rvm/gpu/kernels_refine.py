"""From a network's small coefficient planes to full-size alpha in one pass, and twins of that.

Both networks that there are end in a guided filter (He et al., "Guided Image Filtering", TPAMI
2013): alpha is a linear function of the picture, whose slope and offset were found on a small
picture and are enlarged bilinearly, with half-pixel centres.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.gpu import has_triton, on_device_of

#: Pixels of a row that one program does.
_STRIP = 1024
_WARPS = 4
#: Pixels of a row that one program of `area_residual` looks at.
_AREA_TILE = 256
#: Least weight that a residual is divided by.
_TINY = 1e-6


def luma_alpha(
    plane: Tensor, weights: tuple[float, ...], plus: float, coefficients: Tensor
) -> Tensor:
    """clamp(up(slope) * luma + up(offset)) of a picture.

    Args:
        plane: (H, W), or packed (H, W, 3); any type and strides.
        weights: one for each channel, and
        plus: so that luma 0..1 is the weighted sum of a pixel's code values plus this.
        coefficients: [1, 2, h, w] float32, contiguous: slope and offset.

    Returns:
        (H, W) uint8, rounded to nearest; what is not a number becomes 0.
    """
    if not has_triton(plane.device):
        return luma_alpha_twin(plane, weights, plus, coefficients)
    from rvm.gpu import triton_refine

    alpha = torch.empty(plane.shape[:2], dtype=torch.uint8, device=plane.device)
    rows, columns = alpha.shape
    stride_y, stride_x, stride_c = (*plane.stride(), 0)[:3]
    from_0, from_1, from_2 = (*weights, 0.0, 0.0)[:3]
    with on_device_of(alpha):
        triton_refine.luma_alpha[(-(-columns // _STRIP), rows)](
            plane, stride_y, stride_x, stride_c, from_0, from_1, from_2, plus,
            *_small(coefficients, rows, columns), alpha, alpha.stride(0), columns,
            CHANNELS=len(weights), STRIP=_STRIP, num_warps=_WARPS,
        )  # fmt: skip
    return alpha


def luma_alpha_twin(
    plane: Tensor, weights: tuple[float, ...], plus: float, coefficients: Tensor
) -> Tensor:
    """`luma_alpha` in plain torch."""
    channels = plane[..., None] if plane.ndim == 2 else plane
    luma = channels[..., 0].to(torch.float32) * weights[0] + plus
    for channel, weight in enumerate(weights[1:], start=1):
        luma += channels[..., channel].to(torch.float32) * weight
    slope, offset = _enlarged(coefficients, luma.shape)[0].unbind(0)
    return alpha_to_bytes(slope * luma + offset)


def guided_alpha(
    picture: Tensor, coefficients: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Alpha and foreground of a guided filter on red, green, blue and their mean.

    Args:
        picture: [1, 3, H, W], RGB 0..1, any floating type and strides.
        coefficients: [1, 8, h, w] float32, contiguous: four slopes and four offsets, for the
            residuals of red, green and blue, and for alpha.
        dtype: of the second result.

    Returns:
        Alpha (H, W) uint8, rounded to nearest, and [1, 4, H, W]: alpha 0..1, then
        alpha * (foreground - picture) of red, green and blue.
    """
    if not has_triton(picture.device):
        return guided_alpha_twin(picture, coefficients, dtype)
    from rvm.gpu import triton_refine

    rows, columns = picture.shape[2:]
    alpha = torch.empty((rows, columns), dtype=torch.uint8, device=picture.device)
    weighted = torch.empty((1, 4, rows, columns), dtype=dtype, device=picture.device)
    with on_device_of(alpha):
        triton_refine.guided_alpha[(-(-columns // _STRIP), rows)](
            picture, *picture.stride()[1:], *_small(coefficients, rows, columns),
            alpha, alpha.stride(0), weighted, *weighted.stride()[1:3], columns,
            STRIP=_STRIP, num_warps=_WARPS,
        )  # fmt: skip
    return alpha, weighted


def guided_alpha_twin(
    picture: Tensor, coefficients: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """`guided_alpha` in plain torch."""
    picture = picture.float()
    fine = torch.cat([picture, picture.mean(dim=1, keepdim=True)], dim=1)
    slope, offset = coefficients[:, :4], coefficients[:, 4:]
    result = _enlarged(slope, fine.shape[2:]) * fine + _enlarged(offset, fine.shape[2:])
    alpha = torch.nan_to_num(result[:, 3:], 0.0).clamp_(0, 1)
    change = (picture + result[:, :3]).clamp_(0, 1) - picture
    weighted = torch.cat([alpha, alpha * change], dim=1).to(dtype)
    return alpha_to_bytes(alpha[0, 0]), weighted


def area_residual(weighted: Tensor, size: tuple[int, int]) -> Tensor:
    """A foreground residual, by area to a smaller size; pixels count by their alpha.

    Args:
        weighted: [1, 4, H, W], the second result of `guided_alpha`.
        size: wanted (rows, columns), not above (H, W).

    Returns:
        (rows, columns, 3) float32, contiguous, finite; 0 where no pixel counted.
    """
    if not has_triton(weighted.device):
        return area_residual_twin(weighted, size)
    from rvm.gpu import triton_refine

    rows, columns = weighted.shape[2:]
    out = torch.empty((*size, 3), dtype=torch.float32, device=weighted.device)
    span = 1 << (columns // size[1] + 1).bit_length()  # a window has up to W / w + 2 columns
    strip = max(1, _AREA_TILE // span)
    with on_device_of(out):
        triton_refine.area_residual[(-(-size[1] // strip), size[0])](
            weighted, *weighted.stride()[1:3], rows, columns, out, *size,
            SPAN=span, STRIP=strip, num_warps=_WARPS,
        )  # fmt: skip
    return out


def area_residual_twin(weighted: Tensor, size: tuple[int, int]) -> Tensor:
    """`area_residual` in plain torch."""
    small = F.interpolate(weighted.float(), size, mode="area")
    return (small[:, 1:] / small[:, :1].clamp_min(_TINY))[0].permute(1, 2, 0).contiguous()


def alpha_to_bytes(alpha: Tensor) -> Tensor:
    """Float 0..1 of any precision -> uint8, rounded to nearest; not a number becomes 0."""
    return torch.nan_to_num(alpha.float(), 0.0).mul_(255).add_(0.5).clamp_(0, 255).to(torch.uint8)


def _enlarged(small: Tensor, size: torch.Size) -> Tensor:
    return F.interpolate(small, tuple(size), mode="bilinear", align_corners=False)


def _small(coefficients: Tensor, rows: int, columns: int) -> tuple[Tensor, int, int, float, float]:
    """Coefficient planes as a kernel wants them: memory, size, and steps of a pixel in it."""
    small_rows, small_columns = coefficients.shape[2:]
    return coefficients, small_rows, small_columns, small_rows / rows, small_columns / columns
