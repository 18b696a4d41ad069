"""The part of the frame that the network looks at, where that is not all of it.

Somebody far away is so few pixels of a picture of the whole frame that hands and legs are lost. A
picture of the same size that shows the window around that person alone has several times the
pixels for them and costs the same. Around the window alpha is 0.

A window has the frame's own aspect, is square, or lies the other way, so that the network meets
three shapes of picture and not a hundred. It is kept while the people have room in it, and what
the network remembers moves along when it gives way to another one.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from rvm.frame import Matte

if TYPE_CHECKING:
    from rvm.frame import ByteImage, FloatImage, Frame
    from rvm.matting.contracts.base import Array
    from rvm.matting.refine import Scratch

#: Room around the people, of the longer side of the box that holds them: wanted, and enough.
#: By a first trial on far people at 720p: a MAD of 2.5 with it and with 0.12, 2.9 with 0.35.
_ROOM, _LEAST_ROOM = 0.2, 0.07
#: A window is changed for one of less than this share of its area.
_CLOSER = 0.6
#: Pixels.
_LEAST_SIDE = 128
#: Samples across and down; enough to see a five hundredth of the frame.
_SAMPLES = 96
#: Alpha from which a pixel is more person than not.
OPAQUE = 128
_WIDE = 16 / 9


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of the frame, in pixels; left and top are even."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column after it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row after it."""
        return self.top + self.height

    @property
    def area(self) -> int:
        """Pixels."""
        return self.width * self.height

    @property
    def inside(self) -> tuple[slice, slice]:
        """Its rows and columns of a plane of the frame's size."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def holds(self, other: Window) -> bool:
        """Whether all of another one lies in it."""
        beside = self.left <= other.left and other.right <= self.right
        return beside and self.top <= other.top and other.bottom <= self.bottom

    def cut(self, frame: Frame) -> Frame:
        """What of a frame lies in it; the samples are not copied."""
        planes = []
        for number, plane in enumerate(frame.planes):
            x, y = frame.format.chroma_shift if number else (0, 0)
            rows = slice(self.top >> y, -(-self.bottom >> y))
            planes.append(plane[rows, self.left >> x : -(-self.right >> x)])
        return dataclasses.replace(
            frame, planes=tuple(planes), width=self.width, height=self.height, alpha=None
        )


def whole(size: tuple[int, int]) -> Window:
    """The window that is all of a frame of (width, height)."""
    return Window(0, 0, *size)


def solid_samples(alpha: ByteImage) -> tuple[npt.NDArray[np.bool_], int, int]:
    """Where a matte is more person than not, on a grid, and the grid's steps down and across."""
    down, across = sample_steps(*alpha.shape)
    return alpha[::down, ::across] >= OPAQUE, down, across


def sample_steps(rows: int, columns: int) -> tuple[int, int]:
    """Steps down and across of the grid on which a matte of that size is looked at."""
    return max(1, rows // _SAMPLES), max(1, columns // _SAMPLES)


def people_box(alpha: ByteImage) -> Window | None:
    """The smallest box that holds the people, to a hundredth of the frame; None without any."""
    rows, columns = alpha.shape
    solid, down, across = solid_samples(alpha)
    in_rows, in_columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    if not in_rows.size:
        return None
    top = max(0, (int(in_rows[0]) - 1) * down + 1)
    left = max(0, (int(in_columns[0]) - 1) * across + 1)
    bottom = min(rows, (int(in_rows[-1]) + 1) * down)
    right = min(columns, (int(in_columns[-1]) + 1) * across)
    return Window(left, top, right - left, bottom - top)


def window_around(box: Window, size: tuple[int, int], now: Window | None = None) -> Window:
    """The window to look at people through.

    Args:
        box: what holds them.
        size: (width, height) of the frame.
        now: the window so far; it stays while the box has room in it and does not get lost in it.
    """
    best = _of_known_shape(_grown(box, _ROOM, size), size)
    has_room = now is not None and now.holds(_grown(box, _LEAST_ROOM, size))
    return now if now and has_room and best.area > _CLOSER * now.area else best


def _grown(box: Window, room: float, size: tuple[int, int]) -> Window:
    """A box with room around it, as far as the frame goes."""
    margin = round(room * max(box.width, box.height))
    left, top = max(0, box.left - margin), max(0, box.top - margin)
    right, bottom = min(size[0], box.right + margin), min(size[1], box.bottom + margin)
    return Window(left, top, right - left, bottom - top)


def _of_known_shape(box: Window, size: tuple[int, int]) -> Window:
    """The smallest window around a box that has one of the three shapes and fits the frame."""
    own = size[0] / size[1]
    sides = []
    for aspect in (own, 1.0, 1 / _WIDE if own > 1 else _WIDE):
        wide_enough = max(box.width, box.height * aspect, _LEAST_SIDE * max(1.0, aspect))
        sides.append((round(wide_enough), round(wide_enough / aspect)))
    fitting = [(w, h) for w, h in sides if w <= size[0] and h <= size[1]]
    width, height = min(fitting, key=lambda each: each[0] * each[1], default=size)
    left = _start(box.left + box.right, width, size[0])
    return Window(left, _start(box.top + box.bottom, height, size[1]), width, height)


def _start(twice_middle: int, length: int, limit: int) -> int:
    """Even start of a stretch around a middle, within 0..limit."""
    start = min(max(0, (twice_middle - length) // 2), limit - length)
    return start - start % 2


def moved(
    tensor: Array, before: Window, now: Window, size: tuple[int, int], base: Array | None = None
) -> Array:
    """What the network remembers of one window, for another: it is about places.

    Args:
        tensor: [n, c, h, w] of `before`.
        before, now: the windows.
        size: (width, height) of the result.
        base: [n, c, *size] for what `before` did not show; None is 0, which is no memory.
    """
    rows, columns = tensor.shape[2:]
    matrix = _mapping(now, size, before, (columns, rows))
    result = np.zeros((*tensor.shape[:2], size[1], size[0]), np.float32)
    border = cv2.BORDER_CONSTANT
    if before.holds(now):
        border = cv2.BORDER_REPLICATE  # only half a sample can lie outside
    elif base is not None:
        result[:], border = base, cv2.BORDER_TRANSPARENT
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    planes = np.asarray(tensor, np.float32).reshape(-1, rows, columns)
    for source, target in zip(planes, result.reshape(-1, *result.shape[2:]), strict=True):
        cv2.warpAffine(source, matrix, size, dst=target, flags=flags, borderMode=border)
    return result.astype(tensor.dtype, copy=False)


def _mapping(
    now: Window, size: tuple[int, int], before: Window, old_size: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """The affine map from samples of one window to those of another; both have half-pixel centres.

    Args:
        now, before: the windows.
        size, old_size: samples across and down of each.
    """
    across, down = old_size[0] / before.width, old_size[1] / before.height  # samples a pixel
    step_x, step_y = now.width / size[0] * across, now.height / size[1] * down
    start_x, start_y = (now.left - before.left) * across, (now.top - before.top) * down
    return np.array(
        [[step_x, 0, start_x + step_x / 2 - 0.5], [0, step_y, start_y + step_y / 2 - 0.5]]
    )


def spread(
    matte: Matte, window: Window, size: tuple[int, int], scratch: Scratch,
    around: ByteImage | None = None,
) -> Matte:  # fmt: skip
    """The matte of a window as that of the whole frame.

    Args:
        matte: of the window.
        window: where it lies.
        size: (width, height) of the frame.
        scratch: working memory to use again.
        around: alpha of the whole frame for what lies outside; None is nobody.
    """
    width, height = size
    alpha = scratch.alpha(height, width)
    rows, columns = window.inside
    if around is not None:
        alpha[:] = around
    else:
        alpha[: window.top], alpha[window.bottom :] = 0, 0
        alpha[rows, : window.left], alpha[rows, window.right :] = 0, 0
    alpha[rows, columns] = matte.alpha
    residual = matte.foreground_residual
    return Matte(alpha, None if residual is None else _spread_colour(residual, window, size))


def _spread_colour(plane: FloatImage, window: Window, size: tuple[int, int]) -> FloatImage:
    """(h, w, 3) of a window as a plane of the whole frame, as fine as it was, 0 around it."""
    rows, columns = plane.shape[:2]
    wide = (
        max(1, round(columns * size[0] / window.width)),
        max(1, round(rows * size[1] / window.height)),
    )
    matrix = _mapping(whole(size), wide, window, (columns, rows))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(plane, matrix, wide, flags=flags), np.float32)
