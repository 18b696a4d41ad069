"""Where the camera stands, what its picture shows, and the exact alpha of what it shows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Rng = np.random.Generator
Float64 = npt.NDArray[np.float64]
UInt8 = npt.NDArray[np.uint8]

LONG_SIDE = 448
FINE = 6
"""Alpha is the mean of FINE x FINE points a pixel."""
MARGIN = 0.04
"""Free border, of the person's longer extent: the sampler takes who has none for cut off."""


@dataclass(frozen=True)
class View:
    """Where the camera stands and how much it shows; degrees and metres."""

    yaw: float
    """0 before the person, 90 at their left."""
    pitch: float
    """Above 0 looks down."""
    distance: float
    shown: float
    """Visible part from the top of the picture of the person down, 0..1."""


def draw_view(rng: Rng) -> View:
    """Mostly from the front, at every height of a camera, from the head to the whole body."""
    front = rng.random() < 0.62
    yaw = float(np.clip(rng.normal(0, 30), -60, 60)) if front else rng.uniform(-180, 180)
    pitch = rng.triangular(-15, 5, 35)
    kind = rng.random()
    if kind < 0.55:
        return View(yaw, pitch, rng.uniform(2.4, 6), 1.0)
    if kind < 0.82:
        return View(yaw, pitch, rng.uniform(1.6, 3), rng.uniform(0.42, 0.75))
    return View(yaw, pitch, rng.uniform(1.1, 2), rng.uniform(0.22, 0.36))


@dataclass(frozen=True)
class Frame:
    """What the picture shows, in tangents of the view's angles: right and up are above 0."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def size(self) -> tuple[int, int]:
        """(width, height), pixels."""
        width, height = self.right - self.left, self.top - self.bottom
        scale = LONG_SIDE / max(width, height)
        return max(round(width * scale), 16), max(round(height * scale), 16)


def frame_person(tangents: Float64, shown: float) -> Frame:
    """The visible part of projected points [N,2] with a margin, but for a cut lower edge."""
    top = float(tangents[:, 1].max())
    bottom = top - shown * (top - float(tangents[:, 1].min()))
    across = tangents[tangents[:, 1] >= bottom, 0]
    left, right = float(across.min()), float(across.max())
    rim = MARGIN * max(right - left, top - bottom)
    return Frame(left - rim, bottom - (rim if shown >= 1 else 0), right + rim, top + rim)


def coverage(triangles: Float64, frame: Frame) -> UInt8:
    """The share of each pixel [h,w] that projected, opaque triangles [N,3,2] cover, 0..255."""
    width, height = frame.size
    scale = FINE * width / (frame.right - frame.left)
    middle = ((frame.left + frame.right) / 2, (frame.bottom + frame.top) / 2)
    fine = (triangles - middle) * (scale, -scale) + (width * FINE / 2, height * FINE / 2) - 0.5
    canvas = np.zeros((height * FINE, width * FINE), np.uint8)
    for corners in np.rint(fine * 16).astype(np.int32):
        cv2.fillConvexPoly(canvas, corners, 255, shift=4)
    return np.asarray(cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
