"""The assembled network: sizes, ratio, state, names and parameters."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator

import pytest
import torch

from rvm.errors import ModelError, UsageError
from rvm.network import (
    MattingNetwork,
    RecurrentState,
    StateSizeError,
    build_mobilenetv3,
    build_network,
    build_resnet50,
    downsampled_size,
)
from rvm.network.matting_network import downsample
from tests.shared_data import shared_path

# Small tensors: a second thread costs more than it brings, all the more on a busy machine.
torch.set_num_threads(1)
# sha256 of the sorted lines "name (shape)" of the published state_dict.
NAMES_SHA256 = "f31e672c3bfca75ae0a9dd006b8de87f23747d726edde8e331eeb9ef1c801884"


@pytest.fixture(scope="module")
def network() -> MattingNetwork:
    torch.manual_seed(0)
    return build_mobilenetv3().eval()


@pytest.fixture(autouse=True)
def _inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def described_names(network: MattingNetwork) -> list[str]:
    return sorted(f"{name} {tuple(value.shape)}" for name, value in network.state_dict().items())


def parameters(network: MattingNetwork) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_mobilenetv3_has_the_published_names_and_parameters(network: MattingNetwork) -> None:
    names = described_names(network)
    assert len(names) == 380
    assert hashlib.sha256("\n".join(names).encode()).hexdigest() == NAMES_SHA256
    assert parameters(network) == 3_748_633


def test_the_names_are_those_of_the_shared_list(network: MattingNetwork) -> None:
    listed = shared_path("design/rvm_statedict_keys.txt").read_text().splitlines()
    assert described_names(network) == sorted(listed)


def test_resnet50_builds_and_runs() -> None:
    network = build_resnet50().eval()
    assert parameters(network) == 26_890_461
    out = network(torch.rand(1, 3, 33, 50), downsample_ratio=0.7)
    assert out.alpha.shape == (1, 1, 33, 50)
    assert out.state.shapes == network.state_shapes(1, 33, 50, 0.7)
    assert [shape[1] for shape in out.state.shapes] == [16, 32, 64, 128]


@pytest.mark.parametrize("ratio", [1.0, 0.6])
@pytest.mark.parametrize("size", [(16, 16), (17, 31), (45, 80), (2, 2), (100, 37)])
def test_any_size_comes_back(network: MattingNetwork, size: tuple[int, int], ratio: float) -> None:
    src = torch.rand(2, 3, *size)
    out = network(src, None, ratio)
    assert out.foreground.shape == src.shape
    assert out.alpha.shape == (2, 1, *size)
    assert out.state.shapes == network.state_shapes(2, *size, ratio)
    for tensor in (out.foreground, out.alpha):
        assert 0 <= tensor.min() <= tensor.max() <= 1


def test_state_sizes_are_halved_rounding_up(network: MattingNetwork) -> None:
    assert network.state_shapes(1, 1080, 1920, 0.25) == (
        (1, 16, 135, 240),
        (1, 20, 68, 120),
        (1, 40, 34, 60),
        (1, 64, 17, 30),
    )


def test_a_clip_is_its_frames_in_order(network: MattingNetwork) -> None:
    clip = torch.rand(2, 3, 3, 40, 52)
    whole = network(clip, None, 0.5)
    state = RecurrentState.fresh()
    for t in range(3):
        out = network(clip[:, t], state, 0.5)
        state = out.state
        torch.testing.assert_close(whole.alpha[:, t], out.alpha, atol=1e-5, rtol=0)
        torch.testing.assert_close(whole.foreground[:, t], out.foreground, atol=1e-5, rtol=0)
    for ours, theirs in zip(whole.state.levels, state.levels, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)


def test_the_state_matters_and_reset_forgets(network: MattingNetwork) -> None:
    src = torch.rand(1, 3, 32, 32)
    first = network(src)
    second = network(src, first.state)
    assert not torch.equal(first.state.levels[0], second.state.levels[0])
    again = network(src, second.state.reset())
    assert torch.equal(first.alpha, again.alpha)
    for ours, theirs in zip(first.state.levels, again.state.levels, strict=True):
        assert torch.equal(ours, theirs)


def test_a_step_leaves_the_given_state_alone(network: MattingNetwork) -> None:
    src = torch.rand(1, 3, 32, 32)
    state = network(src).state
    before = [level.clone() for level in state.levels]
    network(src, state)
    assert all(torch.equal(a, b) for a, b in zip(before, state.levels, strict=True))


@pytest.mark.parametrize(
    ("shape", "ratio"), [((1, 3, 34, 32), 1.0), ((2, 3, 32, 32), 1.0), ((1, 3, 32, 32), 0.5)]
)
def test_a_state_of_another_size_is_refused(
    network: MattingNetwork, shape: tuple[int, ...], ratio: float
) -> None:
    state = network(torch.rand(1, 3, 32, 32)).state
    with pytest.raises(StateSizeError, match=r"got 1x16x16x16 .*expected .*reset it") as caught:
        network(torch.rand(shape), state, ratio)
    assert isinstance(caught.value, ModelError)
    assert isinstance(caught.value, ValueError)


def test_state_moves_detaches_and_describes_itself(network: MattingNetwork) -> None:
    state = network(torch.rand(1, 3, 32, 32)).state
    assert state.to(dtype=torch.float64).levels[3].dtype == torch.float64
    assert not any(level.requires_grad for level in state.detach().levels)
    assert repr(state) == (
        "RecurrentState(1x16x16x16 1x20x8x8 1x40x4x4 1x64x2x2, torch.float32, cpu)"
    )
    assert repr(state.reset()) == "RecurrentState(fresh)"
    assert state.reset().is_fresh


def test_the_ratio_floors(network: MattingNetwork) -> None:
    assert downsampled_size(100, 61, 0.35) == (35, 21)
    logits, _ = network.segment(torch.rand(1, 3, 100, 61), None, 0.35)
    assert logits.shape == (1, 1, 35, 21)


def test_pixels_are_sampled_at_the_ratio_itself() -> None:
    # A ramp tells where each pixel was taken: at (i + 1/2) / ratio - 1/2, though 43/17 != 1/0.4.
    ramp = torch.arange(43.0).expand(1, 3, 4, 43)
    taken = downsample(ramp, 0.4)[0, 0, 0]
    torch.testing.assert_close(taken, (torch.arange(17.0) + 0.5) / 0.4 - 0.5)


def test_ratio_one_skips_the_refiner_unless_told(network: MattingNetwork) -> None:
    src, calls = torch.rand(1, 3, 32, 32), itertools.count()
    hook = network.refiner.register_forward_hook(lambda *args: next(calls) and None)
    network(src)
    assert next(calls) == 0
    network(src, always_refine=True)
    network(src, None, 0.5)
    hook.remove()
    assert next(calls) == 3


@pytest.mark.parametrize("ratio", [0.0, -1.0, 1.5, float("nan"), 0.01])
def test_a_ratio_that_cannot_work_is_refused(network: MattingNetwork, ratio: float) -> None:
    with pytest.raises(UsageError, match="downsample_ratio"):
        network(torch.rand(1, 3, 32, 32), None, ratio)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 4, 32, 32), (1, 0, 3, 32, 32), (32, 32)])
def test_what_is_no_frame_is_refused(network: MattingNetwork, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        network(torch.rand(shape))


def test_a_batch_does_not_mix(network: MattingNetwork) -> None:
    a, b = torch.rand(1, 3, 32, 48), torch.rand(1, 3, 32, 48)
    both = network(torch.cat([a, b]), None, 0.5)
    torch.testing.assert_close(both.alpha[1:], network(b, None, 0.5).alpha, atol=1e-5, rtol=0)


def test_the_fast_refiner_has_no_weights() -> None:
    network = build_mobilenetv3("fast").eval()
    assert not any(name.startswith("refiner") for name in network.state_dict())
    assert network(torch.rand(1, 3, 32, 32), None, 0.5).alpha.shape == (1, 1, 32, 32)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match="known: mobilenetv3, resnet50"):
        build_network("alexnet")
    with pytest.raises(UsageError, match="known: deep, fast"):
        build_network("mobilenetv3", "slow")  # type: ignore[arg-type]


def test_gradients_reach_every_part() -> None:
    with torch.inference_mode(False):
        network = build_mobilenetv3()
        src = torch.rand(1, 2, 3, 32, 32)
        out = network(src, None, 0.5)
        logits, _ = network.segment(src)
        (out.alpha.sum() + out.foreground.sum() + logits.sum()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    assert without == []
