"""Rounding with a memory, so that what hardly changes does not change at all.

A blurred background is smooth: wide areas of it lie near the middle between two code values, and
the camera's noise, though averaged away to a fraction of a code, tips them to and fro. That
shimmers, and an encoder spends bits and time on it. So a code is kept until the value has moved
further from it than rounding alone would allow: a little hysteresis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rvm.colour import chroma
from rvm.jit import kernels

if TYPE_CHECKING:
    from rvm.colour.chroma import Samples
    from rvm.frame import FloatImage, PixelFormat

#: In codes; plain rounding errs by up to a half.
KEPT_WITHIN = 0.75


class SteadyRounding:
    """Rounds one picture after the other. The first one starts from zeros, as one of another
    size or format does."""

    def __init__(self) -> None:
        self._pixels: PixelFormat | None = None
        self._codes: list[Samples] = []

    def codes(self, parts: list[FloatImage], pixels: PixelFormat) -> list[Samples]:
        """Code values 0..`pixels.max_value`, at most `KEPT_WITHIN` from each value in that range.

        Args:
            parts: (rows, columns) each.
            pixels: the format, which has the result's type.
        """
        same = pixels == self._pixels and [c.shape for c in self._codes] == [p.shape for p in parts]
        before = self._codes if same else [np.zeros(p.shape, pixels.dtype) for p in parts]
        self._pixels = pixels
        self._codes = [_round(part, old, pixels) for part, old in zip(parts, before, strict=True)]
        return self._codes


def _round(values: FloatImage, before: Samples, pixels: PixelFormat) -> Samples:
    fused = kernels("rvm.compositing.fused_fill")
    if fused is not None:
        codes = np.empty_like(before)
        within, top = np.float32(KEPT_WITHIN), np.float32(pixels.max_value)
        fused.steady(np.ascontiguousarray(values), before, within, top, codes)
        return codes
    rounded = chroma.round_to(values, pixels.dtype, pixels.max_value)
    return np.where(np.abs(values - before) < np.float32(KEPT_WITHIN), before, rounded)
