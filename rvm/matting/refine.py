"""From what a network gives to the alpha of the full-size frame.

A compact model sees a small picture only, and returns the two coefficient planes of a guided
filter (He et al., "Guided Image Filtering", TPAMI 2013) on luma. Full-size alpha is then

    alpha = clamp(up(scale) * Y + up(offset), 0, 1)

with Y the frame's own full-range luma plane 0..1: one multiply-add a pixel, and no full-size RGB.
`up` is bilinear with half-pixel centres. A compiled kernel does it where there is one (see
`rvm.matting.fused_refine`), else OpenCV in blocks of rows that stay in the cache.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from rvm.colour.chroma import resample
from rvm.colour.ranges import effective_matrix, scales_and_offsets
from rvm.colour.rgb import network_rgb
from rvm.frame import PIXEL_FORMATS, ColourTags, Frame, PixelFormat
from rvm.halves import in_parts, row_parts
from rvm.jit import bilinear_axis, cell_starts, kernels, whole_rows
from rvm.pool import BufferPool

if TYPE_CHECKING:
    from rvm.frame import ByteImage, FloatImage
    from rvm.matting.contracts.base import Array

#: Luma weights of ITU-R BT.709, which compact models use on their small RGB picture.
LUMA_709 = np.array([[0.2126, 0.7152, 0.0722]], np.float32)
# 64 rows of 1920 float32 are 0.5 MB: measured fastest of 16..1080 with one thread a core.
_ROWS = 64
#: Of the frame, and of a window that is looked at beside it.
_ALPHA_SIZES = 2


@dataclass(frozen=True, slots=True)
class LumaGuide:
    """A full-size luma plane whose code c, 0..`top_code`, stands for `gain * c + bias` in 0..1."""

    plane: Any
    gain: float
    bias: float
    top_code: int = 255

    def small(self, width: int, height: int) -> FloatImage:
        """The guide at another size, in 0..1."""
        codes = resample(self.plane, width, height).astype(np.float32)
        return codes * np.float32(self.gain) + np.float32(self.bias)


def luma_guide(frame: Frame) -> LumaGuide:
    """The frame's luma as the network sees it, without copying the plane where it can be had.

    SDR YUV: the Y plane itself. RGB: BT.709 luma, one pass. PQ, HLG and linear light: the plane
    through a table that maps each code to the display-referred luma of that grey.
    """
    plane: npt.NDArray[Any] = np.asarray(frame.planes[0])
    if frame.format.family == "rgb":
        plane = cv2.transform(plane, LUMA_709)
    scale, offset = scales_and_offsets(frame.format, frame.colour.range)
    if not frame.colour.is_display_referred:
        table = display_luma(frame.format, frame.colour)
        return LumaGuide(np.take(table, plane, mode="clip"), 1 / 255, 0.0)
    gain, bias = float(1 / scale[0]), float(-offset[0] / scale[0])
    return LumaGuide(plane, gain, bias, frame.format.max_value)


@functools.lru_cache(maxsize=4)
def display_luma(pixels: PixelFormat, colour: ColourTags) -> ByteImage:
    """Code of a grey -> display-referred luma 0..255, by converting a ramp of greys."""
    codes = np.arange(pixels.max_value + 1, dtype=pixels.dtype)[None, :]
    if pixels.family == "rgb":
        ramp = Frame((np.dstack([codes] * 3),), pixels, codes.size, 1, colour=colour)
    else:
        grey = np.full_like(codes, 1 << (pixels.depth - 1))
        layout = PIXEL_FORMATS["yuv444p" + ("" if pixels.depth == 8 else str(pixels.depth))]
        ramp = Frame((codes, grey, grey), layout, codes.size, 1, colour=colour)
    return np.rint(network_rgb(ramp, codes.size, 1)[0, :, 1] * 255).astype(np.uint8)


def luma_of(planar: npt.NDArray[Any]) -> FloatImage:
    """BT.709 luma [h,w] float32 of a planar picture [3,h,w]."""
    red, green, blue = LUMA_709[0]
    luma = np.asarray(planar[0] * red, np.float32)
    luma += planar[1] * green
    luma += planar[2] * blue
    return luma


def match_luma(
    guide: LumaGuide, frame: Frame, picture: Array, scale: FloatImage, offset: FloatImage
) -> FloatImage:
    """`offset`, corrected for a Y plane that weighs colours otherwise than BT.709.

    The model's coefficients belong to BT.709 luma of its small RGB picture. BT.601 and BT.2020
    weigh red, green and blue differently, by up to a tenth of the range on saturated colours. The
    difference d, taken at the small size, turns scale * (Y + d) + offset into
    scale * Y + (offset + scale * d).

    Args:
        guide: of the frame.
        frame: the frame.
        picture: (3, h, w) RGB 0..1, what the model saw.
        scale, offset: (h, w), what the model returned.
    """
    if effective_matrix(frame.format, frame.colour) in ("bt709", "rgb"):
        return offset
    height, width = scale.shape
    shift = luma_of(picture) - guide.small(width, height)
    return np.asarray(offset + scale * shift, np.float32)


class Scratch:
    """Memory that is used again for every frame.

    Fresh memory would cost more than the arithmetic: at 1080p the system clears 2 MB for each
    alpha, and 16 MB more where no kernel is compiled.
    """

    def __init__(self) -> None:
        self._alphas = BufferPool(_ALPHA_SIZES)
        self._floats: dict[int, FloatImage] = {}

    def alpha(self, height: int, width: int) -> ByteImage:
        """An (height, width) array of any content that nobody reads any more."""
        return self._alphas.take(height * width).reshape(height, width)

    def floats(self, number: int, height: int, width: int) -> FloatImage:
        """The array of that number, of any content, valid until it is asked for again."""
        found = self._floats.get(number)
        if found is None or found.shape != (height, width):
            found = self._floats[number] = np.empty((height, width), np.float32)
        return found


def guided_alpha(
    guide: LumaGuide, scale: FloatImage, offset: FloatImage, scratch: Scratch | None = None
) -> ByteImage:
    """Full-size alpha from small guided-filter coefficients.

    Args:
        guide: luma of the frame, (H, W).
        scale, offset: (h, w) float32 coefficients on luma 0..1.
        scratch: working memory to use again.

    Returns:
        (H, W) uint8, rounded to nearest.
    """
    # The code's gain and bias and the 255 go into the coefficients while they are small.
    scale, offset = finite(scale) * np.float32(255), finite(offset) * np.float32(255)
    gain, bias = scale * np.float32(guide.gain), offset + scale * np.float32(guide.bias)
    scratch = scratch or Scratch()
    alpha = scratch.alpha(*guide.plane.shape)
    fused = kernels("rvm.matting.fused_refine")
    if fused is None:
        _multiply_add(guide.plane, gain, bias, scratch, alpha)
        return alpha
    (rows, columns), (small_rows, small_columns) = alpha.shape, scale.shape
    luma, top_code = whole_rows(guide.plane), np.float32(guide.top_code)
    across = cell_starts(small_columns, columns), bilinear_axis(small_columns, columns)
    before, share = bilinear_axis(small_rows, rows)

    def refine(part: slice) -> None:
        fused.refine(
            luma[part], gain, bias, top_code, *across, (before[part], share[part]), alpha[part]
        )  # fmt: skip

    in_parts(refine, row_parts(rows, alpha.size))
    return alpha


def _multiply_add(
    luma: npt.NDArray[Any], gain: FloatImage, bias: FloatImage, scratch: Scratch, alpha: ByteImage
) -> None:
    """What `fused_refine.refine` does, without edges around the coefficients."""
    wide_gain, wide_bias = (scratch.floats(number, *alpha.shape) for number in range(2))
    _enlarge(gain, wide_gain)
    _enlarge(bias, wide_bias)
    for top in range(0, alpha.shape[0], _ROWS):
        rows = slice(top, top + _ROWS)
        product = cv2.multiply(wide_gain[rows], luma[rows], dtype=cv2.CV_32F)
        cv2.add(product, wide_bias[rows], dst=alpha[rows], dtype=cv2.CV_8U)


def alpha_to_bytes(alpha: FloatImage) -> ByteImage:
    """(H, W) float 0..1 -> (H, W) uint8, rounded to nearest; not a number becomes 0."""
    single = np.ascontiguousarray(alpha, np.float32)
    coded = np.empty(single.shape, np.uint8)
    cv2.convertScaleAbs(single, dst=coded, alpha=255.0)
    return coded


def _enlarge(plane: FloatImage, into: FloatImage) -> None:
    cv2.resize(plane, into.shape[1::-1], dst=into, interpolation=cv2.INTER_LINEAR)


def finite(values: FloatImage) -> FloatImage:
    """`values` with anything that is not a finite number replaced by 0; itself where all are."""
    # A sum is finite exactly when no value is infinite or not a number (short of overflow, which
    # only costs the slow path), and is several times cheaper than looking at each.
    if np.isfinite(np.sum(values)):
        return values
    return np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
