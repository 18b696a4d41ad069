"""What moved between two frames, seen on small luma pictures.

Answers two questions about the frame whose matte is at hand and the present one: is the picture
still the same, and where did each part of it go? Both on pictures of 256 samples a side, for
about a millisecond together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from rvm.colour import chroma

if TYPE_CHECKING:
    from rvm.frame import ByteImage, FloatImage, Frame

#: Samples along the long side. 256 instead of 160 lowered the error of a moved matte by up to 8 %.
LONG_SIDE = 256
#: A sample changed if it differs by more than the noise explains; never below so many codes.
_LEAST_CHANGE = 4
_NOISE_FACTOR = 6
#: Part of the picture that may change before it counts as changed: a blink, not a hand.
_STILL_SHARE = 0.002
#: Mean change in codes from which there is nothing to follow: a cut, or light switched on.
_OTHER_CHANGE = 25
_NEIGHBOURS = (5, 5)


def thumbnail(frame: Frame) -> ByteImage:
    """Luma (green, for RGB) of a CPU frame as 8 bit, 256 samples on the long side."""
    scale = min(1.0, LONG_SIDE / max(frame.size))
    size = (max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    small: npt.NDArray[Any] = np.asarray(chroma.resample(frame.planes[0], *size))
    if small.ndim == 3:
        small = small[:, :, 1]
    depth = frame.format.depth
    return np.ascontiguousarray(small >> (depth - 8) if depth > 8 else small, np.uint8)


def is_still(before: ByteImage, now: ByteImage) -> bool:
    """Whether two thumbnails show the same picture, up to the camera's noise.

    The noise is what half of the picture stays below, so a picture that moves as a whole is never
    taken for a noisy one: then most samples differ by more than the least change.
    """
    if before.shape != now.shape:
        return False
    difference = cv2.absdiff(before, now)
    counts = np.bincount(difference.ravel(), minlength=256)
    median = int(np.searchsorted(np.cumsum(counts), difference.size / 2))
    if median > _LEAST_CHANGE:
        return False
    threshold = max(_LEAST_CHANGE, _NOISE_FACTOR * median)
    return int(counts[threshold + 1 :].sum()) <= _STILL_SHARE * difference.size


def is_other(before: ByteImage, now: ByteImage) -> bool:
    """Whether two thumbnails show so different pictures that none can be had from the other."""
    if before.shape != now.shape:
        return True
    return float(cv2.mean(cv2.absdiff(before, now))[0]) > _OTHER_CHANGE


class MotionEstimator:
    """Dense motion between thumbnails (DIS optical flow, Kroeger et al., ECCV 2016)."""

    def __init__(self) -> None:
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def sources(self, before: ByteImage, now: ByteImage) -> FloatImage:
        """(rows, columns, 2): for each sample of `now`, how far off its origin in `before` lies.

        In samples, (x, y). Where following the motion does not explain the picture better than
        standing still (thin legs, what comes out from behind), it fades to none; that turned
        motion from harmful to helpful on fast sports.
        """
        if min(now.shape) < 16:  # the estimator's coarsest patches
            return np.zeros((*now.shape, 2), np.float32)
        flow = np.asarray(self._flow.calc(now, before, None), np.float32)
        followed = _sampled(before, _positions(flow))
        standing_error = _error(before, now)
        gain = (standing_error - _error(followed, now)) / (standing_error / 2 + 1)
        return np.asarray(flow * np.clip(gain, 0, 1)[:, :, None], np.float32)


def follow(planes: tuple[FloatImage, ...], sources: FloatImage) -> tuple[FloatImage, ...]:
    """Move (h, w[, channels]) planes of any size along `sources` (see `MotionEstimator`)."""
    moved = []
    positions = None
    for plane in planes:
        height, width = plane.shape[:2]
        if positions is None or positions.shape[:2] != (height, width):
            scale = np.array([width / sources.shape[1], height / sources.shape[0]], np.float32)
            resized = cv2.resize(sources, (width, height), interpolation=cv2.INTER_LINEAR)
            positions = _positions(np.asarray(resized, np.float32) * scale)
        moved.append(_sampled(plane, positions))
    return tuple(moved)


def _sampled(plane: npt.NDArray[Any], positions: FloatImage) -> npt.NDArray[Any]:
    """`plane` at fractional (x, y) positions, bilinear, the border repeated."""
    options = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REPLICATE}
    return np.asarray(cv2.remap(plane, positions, None, **options))  # type: ignore[call-overload]


def _positions(offsets: FloatImage) -> FloatImage:
    rows, columns = offsets.shape[:2]
    positions = offsets.copy()
    positions[:, :, 0] += np.arange(columns, dtype=np.float32)[None, :]
    positions[:, :, 1] += np.arange(rows, dtype=np.float32)[:, None]
    return positions


def _error(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """How much two pictures differ around each sample."""
    return np.asarray(cv2.blur(cv2.absdiff(one, other).astype(np.float32), _NEIGHBOURS))
