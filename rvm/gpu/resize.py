"""Resizing planes in torch as `rvm.compositing.fit.scale` does with OpenCV, on any device."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def resize(plane: Tensor, width: int, height: int) -> Tensor:
    """The mean over the area when shrinking both ways, else bilinear; rounded to nearest even.

    Args:
        plane: (rows, columns) uint8 or uint16, any strides.
        width, height: wanted size.

    Returns:
        (height, width) of the same dtype; the plane itself if it has that size.
    """
    rows, columns = plane.shape
    if (columns, rows) == (width, height):
        return plane
    samples = plane.to(torch.float32)
    if columns >= width and rows >= height:
        samples = _shrunk(_shrunk(samples, height).T, width).T
    else:
        samples = F.interpolate(
            samples[None, None], (height, width), mode="bilinear", align_corners=False
        )[0, 0]
    return samples.round_().to(plane.dtype)


def _shrunk(image: Tensor, wanted: int) -> Tensor:
    """(rows, columns) float32 -> (wanted, columns): means of rows, cut ones by their share."""
    if image.shape[0] == wanted:
        return image
    indices, weights = _taps(image.shape[0], wanted, image.device)
    total = image[indices[0]] * weights[0, :, None]
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        total += image[index] * weight[:, None]
    return total


@functools.lru_cache(maxsize=32)
def _taps(size: int, wanted: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Which samples a new, larger one covers, and how much of it each is: [taps, wanted] each."""
    edges = np.arange(wanted + 1) * (size / wanted)
    first = np.floor(edges[:-1]).astype(np.int64)
    count = int((np.ceil(edges[1:]) - first).max())
    samples = first + np.arange(count)[:, None]
    shares = np.minimum(samples + 1, edges[1:]) - np.maximum(samples, edges[:-1])
    weights = np.clip(shares, 0, None) * (wanted / size)
    return (
        torch.from_numpy(np.minimum(samples, size - 1)).to(device),
        torch.from_numpy(weights.astype(np.float32)).to(device),
    )
