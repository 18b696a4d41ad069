"""The frame's own background, out of focus.

The person must not smear into the background. So whatever holds a trace of the person is first
replaced by what surrounds it (pull-push: means of the background alone at ever coarser sizes fill
the finer ones), and only that picture is blurred. It runs on the native planes at a fraction of
their size, and is enlarged in two steps, first smoothly and then bilinearly, so that neither
blocks nor steps show. Bright points weigh more, which approximates blurring light rather than
code values: lamps grow into soft discs instead of greying out. What hardly changes from frame to
frame is kept as it was (see `rvm.compositing.steady`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from rvm.colour import chroma
from rvm.compositing.base import Background
from rvm.compositing.pool import PlanePool
from rvm.compositing.steady import SteadyRounding
from rvm.errors import UsageError
from rvm.halves import both, in_parts, is_worth_splitting, plane_parts
from rvm.jit import kernels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import FloatImage, Frame, Matte, PixelFormat

#: Strength when none is given, and the blur's standard deviation at strength 1 as a part of the
#: picture's shorter side, so that the look does not depend on resolution.
DEFAULT_STRENGTH = 0.6
_WIDEST = 0.045
#: In the small picture the blur is at least this many samples wide (standard deviation).
_SMALL_SIGMA = 1.0
#: Variance in cells that averaging over cells and enlarging again add to the blur themselves.
_OWN_VARIANCE = 0.2
#: How much more a white sample weighs than a black one.
HIGHLIGHTS = 3.0
#: A cell counts as background by the (1 - alpha) of its most covered pixel to this power.
STEEPNESS = 16
_STEEP = (((255 - np.arange(256)) / 255) ** STEEPNESS).astype(np.float32)
#: Against a division by zero where there is no background at all.
TINY = 1e-6
#: Background in so much of a coarse cell is certainty: it need not be full to be trusted.
TRUSTED = 0.25


class Blur(Background):
    """The frame's own background, blurred without the person in it.

    Args:
        strength: 0 (sharp) to 1 (shapes only); a number or its text.

    Raises:
        UsageError: not a number from 0 to 1.
    """

    def __init__(self, strength: float | str = DEFAULT_STRENGTH) -> None:
        try:
            self.strength = float(strength)
        except ValueError:
            self.strength = math.nan
        if not 0 <= self.strength <= 1:
            raise UsageError(f"blur strength must be 0..1, not {strength}; try blur:0.5")
        self._pool = PlanePool()
        self._rounding = SteadyRounding()
        self._last: tuple[Matte, Frame] | None = None

    def behind(self, frame: Frame, matte: Matte) -> Frame:
        """See `Background.behind`. The very same matte again means that nothing moved: then what
        lay behind it is good enough again."""
        if self.strength == 0:
            return frame
        if self._last is not None and self._last[0] is matte:
            before = self._last[1]
            if (before.size, before.format) == (frame.size, frame.format):
                return frame.with_picture(before.planes)
        blurred = self._blurred(frame, matte)
        self._last = (matte, blurred)
        return blurred

    def _blurred(self, frame: Frame, matte: Matte) -> Frame:
        shift, sigma = cells_and_sigma(self.strength, frame)
        blurred = soft_blur(fill(*cells(frame, matte, shift)), sigma, frame.format)
        return frame.with_picture(self._enlarged(blurred, frame, shift))

    def _enlarged(
        self, blurred: list[FloatImage], frame: Frame, shift: int
    ) -> tuple[npt.NDArray[Any], ...]:
        """Planes of whole cells from the pool, cut to the frame."""
        pixels = frame.format
        rows, columns = blurred[0].shape
        if shift > max(pixels.chroma_shift):
            blurred = [_twice(part) for part in blurred]
        small = self._rounding.codes(blurred, pixels)
        parts = [chroma.merge((*small,))] if pixels.family == "rgb" else small
        whole = self._pool.take(pixels, columns << shift, rows << shift)

        def enlarge(numbers: Sequence[int]) -> None:
            for number in numbers:
                size = (whole[number].shape[1], whole[number].shape[0])
                cv2.resize(parts[number], size, dst=whole[number], interpolation=cv2.INTER_LINEAR)

        in_parts(enlarge, plane_parts(len(parts), frame.width * frame.height))
        shapes = pixels.plane_shapes(frame.width, frame.height)
        return tuple(p[: s[0], : s[1]] for p, s in zip(whole, shapes, strict=True))


def cells_and_sigma(strength: float, frame: Frame) -> tuple[int, float]:
    """log2 of the cell size, and the standard deviation in cells, of a blur.

    Cells are never smaller than those of the chroma, so that no chroma sample is shared between
    a cell of the person and one of the background.
    """
    sigma = strength * _WIDEST * min(frame.width, frame.height)
    shift = math.floor(math.log2(max(1.0, sigma / _SMALL_SIGMA)))
    shift = max(shift, *frame.format.chroma_shift)
    variance = (sigma / (1 << shift)) ** 2 - _OWN_VARIANCE * (shift > 0)
    return shift, math.sqrt(max(variance, 0.01))


def cells(frame: Frame, matte: Matte, shift: int) -> tuple[list[FloatImage], FloatImage]:
    """What `fill` wants: the three channels in code values, averaged over cells of 2^shift pixels,
    and how far each cell is background."""
    subsampled = frame.format.chroma_shift
    small: list[npt.NDArray[Any]] = []
    others: list[npt.NDArray[Any]] = []

    def first() -> None:
        small.append(_cell_means(frame.planes[0], shift, shift))

    def rest() -> None:
        shifts = shift - subsampled[0], shift - subsampled[1]
        others.extend(_cell_means(plane, *shifts) for plane in frame.planes[1:])
        others.append(background_weight(np.asarray(matte.alpha), shift))

    if is_worth_splitting(frame.width * frame.height):
        both(first, rest)  # luma is half of the work
    else:
        first()
        rest()
    *chromas, weight = others
    channels = cv2.split(small[0]) if frame.format.family == "rgb" else (*small, *chromas)
    return [np.asarray(channel, np.float32) for channel in channels], weight


def _cell_means(plane: npt.NDArray[Any], shift_x: int, shift_y: int) -> npt.NDArray[Any]:
    """Means over 2^x by 2^y samples, halving step by step (the fast way in OpenCV)."""
    while shift_x or shift_y:
        step = (min(1, shift_x), min(1, shift_y))
        plane = chroma.downsample(plane, step)
        shift_x, shift_y = shift_x - step[0], shift_y - step[1]
    return plane


def background_weight(alpha: npt.NDArray[np.uint8], shift: int) -> FloatImage:
    """(rows, columns) 0..1: how far each cell is background in *all* its pixels."""
    fused, cell = kernels("rvm.compositing.fused_fill"), 1 << shift
    if fused is None:
        return _STEEP[_cell_maximum(alpha, cell)]
    weight = np.empty((-(-alpha.shape[0] // cell), -(-alpha.shape[1] // cell)), np.float32)
    fused.cell_maximum(np.ascontiguousarray(alpha), cell, _STEEP, weight)
    return weight


def _cell_maximum(alpha: npt.NDArray[np.uint8], cell: int) -> npt.NDArray[np.uint8]:
    if cell == 1:
        return alpha
    rows, columns = alpha.shape
    bottom, right = -rows % cell, -columns % cell
    if bottom or right:
        padded = cv2.copyMakeBorder(alpha, 0, bottom, 0, right, cv2.BORDER_REPLICATE)
        alpha = np.asarray(padded, np.uint8)
    # Maxima over rows are contiguous and fast, so the columns' turn comes after a transposition.
    tall = alpha.reshape(-1, cell, alpha.shape[1]).max(axis=1).T
    wide = np.ascontiguousarray(tall).reshape(-1, cell, tall.shape[1]).max(axis=1).T
    return np.asarray(wide, np.uint8)


def fill(channels: list[FloatImage], weight: FloatImage) -> list[FloatImage]:
    """Replace what is not background by the background around it.

    Args:
        channels: (rows, columns) arrays of code values.
        weight: (rows, columns), 1 where a sample is background, 0 where it is not.

    Returns:
        as many arrays; the same ones where nothing or everything is background.
    """
    if weight.max() < TINY or weight.min() == 1:
        return channels
    fused = kernels("rvm.compositing.fused_fill")
    if fused is not None:
        stack = np.stack(channels)
        filled = np.empty_like(stack)
        fused.fill(stack, weight, np.float32(TRUSTED), np.float32(TINY), filled)
        return list(filled)
    return _pull_push([channel * weight for channel in channels], weight)


def _pull_push(weighted: list[FloatImage], weight: FloatImage) -> list[FloatImage]:
    """`fill` of channels that are multiplied by the weight already."""
    rows, columns = weight.shape
    if rows == columns == 1:
        certain = np.maximum(weight, np.float32(TINY))
        return [np.asarray(channel / certain, np.float32) for channel in weighted]
    shift = (int(columns > 1), int(rows > 1))
    coarse = [chroma.downsample(part, shift) for part in (*weighted, weight)]
    trust = 1 / np.maximum(coarse[-1], np.float32(TRUSTED))
    *coarse_channels, coarse_weight = (np.asarray(part * trust, np.float32) for part in coarse)
    below = _pull_push(coarse_channels, coarse_weight)
    rest = np.asarray(1 - weight, np.float32)
    return [
        np.asarray(channel + rest * chroma.upsample(part, shift, columns, rows), np.float32)
        for channel, part in zip(weighted, below, strict=True)
    ]


def soft_blur(channels: list[FloatImage], sigma: float, pixels: PixelFormat) -> list[FloatImage]:
    """Gaussian mean in which bright samples weigh more.

    Args:
        channels: three (rows, columns) arrays of code values.
        sigma: standard deviation in samples.
        pixels: the format, which tells luma from chroma.
    """
    gain = highlight_gain(channels, pixels)
    total = _gaussian(gain, sigma)
    return [np.asarray(_gaussian(part * gain, sigma) / total, np.float32) for part in channels]


def highlight_gain(channels: list[FloatImage], pixels: PixelFormat) -> FloatImage:
    """(rows, columns) 1..1 + HIGHLIGHTS, growing with the cube of brightness."""
    luma = np.maximum.reduce(channels) if pixels.family == "rgb" else channels[0]
    bright = luma / np.float32(pixels.max_value)
    return np.asarray(1 + np.float32(HIGHLIGHTS) * bright * bright * bright, np.float32)


def _gaussian(samples: FloatImage, sigma: float) -> FloatImage:
    blurred = cv2.GaussianBlur(samples, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32)


def _twice(part: FloatImage) -> FloatImage:
    size = (part.shape[1] * 2, part.shape[0] * 2)
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_CUBIC), np.float32)
