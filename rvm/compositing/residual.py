"""The colour a model gives: from a small RGB residual to what is added to the planes.

A model's `foreground_residual` is the person's pure colour minus the picture's, in the R'G'B'
the network saw. R'G'B' to code values is an affine map, so a *difference* needs its linear part
only, and that commutes with resampling: it is converted at its own small size and only the three
results are enlarged.

HDR frames keep their own colours (the residual is dropped): the network saw them tone-mapped, and
a difference of tone-mapped values means nothing in PQ or HLG.
"""

from __future__ import annotations

import cv2
import numpy as np

from rvm.colour import ranges
from rvm.frame import FloatImage, Frame, Matte


class ResidualPlanes:
    """Makes them for one frame after another, in the same buffers."""

    def __init__(self) -> None:
        self._buffers: dict[int, FloatImage] = {}

    def of(self, frame: Frame, matte: Matte) -> tuple[FloatImage | None, ...]:
        """What to add to each plane of `frame` where alpha is mixed.

        Returns:
            one float32 array of the plane's shape each, in code values, good until the next
            call; Nones where the model gives no colour or the frame is HDR.
        """
        small = usable_residual(frame, matte)
        if small is None:
            return (None,) * len(frame.planes)
        code = small_code_residual(small, frame)
        parts = [code] if frame.format.family == "rgb" else cv2.split(code)
        return tuple(
            self._enlarged(index, np.asarray(part, np.float32), plane.shape)
            for index, (part, plane) in enumerate(zip(parts, frame.planes, strict=True))
        )

    def _enlarged(self, index: int, part: FloatImage, shape: tuple[int, ...]) -> FloatImage:
        buffer = self._buffers.get(index)
        if buffer is None or buffer.shape != shape:
            buffer = self._buffers[index] = np.empty(shape, np.float32)
        cv2.resize(part, shape[1::-1], dst=buffer, interpolation=cv2.INTER_LINEAR)
        return buffer


def usable_residual(frame: Frame, matte: Matte) -> FloatImage | None:
    """(h, w, 3) R'G'B' 0..1 that may be added to this frame's colours, if there is any."""
    small = matte.foreground_residual
    if small is None or not frame.colour.is_display_referred:
        return None
    return np.asarray(small, np.float32)


def small_code_residual(residual: FloatImage, frame: Frame) -> FloatImage:
    """The residual in code values of the frame's format, (rows, columns, 3), at its own size."""
    linear_part = ranges.rgb_to_code(frame.format, frame.colour)[:, :3].astype(np.float32)
    return np.asarray(cv2.transform(residual, linear_part), np.float32)
