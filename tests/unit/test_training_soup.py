"""The mean of two networks, one of which may be deeper."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from rvm.network.compact import CompactConfig, CompactMatting, zero_state
from rvm.training.soup import mixed, mixed_all, settle_norms

WIDTHS, DECODER = (8, 8, 16, 16, 16), (8, 8, 8, 16, 16)


def network(
    depths: tuple[int, int, int, int], seed: int, detail: tuple[int, int, int, int] = (0, 0, 0, 0)
) -> CompactMatting:
    torch.manual_seed(seed)
    return CompactMatting(CompactConfig(WIDTHS, depths, DECODER, detail)).eval()


@torch.inference_mode()
def alpha_of(net: CompactMatting, picture: Tensor) -> Tensor:
    pha: Tensor = net(picture, zero_state()).pha
    return pha


def test_the_ends_are_the_networks_themselves() -> None:
    shallow, deep = network((1, 1, 1, 1), 1), network((2, 1, 1, 3), 2, (1, 1, 0, 2))
    picture = torch.rand(1, 3, 64, 64)
    assert torch.equal(alpha_of(mixed(deep, shallow, 1.0), picture), alpha_of(deep, picture))
    older = alpha_of(mixed(deep, shallow, 0.0), picture)
    assert torch.allclose(older, alpha_of(shallow, picture), atol=1e-6)


def test_between_them_every_weight_is_the_mean() -> None:
    shallow, deep = network((1, 1, 1, 1), 1), network((1, 1, 1, 2), 2)
    middle = mixed(deep, shallow, 0.25).state_dict()
    theirs, ours = shallow.state_dict(), deep.state_dict()
    name = "up1.gru.gates_pw.weight"
    assert torch.allclose(middle[name], 0.25 * ours[name] + 0.75 * theirs[name])
    assert torch.equal(middle["hints.0.weight"], ours["hints.0.weight"])
    lacking = "down5.3.conv.1.weight"
    assert lacking not in theirs
    assert torch.allclose(middle[lacking], 0.25 * ours[lacking])


def test_corrections_that_one_of_them_lacks_count_as_silent_there() -> None:
    plain, config = network((1, 1, 1, 1), 1), CompactConfig(WIDTHS, (1, 1, 1, 1), DECODER)
    torch.manual_seed(2)
    more = (0, 1, 0, 2)
    corrected = CompactMatting(replace(config, corrections=more, decoder_corrections=more)).eval()
    picture = torch.rand(1, 3, 64, 64)
    older = alpha_of(mixed(corrected, plain, 0.0), picture)
    assert torch.allclose(older, alpha_of(plain, picture), atol=1e-6)
    gain = mixed(corrected, plain, 0.3).get_parameter("corrections.3.1.conv.1.weight")
    assert gain.tolist() == pytest.approx([0.3] * len(gain))


def test_a_share_is_within_the_unit() -> None:
    shallow, deep = network((1, 1, 1, 1), 1), network((1, 1, 1, 2), 2)
    with pytest.raises(ValueError, match="expected 0"):
        mixed(deep, shallow, 1.5)


def test_several_runs_have_their_shares_and_what_they_began_with_the_rest() -> None:
    nets = [network((1, 1, 1, 1), seed) for seed in range(3)]
    name = "up1.gru.gates_pw.weight"
    start, first, second = (net.state_dict()[name] for net in nets)
    soup = mixed_all(nets[0], [(nets[1], 0.4), (nets[2], 0.3)]).state_dict()[name]
    assert torch.allclose(soup, 0.3 * start + 0.4 * first + 0.3 * second, atol=1e-6)
    halves = mixed_all(nets[0], [(nets[1], 0.5), (nets[2], 0.5)]).state_dict()[name]
    assert torch.allclose(halves, 0.5 * first + 0.5 * second, atol=1e-6)
    for shares in ([], [(nets[1], 0.7), (nets[2], 0.4)], [(nets[1], -0.1)]):
        with pytest.raises(ValueError, match="at most 1"):
            mixed_all(nets[0], shares)


def test_statistics_become_those_of_the_pictures() -> None:
    net = network((1, 1, 1, 1), 3)
    batches = [torch.rand(2, 3, 64, 64) for _ in range(3)]
    settle_norms(net, batches)
    first = net.stem[0](torch.cat(batches) * 2 - 1)
    expected = torch.stack([part.mean((0, 2, 3)) for part in first.split(2)]).mean(0)
    norm = net.stem[1]
    assert torch.allclose(net.state_dict()["stem.1.running_mean"], expected, atol=1e-5)
    assert norm.momentum == 0.1
    assert not net.training
