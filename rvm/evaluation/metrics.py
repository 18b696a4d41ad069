"""MAD, MSE, Grad, Conn, dtSSD and IoU, computed as the matting literature does.

Mattes are float [H,W], 0..1. Units are those of the published tables: MAD and MSE times 1e3,
dtSSD times 1e2, Grad and Conn sums divided by 1e3. Written from the protocol of Robust Video
Matting (arXiv 2108.11515, low-resolution evaluation) and of Rhemann et al., CVPR 2009.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

Matte = npt.NDArray[np.floating]
Float64 = npt.NDArray[np.float64]

GRAD_SIGMA = 1.4
GRAD_EPSILON = 1e-2
CONN_STEP = 0.1
CONN_TOLERANCE = 0.15


def _pair(predicted: Matte, true: Matte) -> tuple[Float64, Float64]:
    if predicted.shape != true.shape or predicted.ndim != 2:
        raise ValueError(f"got mattes {predicted.shape} and {true.shape}, expected one [H,W] each")
    return predicted.astype(np.float64), true.astype(np.float64)


def mad(predicted: Matte, true: Matte) -> float:
    """Mean absolute difference, times 1e3."""
    p, t = _pair(predicted, true)
    return float(np.abs(p - t).mean() * 1e3)


def mse(predicted: Matte, true: Matte) -> float:
    """Mean squared difference, times 1e3."""
    p, t = _pair(predicted, true)
    return float(np.square(p - t).mean() * 1e3)


def iou(predicted: Matte, true: Matte, threshold: float = 0.5) -> float:
    """Intersection over union of alpha > threshold, 0..1; 1 where both are empty."""
    p, t = _pair(predicted, true)
    union = np.count_nonzero((p > threshold) | (t > threshold))
    both = np.count_nonzero((p > threshold) & (t > threshold))
    return both / union if union else 1.0


@cache
def gaussian_derivative(sigma: float, epsilon: float) -> tuple[bytes, int]:
    """The horizontal filter as bytes (float64, side x side) and its side; L2 norm 1."""
    half = math.ceil(sigma * math.sqrt(-2 * math.log(math.sqrt(2 * math.pi) * sigma * epsilon)))
    x = np.arange(-half, half + 1, dtype=np.float64)
    gauss = np.exp(-(x**2) / (2 * sigma**2)) / (sigma * math.sqrt(2 * math.pi))
    kernel = np.outer(gauss, -x * gauss / sigma**2)
    kernel /= np.sqrt(np.square(kernel).sum())
    return kernel.tobytes(), len(x)


def gradient_magnitude(matte: Float64) -> Float64:
    """Length of the Gaussian-derivative gradient of a matte, borders replicated; [H,W]."""
    raw, side = gaussian_derivative(GRAD_SIGMA, GRAD_EPSILON)
    kernel = np.frombuffer(raw).reshape(side, side)
    x = cv2.filter2D(matte, -1, kernel, borderType=cv2.BORDER_REPLICATE)
    y = cv2.filter2D(matte, -1, kernel.T, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.hypot(x, y), np.float64)


def stretch(matte: Float64) -> Float64:
    """Min-max normalised to 0..1; a constant matte becomes 0."""
    low, high = matte.min(), matte.max()
    return (matte - low) / (high - low) if high > low else np.zeros_like(matte)


def grad(predicted: Matte, true: Matte) -> float:
    """Sum of squared differences of gradient lengths, divided by 1e3.

    Both mattes are min-max normalised first, as the published low-resolution script does.
    """
    p, t = _pair(predicted, true)
    difference = gradient_magnitude(stretch(p)) - gradient_magnitude(stretch(t))
    return float(np.square(difference).sum() / 1e3)


def largest_part(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The largest 4-connected part of a mask; nothing where the mask is empty."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(
        mask.astype(np.uint8), connectivity=4
    )
    if count < 2:
        return np.zeros_like(mask)
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))


def conn(predicted: Matte, true: Matte) -> float:
    """Connectivity error, divided by 1e3.

    For each pixel: the highest threshold at which it still belongs to the largest part that both
    mattes share; how far alpha lies above that (if by 0.15 or more) is its disconnectedness.
    """
    p, t = _pair(predicted, true)
    steps = np.arange(0, 1 + CONN_STEP, CONN_STEP)
    level = np.full(p.shape, -1.0)
    for before, threshold in itertools.pairwise(steps.tolist()):
        shared = largest_part((p >= threshold) & (t >= threshold))
        level[(level == -1) & ~shared] = before
    level[level == -1] = 1.0

    def connectedness(matte: Float64) -> Float64:
        above = matte - level
        return np.asarray(1 - above * (above >= CONN_TOLERANCE), np.float64)

    return float(np.abs(connectedness(p) - connectedness(t)).sum() / 1e3)


def dtssd(
    predicted: Matte, true: Matte, predicted_before: Matte | None, true_before: Matte | None
) -> float:
    """Root mean square difference of the changes since the frame before, times 1e2.

    The first frame of a clip, which has none before it, counts as 0 and is averaged in.
    """
    if predicted_before is None or true_before is None:
        return 0.0
    p, t = _pair(predicted, true)
    change = (p - predicted_before) - (t - true_before)
    return float(math.sqrt(np.square(change).mean()) * 1e2)


class ClipScore:
    """Collects every metric frame by frame over one clip."""

    NAMES = ("mad", "mse", "grad", "conn", "dtssd", "iou")

    def __init__(self) -> None:
        self._rows: list[tuple[float, ...]] = []
        self._before: tuple[Matte | None, Matte | None] = (None, None)

    def add(self, predicted: Matte, true: Matte) -> None:
        """Score the next frame."""
        self._rows.append(
            (
                mad(predicted, true),
                mse(predicted, true),
                grad(predicted, true),
                conn(predicted, true),
                dtssd(predicted, true, *self._before),
                iou(predicted, true),
            )
        )
        self._before = (predicted, true)

    def means(self) -> dict[str, float]:
        """Mean over the frames of each metric."""
        if not self._rows:
            raise ValueError("no frame was scored")
        return dict(zip(self.NAMES, np.mean(self._rows, 0).tolist(), strict=True))


def clip_means(mattes: Iterable[Matte], true: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Mean of each metric over a clip.

    Args:
        mattes: its mattes [H,W], 0..1.
        true: their true alpha [T,H,W], 0..255.
    """
    score = ClipScore()
    for matte, alpha in zip(mattes, true, strict=True):
        score.add(matte, alpha.astype(np.float32) / 255)
    return score.means()


def average(scores: list[dict[str, float]]) -> dict[str, float]:
    """Mean over clips of each metric; the published order of averaging for equal lengths."""
    return {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}
