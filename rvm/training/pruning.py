"""A network without some of its blocks, and a last layer that makes up for them.

What a block adds may be worth nothing to the matte and yet be part of what the last layer reckons
with, a constant above all. So the last layer is set anew: the one that, on real pictures and by
least squares, says of the pruned network's features what the whole network says.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from rvm.network.compact import CompactConfig, CompactMatting, zero_state

NEAR = 0.7
"""Logits of alpha (less 0.5) within which a place counts fully: what lies beyond is clamped."""
BEYOND = 0.08
"""What any other place counts, as there are so many more of them."""
RIDGE = 1e-4
"""Share of the features' mean square that holds the layer to what it was."""


def pruned(network: CompactMatting, config: CompactConfig) -> CompactMatting:
    """The same network with no more blocks than ``config`` has.

    Raises:
        ValueError: the network lacks some of what ``config`` has.
        RuntimeError: their widths differ.
    """
    result = CompactMatting(config)
    missing = result.load_state_dict(network.state_dict(), strict=False).missing_keys
    if missing:
        raise ValueError(f"got a network without {missing[0]}, expected at least {config}")
    return result.eval()


@torch.no_grad()
def fit_output(network: CompactMatting, whole: CompactMatting, clips: Iterable[Tensor]) -> None:
    """Set the last layer of a pruned network, in place.

    Args:
        network: pruned, in evaluation mode.
        whole: what it was pruned from, in evaluation mode.
        clips: sequences [T,3,h,w] RGB 0..1, of which the last frame counts.
    """
    layer, seen = network.head.out, list[Tensor]()
    hook = layer.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    width = layer.in_channels + 1
    squares = torch.zeros(width, width, dtype=torch.float64)
    products = torch.zeros(width, layer.out_channels, dtype=torch.float64)
    for clip in clips:
        expected = rows(whole.planes(clip, zero_state(), len(clip))[0])
        reached = rows(network.planes(clip, zero_state(), len(clip))[0])
        features = rows(seen.pop())
        features = torch.cat([features, torch.ones(len(features), 1, dtype=torch.float64)], 1)
        near = (expected[:, :4].abs() < NEAR).any(1, keepdim=True)
        weighted = features * torch.where(near, 1.0, BEYOND)
        squares += weighted.mT @ features
        products += weighted.mT @ (expected - reached)
    hook.remove()
    squares += torch.eye(width) * squares.diagonal().mean() * RIDGE
    change = torch.linalg.solve(squares, products).to(layer.weight.dtype)
    layer.weight += change[:-1].mT[:, :, None, None]
    if layer.bias is not None:
        layer.bias += change[-1]


def rows(planes: Tensor) -> Tensor:
    """The last frame of [T,c,h,w] as [h*w,c], in double precision."""
    return planes[-1].flatten(1).mT.double()
