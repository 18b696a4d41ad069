"""What training minimises. Alpha and colours are 0..1; batches are [B*T,...], time fastest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.network.compact import LEAK, CompactOutput, pad_edges, resized


@dataclass(frozen=True)
class LossWeights:
    """Factors of the sum; see :func:`matting_loss`."""

    coarse: float = 1.0
    refined: float = 1.0
    laplacian: float = 1.0
    temporal: float = 5.0
    foreground: float = 0.3
    hints: float = 0.3
    features: float = 0.5
    """Of :class:`rvm.training.features.FeatureMatcher`; nothing without a teacher."""
    mistaken: float = 0.0
    """Of :func:`mistaken_loss`."""
    adversarial: float = 0.0
    """Of :class:`rvm.training.critic.Critic`: share of the gradient that ``refined`` has."""
    edge: float = 2.0
    """Extra weight of pixels whose true alpha is neither 0 nor 1, or near such a pixel."""


def edge_weight(alpha: Tensor, extra: float) -> Tensor:
    """1 far from an edge, 1 + ``extra`` within two pixels of one; [N,1,h,w] -> same."""
    spread = widest(alpha) + widest(-alpha)
    return 1 + extra * spread.clamp(0, 1)


def widest(x: Tensor) -> Tensor:
    """Largest value within 5x5, edges repeated; ten times faster on a CPU than max_pool2d."""
    x = pad_edges(x, 2)
    for _ in range(2):
        x = torch.maximum(torch.maximum(x[..., :-2, :], x[..., 1:-1, :]), x[..., 2:, :])
        x = torch.maximum(torch.maximum(x[..., :-2], x[..., 1:-1]), x[..., 2:])
    return x


def weighted_l1(predicted: Tensor, true: Tensor, weight: Tensor) -> Tensor:
    """sum(weight * |difference|) / sum(weight)."""
    return ((predicted - true).abs() * weight).sum() / weight.sum()


def pyramid_down(x: Tensor) -> Tensor:
    """5x5 binomial blur and every second pixel: [N,c,h,w] -> [N,c,h/2,w/2] rounded up."""
    x = pad_edges(x, 2)
    n = x.shape[-2] - 4
    a, b, c, d, e = (x[..., k : k + n : 2, :] for k in range(5))
    x = (a + e + 4 * (b + d) + 6 * c) / 16
    n = x.shape[-1] - 4
    a, b, c, d, e = (x[..., k : k + n : 2] for k in range(5))
    return (a + e + 4 * (b + d) + 6 * c) / 16


def laplacian_loss(predicted: Tensor, true: Tensor, levels: int = 4) -> Tensor:
    """L1 between Laplacian pyramids, level s weighted 2^s / levels; [N,1,h,w]."""
    difference = predicted - true  # the pyramid is linear
    total = difference.new_zeros(())
    for level in range(levels):
        down = pyramid_down(difference)
        size = difference.shape[-2:]
        up = resized(down, size)
        total = total + (difference - up).abs().mean() * 2**level / levels
        difference = down
    return total


def temporal_loss(predicted: Tensor, true: Tensor, frames: int) -> Tensor:
    """Mean squared difference of the changes from frame to frame; 0 for single frames."""
    if frames == 1:
        return predicted.new_zeros(())
    difference = (predicted - true).reshape(-1, frames, *predicted.shape[1:])
    return torch.diff(difference, dim=1).square().mean()


def hint_loss(hints: tuple[Tensor, ...], alpha: Tensor) -> Tensor:
    """Binary cross entropy of the logits at every scale against the averaged alpha."""
    total = alpha.new_zeros(())
    for logits in hints:
        size = logits.shape[-2:]
        target = F.interpolate(alpha, size, mode="area")
        total = total + F.binary_cross_entropy_with_logits(logits, target)
    return total / max(1, len(hints))


def mistaken_loss(leaky: Tensor, true: Tensor) -> Tensor:
    """How far beyond the wrong end of 0..1 the network went, before the leak made it small.

    ``leaky`` [N,1,h,w] comes out of :func:`rvm.network.compact.leaky_clamp`. Below 0 where the
    truth is 1, or above 1 where it is 0, the other losses keep a twentieth of their gradient, so
    that a person who is missed altogether would hardly be learnt; here it is whole.
    """
    below, above = (-leaky).clamp_min(0), (leaky - 1).clamp_min(0)
    return (below * true + above * (1 - true)).mean() / LEAK


def matting_loss(
    output: CompactOutput,
    refined: tuple[Tensor, Tensor],
    alpha: Tensor,
    fgr: Tensor,
    frames: int,
    weights: LossWeights,
    features: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum and its parts, without their gradients.

    ``refined`` is (foreground [N,3,H,W], alpha [N,1,H,W]) at the size of the targets ``alpha``
    [N,1,H,W] and ``fgr`` [N,3,H,W]; the coarse alpha is compared at its own size. ``features`` is
    that part of the loss where there is a teacher for it.
    """
    predicted_fgr, predicted = refined
    small = alpha
    weight = small_weight = edge_weight(alpha, weights.edge)
    if output.pha.shape != alpha.shape:
        small = F.interpolate(alpha, output.pha.shape[-2:], mode="area")
        small_weight = edge_weight(small, weights.edge)
    inside = (alpha > 0.02).to(alpha.dtype)
    parts = {
        "coarse": weighted_l1(output.pha, small, small_weight),
        "refined": weighted_l1(predicted, alpha, weight),
        "laplacian": laplacian_loss(predicted, alpha),
        "temporal": temporal_loss(predicted, alpha, frames),
        "foreground": ((predicted_fgr - fgr).abs() * inside).mean(),
        "hints": hint_loss(output.hints, small),
        "mistaken": mistaken_loss(output.pha, small),
    }
    if features is not None:
        parts["features"] = features
    total = torch.stack([getattr(weights, name) * part for name, part in parts.items()]).sum()
    return total, {name: part.detach() for name, part in parts.items()}
