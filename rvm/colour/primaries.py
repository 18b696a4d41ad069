"""Gamuts: linear RGB of one set of primaries to that of another. All share the white D65."""

from __future__ import annotations

import functools

import numpy as np

from rvm.colour.matrices import Float64
from rvm.frame import Primaries

_D65 = (0.3127, 0.3290)

#: xy of red, green, blue. H.273 table 2: values 1, 6, 5, 9 and 12.
CHROMATICITIES: dict[Primaries, tuple[tuple[float, float], ...]] = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt601-525": ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)),
    "bt601-625": ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "display-p3": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}


@functools.cache
def rgb_to_xyz(primaries: Primaries) -> Float64:
    """3x3 from linear RGB to CIE XYZ with white at Y = 1 (SMPTE RP 177)."""
    columns = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in CHROMATICITIES[primaries]]).T
    x, y = _D65
    white = np.array([x / y, 1.0, (1 - x - y) / y])
    return columns * np.linalg.solve(columns, white)


@functools.cache
def convert(source: Primaries, target: Primaries) -> Float64:
    """3x3 from linear RGB in `source` to linear RGB in `target`; white stays white."""
    return np.asarray(np.linalg.solve(rgb_to_xyz(target), rgb_to_xyz(source)), np.float64)
