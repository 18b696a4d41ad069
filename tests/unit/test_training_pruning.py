"""A network without some of its blocks, and the last layer that makes up for them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rvm.network.compact import CompactConfig, CompactMatting, zero_state
from rvm.training.pruning import fit_output, pruned

FEWER = CompactConfig((8, 8, 16, 16, 16), (1, 1, 1, 1), (8, 8, 8, 16, 16))
MORE = replace(FEWER, depths=(1, 1, 2, 1), detail=(1, 0, 0, 0))


def whole_network() -> CompactMatting:
    """Its block before the last layer adds 0.2 everywhere, the other one nothing."""
    torch.manual_seed(6)
    network = CompactMatting(MORE).eval()
    with torch.no_grad():
        network.down4.get_parameter("3.conv.1.weight").zero_()
        network.head.detail.get_parameter("0.conv.0.weight").zero_()
        network.head.detail.get_parameter("0.conv.1.bias").fill_(0.2)
    return network


def test_what_is_left_is_as_it_was() -> None:
    whole = whole_network()
    network = pruned(whole, FEWER)
    assert network.config == FEWER
    assert not network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, whole.state_dict()[name])
    with pytest.raises(ValueError, match=r"without corrections\.1\.0"):
        pruned(whole, replace(FEWER, corrections=(0, 1, 0, 0)))


def test_the_last_layer_makes_up_for_a_constant() -> None:
    whole = whole_network()
    network = pruned(whole, FEWER)
    torch.manual_seed(7)
    clips = [torch.rand(2, 3, 64, 96) for _ in range(6)]
    unseen = torch.rand(1, 3, 64, 64)

    def distance() -> float:
        with torch.inference_mode():
            ours, theirs = (n.planes(unseen, zero_state())[0] for n in (network, whole))
        return float((ours - theirs).abs().mean())

    before = distance()
    fit_output(network, whole, clips)
    assert distance() < 0.05 * before
    assert not network.head.out._forward_pre_hooks


def test_a_network_that_lost_nothing_keeps_its_last_layer() -> None:
    whole = whole_network()
    same = pruned(whole, MORE)
    fit_output(same, whole, [torch.rand(1, 3, 64, 64)])
    assert torch.allclose(same.head.out.weight, whole.head.out.weight, atol=1e-6)
