"""The mean of networks of one family: what runs reached, and what they began with.

Weights that were trained on from the same start lie in one valley of the loss, and what lies
between them is often better than both, above all on what one of them has forgotten (Wortsman et
al., "Model soups: averaging weights of multiple fine-tuned models improves accuracy without
increasing inference time", ICML 2022).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from rvm.network.compact import CompactMatting, blocks_beyond, zero_state


def mixed(newer: CompactMatting, older: CompactMatting, share: float) -> CompactMatting:
    """``share`` of the newer network's weights and the rest of the older's.

    Layers that the older network does not have count as silent there: their batch norm is scaled by
    ``share``. The hints, which only training needs, stay the newer one's.
    Batch norm's statistics fit neither; see :func:`settle_norms`.

    Raises:
        ValueError: ``share`` is not within 0..1.
        RuntimeError: the networks differ in more than their depths.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"got share {share}, expected 0..1")
    result = CompactMatting(newer.config)
    theirs = older.state_dict()
    weights = {
        name: tensor.lerp(theirs[name], 1 - share)
        if name in theirs and tensor.is_floating_point() and not name.startswith("hints.")
        else tensor.clone()
        for name, tensor in newer.state_dict().items()
    }
    result.load_state_dict(weights)
    for block in blocks_beyond(result, older.config):
        block.scale(share)
    return result.eval()


def mixed_all(
    older: CompactMatting, newer: Sequence[tuple[CompactMatting, float]]
) -> CompactMatting:
    """The mean of several runs from one start, each with its share, and of that start for the rest.

    Raises:
        ValueError: there is no run, a share is not above 0, or they are more than 1 together.
    """
    held = 1 - sum(share for _, share in newer)
    if not newer or held < -1e-9 or any(share <= 0 for _, share in newer):
        raise ValueError(f"got shares {[share for _, share in newer]}, expected at most 1 in all")
    result, held = older, max(held, 0.0)
    for network, share in newer:
        held += share
        result = mixed(network, result, min(1.0, share / held))
    return result


@torch.no_grad()
def settle_norms(network: CompactMatting, batches: Iterable[Tensor]) -> None:
    """Batch norm's statistics anew, as the mean over ``batches`` of [B,3,h,w] RGB 0..1."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
    network.train()
    for batch in batches:
        network(batch, zero_state())
    network.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
