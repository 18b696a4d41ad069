"""ConvGRU by hand-worked numbers, and clips against frames."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rvm.network.recurrent import ConvGRU, recur_second_half


def pointwise_cell() -> ConvGRU:
    """One channel, 1x1 kernels: r = 1/2 and z = 3/4 always, candidate = tanh(x + 2 r h)."""
    cell = ConvGRU(1, kernel_size=1)
    with torch.no_grad():
        cell.get_parameter("ih.0.weight").zero_()
        cell.get_parameter("ih.0.bias").copy_(torch.tensor([0.0, math.log(3)]))
        cell.get_parameter("hh.0.weight").copy_(torch.tensor([1.0, 2.0]).view(1, 2, 1, 1))
        cell.get_parameter("hh.0.bias").zero_()
    return cell


def test_one_step_by_hand() -> None:
    y, h = pointwise_cell()(torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 0.5))
    # (1 - 3/4) * 1/2 + 3/4 * tanh(2 + 2 * 1/2 * 1/2)
    assert y.item() == pytest.approx(0.125 + 0.75 * math.tanh(2.5), abs=1e-6)
    assert torch.equal(y, h)


def test_gates_come_in_the_order_reset_update() -> None:
    cell = pointwise_cell()
    with torch.no_grad():  # reset gate shut, update gate half open
        cell.get_parameter("ih.0.bias").copy_(torch.tensor([-50.0, 0.0]))
    y, _ = cell(torch.full((1, 1, 1, 1), 1.0), torch.full((1, 1, 1, 1), 0.8))
    assert y.item() == pytest.approx(0.4 + 0.5 * math.tanh(1.0), abs=1e-6)


def test_no_memory_means_zeros() -> None:
    cell = pointwise_cell()
    x = torch.rand(2, 1, 3, 4)
    assert torch.equal(cell(x)[0], cell(x, torch.zeros(2, 1, 3, 4))[0])


def test_three_by_three_against_numpy() -> None:
    torch.manual_seed(1)
    cell = ConvGRU(2).double()
    x, h = torch.rand(1, 2, 4, 5).double(), torch.rand(1, 2, 4, 5).double() - 0.5

    def conv(layer: torch.nn.Module, planes: np.ndarray) -> np.ndarray:
        weight, bias = (p.detach().numpy() for p in layer.parameters())
        padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        return np.asarray(np.einsum("oikl,ihwkl->ohw", weight, windows) + bias[:, None, None])

    a, m = x[0].numpy(), h[0].numpy()
    gates = 1 / (1 + np.exp(-conv(cell.ih[0], np.concatenate([a, m]))))
    r, z = gates[:2], gates[2:]
    expected = (1 - z) * m + z * np.tanh(conv(cell.hh[0], np.concatenate([a, r * m])))
    np.testing.assert_allclose(cell(x, h)[0][0].detach().numpy(), expected, atol=1e-12)


def test_a_clip_is_its_frames_in_order() -> None:
    torch.manual_seed(2)
    cell, clip = ConvGRU(3), torch.rand(2, 4, 3, 5, 6)
    outputs, last = cell(clip)
    h = None
    for t in range(4):
        y, h = cell(clip[:, t], h)
        torch.testing.assert_close(outputs[:, t], y)
    torch.testing.assert_close(last, h)


def test_first_half_of_the_channels_passes_untouched() -> None:
    torch.manual_seed(3)
    cell, x = ConvGRU(2), torch.rand(1, 4, 3, 3)
    y, h = recur_second_half(cell, x, None)
    assert torch.equal(y[:, :2], x[:, :2])
    assert torch.equal(y[:, 2:], h)
    assert torch.equal(h, cell(x[:, 2:])[0])


def test_even_kernels_are_refused() -> None:
    with pytest.raises(ValueError, match="odd"):
        ConvGRU(1, kernel_size=2)


def test_other_ranks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got shape \[1, 3, 3\]"):
        ConvGRU(1)(torch.zeros(1, 3, 3))
