"""From the light of a scene to a picture for display."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]
UInt8 = npt.NDArray[np.uint8]

LUMA = np.array([0.2126, 0.7152, 0.0722])
DISPLAY_GAMMA = 2.2
DARKEST_MEDIAN = 0.02
"""Scene luminance below which the person's median is not let fall."""


def develop(linear: Float32, alpha: UInt8, white: float) -> UInt8:
    """Premultiplied scene light [h,w,4] and alpha -> RGBA for display, colour carried outwards."""
    hit = linear[..., 3].clip(0, 1)
    colour = linear[..., :3].clip(0, None) / np.maximum(hit, 1e-3)[..., None]
    inside = hit > 0.5
    median = float(np.median(colour[inside] @ LUMA)) if inside.any() else 1.0
    colour *= max(1.0, DARKEST_MEDIAN / max(median, 1e-4))
    colour = colour * (1 + colour / white**2) / (1 + colour)
    shown = (colour.clip(0, 1) ** (1 / DISPLAY_GAMMA) * 255).round().astype(np.uint8)
    unsure = (hit < 0.3).astype(np.uint8)
    _, label = cv2.distanceTransformWithLabels(
        unsure, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    palette = np.zeros((int(label.max()) + 1, 3), np.uint8)
    palette[label[unsure == 0]] = shown[unsure == 0]
    return np.dstack([palette[label], alpha])
