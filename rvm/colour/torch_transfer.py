"""Transfer curves on tensors: the twins of `rvm.colour.transfer`, for [1, 3, H, W] tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from rvm.colour import transfer
from rvm.frame import Transfer


def to_light(curve: Transfer, signal: Tensor) -> Tensor:
    """Display light of an R'G'B' signal [1, 3, H, W]; 1 is diffuse white."""
    if curve == "linear":
        return signal.clamp_min(0)
    signal = signal.clamp(0, 1)
    if curve == "pq":
        return _pq_to_light(signal)
    if curve == "hlg":
        return _hlg_to_light(signal)
    bent = ((signal + 0.055) / 1.055).pow(2.4)
    return torch.where(signal <= 0.04045, signal / 12.92, bent)


def from_light(curve: Transfer, light: Tensor) -> Tensor:
    """R'G'B' signal [1, 3, H, W] that shows `light`, clamped to 0..1."""
    light = light.clamp_min(0)
    if curve == "linear":
        return light.clamp_max(1)
    if curve == "pq":
        return _light_to_pq(light)
    if curve == "hlg":
        return _light_to_hlg(light)
    light = light.clamp_max(1)
    bent = 1.055 * light.pow(1 / 2.4) - 0.055
    return torch.where(light <= 0.0031308, light * 12.92, bent)


def _pq_to_light(signal: Tensor) -> Tensor:
    below = torch.expm1(torch.log(signal.clamp_min(transfer.PQ_BLACK)) / transfer.PQ_M2)
    divisor = (transfer.PQ_C2 - transfer.PQ_C3) - transfer.PQ_C3 * below
    ratio = (below + (1 - transfer.PQ_C1)).clamp_min(0) / divisor
    return ratio.pow(1 / transfer.PQ_M1) * (transfer.PQ_PEAK_NITS / transfer.REFERENCE_WHITE_NITS)


def _light_to_pq(light: Tensor) -> Tensor:
    scale = transfer.REFERENCE_WHITE_NITS / transfer.PQ_PEAK_NITS
    root = (light * scale).clamp_max(1).pow(transfer.PQ_M1)
    ratio = (transfer.PQ_C1 + transfer.PQ_C2 * root) / (1 + transfer.PQ_C3 * root)
    return ratio.pow(transfer.PQ_M2)


def _hlg_to_light(signal: Tensor) -> Tensor:
    high = (torch.exp((signal - transfer.HLG_C) / transfer.HLG_A) + transfer.HLG_B) / 12
    scene = torch.where(signal <= 0.5, signal * signal / 3, high)
    peak = transfer.HLG_PEAK_NITS / transfer.REFERENCE_WHITE_NITS
    return peak * scene * _luma(scene).pow(transfer.HLG_GAMMA - 1)


def _light_to_hlg(light: Tensor) -> Tensor:
    display = light * (transfer.REFERENCE_WHITE_NITS / transfer.HLG_PEAK_NITS)
    luma = _luma(display).clamp_min(1e-9)
    scene = (display * luma.pow(1 / transfer.HLG_GAMMA - 1)).clamp(0, 1)
    log = (12 * scene - transfer.HLG_B).clamp_min(1e-6).log()
    high = transfer.HLG_A * log + transfer.HLG_C
    return torch.where(scene <= 1 / 12, (3 * scene).sqrt(), high).clamp(0, 1)


def _luma(rgb: Tensor) -> Tensor:
    """[1, 1, H, W], BT.2020 weights: as numbers, since copying a tensor waits for the device."""
    red, green, blue = transfer.BT2020_LUMA.tolist()
    luma: Tensor = rgb[:, :1] * red + rgb[:, 1:2] * green + rgb[:, 2:] * blue
    return luma
