"""Transfer curves: R'G'B' signal to display light and back.

Light is relative to diffuse white: 1.0 is SDR white, and 203 cd/m2 for PQ and HLG (ITU-R
BT.2408-7 table 1, where that is 58 % PQ and 75 % HLG signal). HDR highlights exceed 1.

"bt709" means the *display's* curve. The camera curve of BT.709 is not undone, since graded
pictures are judged on a display; and of the two display curves in use, BT.1886 (2.4) and sRGB,
this takes sRGB. So a BT.709 picture and an sRGB picture with the same R'G'B' look the same,
which is what browsers, players and ffmpeg do when they show video on a computer, and no shadow
changes its tone when a still is put behind a person.
"""

from __future__ import annotations

import numpy as np

from rvm.frame import FloatImage, Transfer

#: Diffuse white of HDR pictures, cd/m2 (BT.2408).
REFERENCE_WHITE_NITS = 203.0
#: Peak of the display an HLG picture is rendered for, cd/m2 (BT.2100 note 5e), and its gamma.
HLG_PEAK_NITS = 1000.0
HLG_GAMMA = 1.2

PQ_PEAK_NITS = 10000.0
PQ_M1, PQ_M2 = 2610 / 16384, 2523 / 4096 * 128
#: Code values whose light is 0 anyway, down to where logarithms end.
PQ_BLACK = 1e-30
PQ_C1, PQ_C2, PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
HLG_A, HLG_B, HLG_C = 0.17883277, 0.28466892, 0.55991073
BT2020_LUMA = np.array([0.2627, 0.6780, 0.0593], np.float32)


def to_light(transfer: Transfer, signal: FloatImage) -> FloatImage:
    """Display light of an R'G'B' signal.

    Args:
        transfer: the curve.
        signal: (..., 3) float, R'G'B'; values outside 0..1 are clamped (linear keeps those > 1).

    Returns:
        (..., 3) float32, 1.0 at diffuse white.
    """
    if transfer == "linear":
        return np.maximum(signal, 0, dtype=np.float32)
    signal = np.clip(signal, 0, 1, dtype=np.float32)
    if transfer == "pq":
        return _pq_to_nits(signal) / np.float32(REFERENCE_WHITE_NITS)
    if transfer == "hlg":
        return _hlg_to_nits(signal) / np.float32(REFERENCE_WHITE_NITS)
    return _srgb_to_light(signal)


def from_light(transfer: Transfer, light: FloatImage) -> FloatImage:
    """R'G'B' signal that shows `light`; the inverse of `to_light`, clamped to 0..1.

    Args:
        transfer: the curve.
        light: (..., 3) float, 1.0 at diffuse white; negative light is clamped to 0.
    """
    light = np.maximum(light, 0, dtype=np.float32)
    if transfer == "linear":
        return np.minimum(light, 1)
    if transfer == "pq":
        return _nits_to_pq(light * np.float32(REFERENCE_WHITE_NITS))
    if transfer == "hlg":
        return _nits_to_hlg(light * np.float32(REFERENCE_WHITE_NITS))
    return _light_to_srgb(np.minimum(light, 1))


def _srgb_to_light(signal: FloatImage) -> FloatImage:
    """IEC 61966-2-1."""
    curve = np.power((signal + np.float32(0.055)) / np.float32(1.055), np.float32(2.4))
    return np.asarray(np.where(signal <= 0.04045, signal / np.float32(12.92), curve), np.float32)


def _light_to_srgb(light: FloatImage) -> FloatImage:
    curve = np.float32(1.055) * np.power(light, np.float32(1 / 2.4)) - np.float32(0.055)
    return np.where(light <= 0.0031308, light * np.float32(12.92), curve)


def _pq_to_nits(signal: FloatImage) -> FloatImage:
    """SMPTE ST 2084, equation 4.1, by way of the root less 1.

    Near white the divisor is a small difference of large numbers, and the rounding of a root near
    1 would come out hundreds of times larger.
    """
    below = np.expm1(np.log(np.maximum(signal, np.float32(PQ_BLACK))) * np.float32(1 / PQ_M2))
    divisor = np.float32(PQ_C2 - PQ_C3) - np.float32(PQ_C3) * below
    ratio = np.maximum(below + np.float32(1 - PQ_C1), 0) / divisor
    return np.asarray(PQ_PEAK_NITS * np.power(ratio, 1 / PQ_M1), np.float32)


def _nits_to_pq(nits: FloatImage) -> FloatImage:
    """SMPTE ST 2084, equation 5.1."""
    root = np.power(np.minimum(nits / np.float32(PQ_PEAK_NITS), 1), np.float32(PQ_M1))
    ratio = (np.float32(PQ_C1) + np.float32(PQ_C2) * root) / (1 + np.float32(PQ_C3) * root)
    return np.asarray(np.power(ratio, np.float32(PQ_M2)), np.float32)


def _hlg_to_nits(signal: FloatImage) -> FloatImage:
    """BT.2100 table 5: inverse OETF, then the OOTF at the nominal peak."""
    low = signal * signal / 3
    high = (np.exp((signal - np.float32(HLG_C)) / np.float32(HLG_A)) + np.float32(HLG_B)) / 12
    scene = np.where(signal <= 0.5, low, high)
    luma = (scene @ BT2020_LUMA)[..., None]
    return np.asarray(HLG_PEAK_NITS * scene * np.power(luma, HLG_GAMMA - 1), np.float32)


def _nits_to_hlg(nits: FloatImage) -> FloatImage:
    display = nits / np.float32(HLG_PEAK_NITS)
    luma = np.maximum(display @ BT2020_LUMA, 1e-9)[..., None]
    scene = np.clip(display * np.power(luma, np.float32(1 / HLG_GAMMA - 1)), 0, 1)
    log = np.log(np.maximum(12 * scene - np.float32(HLG_B), 1e-6))
    high = np.float32(HLG_A) * log + np.float32(HLG_C)
    return np.asarray(
        np.clip(np.where(scene <= 1 / 12, np.sqrt(3 * scene), high), 0, 1), np.float32
    )
