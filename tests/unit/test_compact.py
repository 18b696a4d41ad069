"""The compact network: shapes, memory, odd input, and the exported files beside it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch

from rvm.matting.guide import coarse_alpha
from rvm.network.compact import (
    LUMA,
    CompactConfig,
    CompactMatting,
    Correction,
    ResidualConv,
    box3,
    doubled,
    grow,
    guided_coefficients,
    pad_edges,
    refine,
    resized,
    upsample,
    zero_state,
)
from rvm.network.compact_export import (
    STATE_INPUTS,
    export_core,
    export_full,
    export_lean,
    load_weights,
    round_weights,
    save_weights,
)

SMALL = CompactConfig((8, 8, 16, 16, 16), (1, 1, 1, 1), (8, 8, 8, 16, 16))


@pytest.fixture
def network() -> CompactMatting:
    torch.manual_seed(3)
    net = CompactMatting(SMALL)
    with torch.no_grad():  # running statistics that are not those of a fresh network
        for _ in range(4):
            net(torch.rand(2, 3, 64, 64), zero_state())
    return net.eval()


@torch.inference_mode()
def test_outputs_have_the_documented_shapes(network: CompactMatting) -> None:
    out = network(torch.rand(2, 3, 64, 96), zero_state())
    assert out.pha.shape == out.alpha_scale.shape == out.alpha_offset.shape == (2, 1, 64, 96)
    assert out.fgr_residual.shape == (2, 3, 32, 48)
    assert [tuple(s.shape) for s in out.state] == network.state_shapes(2, 64, 96)
    assert out.hints == ()
    assert 0 <= float(out.pha.min()) <= float(out.pha.max()) <= 1


@torch.inference_mode()
def test_the_state_carries_and_forgets_when_it_is_zeroed(network: CompactMatting) -> None:
    first, second = torch.rand(2, 1, 3, 32, 64).unbind(0)
    state = network(first, zero_state()).state
    carried = network(second, state)
    fresh = network(second, zero_state())
    assert not torch.equal(carried.state[0], fresh.state[0])
    assert torch.equal(fresh.pha, network(second, zero_state()).pha)


@torch.inference_mode()
def test_a_whole_sequence_at_once_is_the_same_as_frame_by_frame(network: CompactMatting) -> None:
    frames = torch.rand(2, 3, 3, 32, 32)  # [B,T,3,h,w]
    together = network(frames.flatten(0, 1), zero_state(), frames=3)
    state = zero_state()
    for t in range(3):
        single = network(frames[:, t], state)
        state = single.state
        torch.testing.assert_close(
            together.pha.unflatten(0, (2, 3))[:, t], single.pha, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("value", [0.0, 1.0, 0.5, 1e6, -1e6])
@torch.inference_mode()
def test_flat_and_absurd_pictures_give_finite_mattes(network: CompactMatting, value: float) -> None:
    state = zero_state()
    frame = torch.full((1, 3, 32, 32), value)
    for _ in range(3):
        out = network(frame, state)
        state = out.state
        for tensor in (*refine(out, frame.clamp(0, 1)), *state):
            assert torch.isfinite(tensor).all()


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (137, 75), (301, 500)])
@torch.inference_mode()
def test_refinement_reaches_any_full_size(network: CompactMatting, size: tuple[int, int]) -> None:
    fgr, pha = refine(network(torch.rand(1, 3, 32, 32), zero_state()), torch.rand(1, 3, *size))
    assert fgr.shape == (1, 3, *size)
    assert pha.shape == (1, 1, *size)
    assert 0 <= float(pha.min()) <= float(pha.max()) <= 1


def test_what_does_not_fit_is_refused(network: CompactMatting) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        network(torch.rand(1, 3, 30, 32), zero_state())
    state = network(torch.rand(1, 3, 32, 32), zero_state()).state
    with pytest.raises(ValueError, match="got state r1"):
        network(torch.rand(1, 3, 64, 32), state)


def test_the_guided_filter_finds_a_linear_relation() -> None:
    luma = torch.rand(1, 1, 8, 8)
    scale, offset = guided_coefficients(luma, 0.6 * luma + 0.1, torch.full_like(luma, -4.0))
    assert float((scale - 0.6).abs().median()) < 5e-3
    assert float((scale * luma + offset - 0.6 * luma - 0.1).abs().max()) < 5e-3


def test_box3_is_the_mean_of_nine_with_repeated_edges() -> None:
    x = torch.tensor([[[[0.0, 9.0], [0.0, 0.0]]]])
    # around (0,0) of the padded [[0,0,9],[0,0,9],[0,0,0]]: 18 / 9
    assert box3(x)[0, 0, 0, 0] == pytest.approx(2.0)


def test_edges_are_padded_alike_when_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(2, 3, 5, 4)
    usual = pad_edges(x, 2)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert torch.equal(pad_edges(x, 2), usual)


def test_core_onnx_matches_torch_at_sizes_it_was_not_traced_with(
    network: CompactMatting, tmp_path: Path
) -> None:
    export_core(network, tmp_path / "core.onnx")
    session = ort.InferenceSession(tmp_path / "core.onnx", providers=["CPUExecutionProvider"])
    for height, width in ((32, 32), (96, 64)):
        state = zero_state()
        for _ in range(3):
            src = torch.rand(1, 3, height, width)
            feeds = {n: s.numpy() for n, s in zip(STATE_INPUTS, state, strict=True)}
            scale, offset, residual, pha, *after = session.run(
                None, {"src_small": src.numpy(), **feeds}
            )
            with torch.inference_mode():
                out = network(src, state)
            state = out.state
            luma = np.tensordot(np.array(LUMA), src.numpy(), (0, 1))
            expected = out.alpha_scale.numpy() * luma + out.alpha_offset.numpy()
            assert np.abs(scale * luma + offset - expected).max() < 1e-3
            assert np.abs(residual - out.fgr_residual.numpy()).max() < 1e-3
            assert np.abs(pha - out.pha.numpy()).max() < 1e-3
            for ours, theirs in zip(after, state, strict=True):
                assert np.abs(ours - theirs.numpy()).max() < 1e-3


def test_lean_onnx_is_the_network_without_its_filter(
    network: CompactMatting, tmp_path: Path
) -> None:
    export_lean(network, tmp_path / "lean.onnx")
    session = ort.InferenceSession(tmp_path / "lean.onnx", providers=["CPUExecutionProvider"])
    state = zero_state()
    for _ in range(2):
        src = torch.rand(1, 3, 64, 96)
        feeds = {n: s.numpy() for n, s in zip(STATE_INPUTS, state, strict=True)}
        planes, residual, *after = session.run(None, {"src_small": src.numpy(), **feeds})
        with torch.inference_mode():
            out = network(src, state)
        state = out.state
        assert np.abs(coarse_alpha(planes[0]) - out.pha[0, 0].numpy()).max() < 1e-4
        assert np.abs(residual - out.fgr_residual.numpy()).max() < 1e-4
        for ours, theirs in zip(after, state, strict=True):
            assert np.abs(ours - theirs.numpy()).max() < 1e-4


def test_a_deeper_network_begins_close_to_the_shallower_one() -> None:
    torch.manual_seed(4)
    shallow = CompactMatting(CompactConfig(depths=(1, 1, 1, 1))).eval()
    deep = CompactMatting(CompactConfig(depths=(1, 1, 3, 2), detail=(1, 1, 2, 1)))
    grow(deep, shallow.config)
    deep.load_state_dict(shallow.state_dict(), strict=False)
    for level in ("head", "up1", "up2", "up3"):
        gain = deep.get_parameter(f"{level}.detail.0.conv.1.weight")
        assert gain.tolist() == pytest.approx([0.1] * len(gain))
    gains = [deep.get_parameter(f"down4.{i}.conv.1.weight").mean().item() for i in (2, 3, 4)]
    assert gains == pytest.approx([1.0, 0.1, 0.1])
    src = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        difference = deep.eval()(src, zero_state()).pha - shallow(src, zero_state()).pha
    assert 0 < difference.abs().mean() < 0.05


def test_corrections_begin_as_nothing_and_can_learn_to_take_away() -> None:
    torch.manual_seed(4)
    plain = CompactMatting(SMALL).eval()
    more = CompactMatting(
        replace(SMALL, corrections=(1, 0, 2, 1), decoder_corrections=(1, 1, 1, 1))
    )
    grow(more, plain.config)
    known = more.load_state_dict(plain.state_dict(), strict=False)
    assert not known.unexpected_keys
    src = torch.rand(1, 3, 64, 64)
    more.eval()
    with torch.inference_mode():
        assert torch.equal(more(src, zero_state()).pha, plain(src, zero_state()).pha)
    out = more(src, zero_state())
    (out.pha.mean() + sum(r.square().mean() for r in out.state)).backward()
    for name, block in more.named_modules():
        if isinstance(block, Correction):
            kernel = block.get_parameter("conv.0.weight")
            assert kernel.grad is not None, name
            assert kernel.grad.abs().max() > 0, name
    block = next(m for m in more.modules() if isinstance(m, Correction))
    with torch.inference_mode():
        block.get_parameter("conv.1.bias").fill_(-1.0)
        x = torch.rand(1, 8, 4, 4) * 2
        assert torch.equal(block(x), (x - 1).relu())


def test_a_scaled_block_lets_a_share_through() -> None:
    torch.manual_seed(5)
    x = torch.rand(1, 8, 6, 6)
    for block in (ResidualConv(8).eval(), Correction(8).eval()):
        with torch.inference_mode():
            convolved = block.conv(x)
            block.scale(0.25)
            assert torch.allclose(block.conv(x), 0.25 * convolved, atol=1e-6)
            block.scale(0)
            assert torch.equal(block(x), x)


def test_full_onnx_takes_any_frame_size(network: CompactMatting, tmp_path: Path) -> None:
    export_full(network, tmp_path / "full.onnx", (32, 64))
    session = ort.InferenceSession(tmp_path / "full.onnx", providers=["CPUExecutionProvider"])
    zeros = {name: np.zeros((1, 1, 1, 1), np.float32) for name in STATE_INPUTS}
    for height, width in ((64, 128), (91, 145)):
        src = np.random.default_rng(0).random((1, 3, height, width), np.float32)
        fgr, pha, *state = session.run(None, {"src": src, **zeros})
        assert fgr.shape == (1, 3, height, width)
        assert pha.shape == (1, 1, height, width)
        assert np.isfinite(pha).all()
        assert [s.shape for s in state] == network.state_shapes(1, 32, 64)


@pytest.mark.parametrize("write", [save_weights, export_lean])
def test_weights_come_back_from_their_files(
    write: Callable[[CompactMatting, Path], None], network: CompactMatting, tmp_path: Path
) -> None:
    network = round_weights(copy.deepcopy(network))
    path = tmp_path / ("w.onnx" if write is export_lean else "w.safetensors")
    write(network, path)
    loaded = load_weights(path)
    assert loaded.config == network.config
    src = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(loaded(src, zero_state()).pha, network(src, zero_state()).pha)


def test_doubling_by_slices_is_the_bilinear_filter_and_its_gradient() -> None:
    x = torch.rand(2, 3, 5, 7, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(2, 3, 10, 14, dtype=torch.float64)
    gradients = []
    for enlarge in (doubled, lambda plane: upsample(plane, 2)):
        (gradient,) = torch.autograd.grad((enlarge(x) * weight).sum(), x)
        gradients.append(gradient)
    assert torch.allclose(doubled(x), upsample(x, 2), rtol=0, atol=1e-12)
    assert torch.allclose(gradients[0], gradients[1], rtol=0, atol=1e-12)
    row = doubled(torch.tensor([[[[0.0, 4.0]]]]))  # half-pixel centres: -1/4, 1/4, 3/4, 5/4
    assert torch.equal(row, torch.tensor([[[[0.0, 1.0, 3.0, 4.0], [0.0, 1.0, 3.0, 4.0]]]]))


def test_a_plane_of_the_right_size_is_not_touched() -> None:
    x = torch.rand(1, 1, 4, 6)
    assert resized(x, (4, 6)) is x
    assert resized(x, (8, 12)).shape == (1, 1, 8, 12)
    assert resized(x, (9, 5)).shape == (1, 1, 9, 5)


def test_the_guided_filter_is_trained_in_single_precision(network: CompactMatting) -> None:
    network.train()
    frame = 0.5 + 0.004 * torch.rand(2, 3, 64, 64)  # bf16 has two values to the whole of it
    with torch.autocast("cpu", torch.bfloat16):
        out = network(frame, zero_state())
    for plane in (out.pha, out.alpha_scale, out.alpha_offset, out.fgr_residual):
        assert plane.dtype == torch.float32
    luma = (frame * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    filtered = (out.alpha_scale * luma + out.alpha_offset).detach()
    mean = box3(out.pha).detach()  # so little variance is noise to the filter: it only blurs
    assert float((filtered - mean).abs().max()) < 0.02
