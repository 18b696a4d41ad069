"""The small picture that a compact network sees, written where its input lies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from rvm.colour.chroma import resample
from rvm.colour.ranges import code_to_rgb
from rvm.colour.rgb import network_rgb
from rvm.halves import in_parts, plane_parts
from rvm.jit import kernels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import FloatImage, Frame
    from rvm.matting.contracts.base import Array


def write_picture(frame: Frame, planar: Array) -> None:
    """`rvm.colour.rgb.network_rgb` of a frame into `planar` [3,h,w], float32 or float16."""
    height, width = planar.shape[1:]
    fused = kernels("rvm.matting.fused_picture") if _is_plain(frame, planar) else None
    if fused is None:
        to_planar(network_rgb(frame, width, height), planar)
        return
    planes = [*frame.planes]

    def shrink(numbers: Sequence[int]) -> None:
        for number in numbers:
            planes[number] = np.ascontiguousarray(resample(planes[number], width, height))

    in_parts(shrink, plane_parts(len(planes), frame.width * frame.height))
    matrix = code_to_rgb(frame.format, frame.colour).astype(np.float32)
    fused.planar_rgb(tuple(planes), matrix, planar)


def _is_plain(frame: Frame, planar: Array) -> bool:
    """Whether a matrix is all that lies between the samples and the picture."""
    yuv = frame.format.family == "yuv"
    return yuv and frame.colour.is_display_referred and planar.dtype == np.float32


def to_planar(rgb: FloatImage, planar: Array) -> None:
    """Write (h, w, 3) float32 into (3, h, w) of float32 or float16."""
    if planar.dtype == np.float32 and min(planar.shape[1:]) > 1:
        cv2.split(rgb, [planar[0], planar[1], planar[2]])
    else:
        np.copyto(planar, rgb.transpose(2, 0, 1), casting="same_kind")
