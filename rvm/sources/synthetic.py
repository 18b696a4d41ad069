"""Synthetic frames that carry their own number, for tests, benchmarks and demonstrations.

The number is a barcode along the top edge: 20 cells across the full width, 16 bits of the number
(most significant first) and 4 bits of checksum. Each cell is two stacked blocks of opposite
brightness, so a bit is the sign of a difference: it survives lossy codecs, scaling, and changes
of brightness and contrast.
"""

from __future__ import annotations

import itertools
import math
import threading
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rvm.errors import UsageError
from rvm.frame import PIXEL_FORMATS, SRGB, ByteImage, ColourTags, Frame, PixelFormat
from rvm.sources.base import Source, SourceInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

NUMBER_BITS = 16
CHECKSUM_BITS = 4
CELLS = NUMBER_BITS + CHECKSUM_BITS
#: Smallest picture that holds the barcode: one pixel a cell, two rows.
MIN_WIDTH, MIN_HEIGHT = CELLS, 2
_BLACK, _WHITE = 40, 210
_LEAST_CONTRAST = 0.1


def draw_number(plane: npt.NDArray[Any], number: int, depth: int = 8) -> None:
    """Burn `number` (modulo 65536) into the top of `plane` (rows, columns[, channels])."""
    block, columns = _cell_rows(plane.shape[0]), _cell_edges(plane.shape[1])
    black, white = _BLACK << (depth - 8), _WHITE << (depth - 8)
    for bit, left, right in zip(_bits(number), columns, columns[1:], strict=False):
        plane[:block, left:right] = white if bit else black
        plane[block : 2 * block, left:right] = black if bit else white


def read_number(frame: Frame) -> int:
    """The number that `draw_number` burnt into `frame`, 0..65535.

    Raises:
        ValueError: the frame carries no readable number.
    """
    return decode_number(np.asarray(frame.planes[0]), frame.format.depth)


def decode_number(plane: npt.NDArray[Any], depth: int = 8) -> int:
    """As `read_number`, from a luma or RGB plane (rows, columns[, channels])."""
    luma = plane if plane.ndim == 2 else plane.mean(axis=2)
    block, columns = _cell_rows(luma.shape[0]), _cell_edges(luma.shape[1])
    value, contrast = 0, 1.0
    for left, right in itertools.pairwise(columns):
        upper = float(luma[:block, left:right].mean())
        lower = float(luma[block : 2 * block, left:right].mean())
        value = value << 1 | (upper > lower)
        contrast = min(contrast, abs(upper - lower) / ((1 << depth) - 1))
    number, checksum = value >> CHECKSUM_BITS, value & (1 << CHECKSUM_BITS) - 1
    if contrast < _LEAST_CONTRAST or checksum != _checksum(number):
        raise ValueError(f"no readable frame number (contrast {contrast:.2f})")
    return number


class SyntheticSource(Source):
    """`count` numbered frames of a drifting gradient, optionally with a person-like figure.

    Args:
        count: frames to yield; None never ends.
        width, height: size in pixels, at least 20 x 2.
        fps: frames a second; frame i has pts i in units of 1/fps.
        format: a name from `rvm.frame.PIXEL_FORMATS`.
        colour: tags; BT.709 limited (sRGB for RGB formats) if None.
        person: draw a figure that sways; `true_alpha` gives its exact matte.
    """

    def __init__(
        self,
        count: int | None = 100,
        *,
        width: int = 320,
        height: int = 240,
        fps: Fraction | float = Fraction(30),
        format: str = "yuv420p",
        colour: ColourTags | None = None,
        person: bool = False,
    ) -> None:
        if format not in PIXEL_FORMATS:
            raise UsageError(f"synthetic format {format!r}: choose from {', '.join(PIXEL_FORMATS)}")
        if width < MIN_WIDTH or height < MIN_HEIGHT:
            raise UsageError(f"synthetic size {width}x{height}: at least {MIN_WIDTH}x{MIN_HEIGHT}")
        if fps <= 0 or (count is not None and count < 0):
            raise UsageError(f"synthetic fps {fps}, count {count}: must be positive")
        rate = Fraction(fps).limit_denominator(1001)
        self._format: PixelFormat = PIXEL_FORMATS[format]
        default = SRGB if self._format.family == "rgb" else ColourTags()
        self._person = person
        self._closed = threading.Event()
        self._ramp = _ramp(width, height)
        self.info = SourceInfo(
            name="synthetic",
            width=width,
            height=height,
            format=self._format,
            colour=colour or default,
            time_base=1 / rate,
            frame_rate=rate,
            frame_count=count,
            duration_seconds=None if count is None else float(count / rate),
        )

    def __iter__(self) -> Iterator[Frame]:
        count = self.info.frame_count
        index = 0
        while (count is None or index < count) and not self._closed.is_set():
            yield self.frame(index)
            index += 1

    def close(self) -> None:
        """End the iteration."""
        self._closed.set()

    def frame(self, index: int) -> Frame:
        """Frame number `index`, the same each time it is asked for."""
        info = self.info
        planes = tuple(np.ascontiguousarray(plane) for plane in self._planes(index))
        draw_number(planes[0], index, self._format.depth)
        return Frame(
            planes=planes,
            format=self._format,
            width=info.width,
            height=info.height,
            pts=index,
            time_base=info.time_base,
            index=index,
            colour=info.colour,
            duration=1,
        )

    def true_alpha(self, index: int) -> ByteImage:
        """(height, width) uint8: 255 inside the figure of frame `index`, else 0."""
        inside = _figure(self.info.width, self.info.height, index)
        alpha: ByteImage = np.where(inside, 255, 0).astype(np.uint8)
        return alpha

    def _planes(self, index: int) -> tuple[npt.NDArray[Any], ...]:
        shift = self._format.depth - 8
        base = np.roll(self._ramp, 2 * index, axis=1).astype(self._format.dtype) << shift
        inside = _figure(self.info.width, self.info.height, index) if self._person else None
        if inside is not None:
            base[inside] = 170 << shift
        if self._format.family == "rgb":
            return (np.stack([base, base[::-1], base], axis=2),)
        _, (rows, columns), _ = self._format.plane_shapes(self.info.width, self.info.height)
        blue = np.full((rows, columns), 140 << shift, self._format.dtype)
        red = np.full((rows, columns), 118 << shift, self._format.dtype)
        if inside is not None:
            step_x, step_y = (
                (1 << self._format.chroma_shift[0]),
                (1 << self._format.chroma_shift[1]),
            )
            small = inside[::step_y, ::step_x]
            blue[small], red[small] = 105 << shift, 155 << shift
        return base, blue, red


def _ramp(width: int, height: int) -> npt.NDArray[np.uint8]:
    columns = 60 + 80 * np.abs(np.linspace(-1, 1, width))
    rows = 40 * np.linspace(0, 1, height)
    ramp: npt.NDArray[np.uint8] = (columns[None, :] + rows[:, None]).astype(np.uint8)
    return ramp


def _figure(width: int, height: int, index: int) -> npt.NDArray[np.bool_]:
    """Head and shoulders: an ellipse above a half ellipse, swaying once in 90 frames."""
    centre = width * (0.5 + 0.15 * math.sin(2 * math.pi * index / 90))
    y, x = np.ogrid[:height, :width]
    head = ((x - centre) / (0.11 * width)) ** 2 + ((y - 0.45 * height) / (0.18 * height)) ** 2 < 1
    body = ((x - centre) / (0.26 * width)) ** 2 + ((y - 1.05 * height) / (0.42 * height)) ** 2 < 1
    figure: npt.NDArray[np.bool_] = head | body
    return figure


def _bits(number: int) -> list[int]:
    value = (number % (1 << NUMBER_BITS)) << CHECKSUM_BITS | _checksum(number)
    return [value >> (CELLS - 1 - cell) & 1 for cell in range(CELLS)]


def _checksum(number: int) -> int:
    """Sum of the four hexadecimal digits, plus 5 so that all-zero cells are not a valid code."""
    return (sum(number >> shift & 15 for shift in (0, 4, 8, 12)) + 5) & 15


def _cell_rows(height: int) -> int:
    return max(1, min(height // 2, max(4, height // 16)))


def _cell_edges(width: int) -> list[int]:
    return [width * cell // CELLS for cell in range(CELLS + 1)]
