"""The frame's own background, out of focus.

The person must not smear into the background. So the blur is a weighted mean in which only the
background counts: blur(w * picture) / blur(w), with w = 0 wherever a cell of the small picture
holds a trace of the person. Behind the person the surroundings flow in from the sides, as they
do behind a real lens. It runs on the native planes at a fraction of their size, where the blur is
still several samples wide, so that bilinear enlargement shows neither blocks nor steps. Bright
points weigh more, which approximates blurring light rather than code values: lamps grow into soft
discs instead of greying out.
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
from rvm.errors import UsageError

if TYPE_CHECKING:
    from rvm.frame import FloatImage, Frame, Matte, PixelFormat

#: Strength when none is given, and the blur's standard deviation at strength 1 as a part of the
#: picture's shorter side, so that the look does not depend on resolution.
DEFAULT_STRENGTH = 0.6
_WIDEST = 0.045
_INVISIBLE = 0.3
#: The small picture keeps the blur at least this many samples wide (standard deviation).
_SMALL_SIGMA = 2.5
#: How much more a white sample weighs than a black one.
HIGHLIGHTS = 3.0
#: Added to the sum of weights, so that no background within reach is not a division by zero.
SETTLE = 1e-4


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

    def behind(self, frame: Frame, matte: Matte) -> Frame:
        """See `Background.behind`."""
        sigma = sigma_pixels(self.strength, frame)
        if sigma == 0:
            return frame
        shift = cell_shift(sigma)
        small = small_planes(frame, shift)
        weight = background_weight(np.asarray(matte.alpha), shift)
        blurred = weighted_blur(small, weight, sigma / (1 << shift), frame.format)
        return frame.with_picture(self._enlarged(blurred, frame))

    def _enlarged(self, blurred: list[FloatImage], frame: Frame) -> tuple[npt.NDArray[Any], ...]:
        pixels = frame.format
        small = [chroma.round_to(part, pixels.dtype, pixels.max_value) for part in blurred]
        parts = [chroma.merge((*small,))] if pixels.family == "rgb" else small
        planes = self._pool.take(pixels, frame.width, frame.height)
        for part, plane in zip(parts, planes, strict=True):
            size = (plane.shape[1], plane.shape[0])
            cv2.resize(part, size, dst=plane, interpolation=cv2.INTER_LINEAR)
        return planes


def sigma_pixels(strength: float, frame: Frame) -> float:
    """Standard deviation of the blur in pixels; 0 where it would not be seen."""
    sigma = strength * _WIDEST * min(frame.width, frame.height)
    return sigma if sigma >= _INVISIBLE else 0.0


def cell_shift(sigma: float) -> int:
    """log2 of the cell size at which a blur of `sigma` pixels is computed."""
    return max(0, math.floor(math.log2(max(1.0, sigma / _SMALL_SIGMA))))


def small_planes(frame: Frame, shift: int) -> list[FloatImage]:
    """The three channels in code values, averaged over cells of 2^shift pixels."""
    columns, rows = -(-frame.width >> shift), -(-frame.height >> shift)
    small = [chroma.resample(plane, columns, rows) for plane in frame.planes]
    channels = cv2.split(small[0]) if frame.format.family == "rgb" else small
    return [np.asarray(channel, np.float32) for channel in channels]


def background_weight(alpha: npt.NDArray[np.uint8], shift: int) -> FloatImage:
    """(rows, columns) 0..1: how far each cell is background in *all* its pixels."""
    most = _cell_maximum(alpha, 1 << shift)
    clear = 1 - most.astype(np.float32) / np.float32(255)
    return np.asarray(clear * clear, np.float32)


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


def weighted_blur(
    channels: list[FloatImage], weight: FloatImage, sigma: float, pixels: PixelFormat
) -> list[FloatImage]:
    """Gaussian mean of the background only.

    Args:
        channels: three (rows, columns) arrays of code values.
        weight: (rows, columns) 0..1; 0 where the person is.
        sigma: standard deviation in samples.
        pixels: the format, which tells luma from chroma.

    Returns:
        three (rows, columns) float32; where no background is within reach, its overall mean.
    """
    weight = weight * highlight_gain(channels, pixels)
    total = _gaussian(weight, sigma) + np.float32(SETTLE)
    return [_weighted_mean(channel, weight, total, sigma) for channel in channels]


def _weighted_mean(
    channel: FloatImage, weight: FloatImage, total: FloatImage, sigma: float
) -> FloatImage:
    everywhere = float(weight.sum())
    mean = float((channel * weight).sum()) / everywhere if everywhere > 0 else channel.mean()
    # Around the mean, 0 / SETTLE deep inside the person becomes the mean itself.
    return np.asarray(_gaussian((channel - mean) * weight, sigma) / total + mean, np.float32)


def _gaussian(samples: FloatImage, sigma: float) -> FloatImage:
    blurred = cv2.GaussianBlur(samples, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(blurred, np.float32)


def highlight_gain(channels: list[FloatImage], pixels: PixelFormat) -> FloatImage:
    """(rows, columns) 1..1 + HIGHLIGHTS, growing with the cube of brightness."""
    luma = np.maximum.reduce(channels) if pixels.family == "rgb" else channels[0]
    bright = luma / np.float32(pixels.max_value)
    return np.asarray(1 + np.float32(HIGHLIGHTS) * bright * bright * bright, np.float32)
