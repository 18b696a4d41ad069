"""Kernels on a grid: by hand, and back from bytes to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rvm.network.grid import as_bytes, is_dense, on_grid, pack_tensors, unpack_tensors


def kernels(*channels: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """[n, 128, 4, 4], each channel from minus to plus so much."""
    ramp = np.linspace(-1, 1, 2048).reshape(128, 4, 4)
    return np.stack([ramp * most for most in channels]).astype(np.float32)


def test_steps_by_hand() -> None:
    """127 steps of 1/64 reach 127/64; half a step and less is rounded away."""
    weights = np.zeros((1, 128, 4, 4), np.float32)
    weights[0, 0, 0] = [127 / 64, -5 / 64, 0.4 / 64, -0.6 / 64]
    expected = weights.copy()
    expected[0, 0, 0] = [127 / 64, -5 / 64, 0, -1 / 64]
    np.testing.assert_array_equal(on_grid(weights), expected)
    found = as_bytes(expected)
    assert found is not None
    assert found[0][0, 0, 0].tolist() == [127, -5, 0, -1]
    assert found[1].reshape(-1).tolist() == [1 / 64]


@pytest.mark.parametrize("most", [1e-30, 3.1e-6, 0.0123, 0.999, 1.0, 17.3])
def test_what_lies_on_a_grid_comes_back_exactly(most: float) -> None:
    weights = kernels(most, most / 3, 0.0)
    rounded = on_grid(weights)
    widths = np.array([most, most / 3, 0]).reshape(-1, 1, 1, 1) / 127
    assert (np.abs(rounded - weights) <= 0.56 * widths).all()
    np.testing.assert_array_equal(on_grid(rounded), rounded)
    found = as_bytes(rounded)
    assert found is not None
    numbers, steps = found
    assert np.abs(numbers[:2]).max(axis=(1, 2, 3)).tolist() == [127, 127]
    np.testing.assert_array_equal(numbers * steps, rounded)


def test_what_lies_on_none_is_told() -> None:
    assert as_bytes(kernels(1.0)) is None


def test_which_tensors_are_dense() -> None:
    assert is_dense((64, 32, 1, 1))
    assert is_dense((16, 16, 3, 3))
    assert not is_dense((16, 3, 3, 3))  # a stem
    assert not is_dense((96, 1, 5, 5))  # depthwise
    assert not is_dense((24, 32, 1, 1))
    assert not is_dense((4096,))


def test_named_tensors_come_back() -> None:
    tensors = {
        "dense.weight": torch.from_numpy(on_grid(kernels(0.3, 0.7))),
        "free.weight": torch.from_numpy(kernels(0.3)).half().float(),
        "norm.bias": torch.tensor([0.5, -1.0]),
    }
    packed = pack_tensors(tensors)
    assert packed["dense.weight"].dtype == torch.int8
    assert packed["free.weight"].dtype == torch.float16
    restored = unpack_tensors(packed)
    assert restored.keys() == tensors.keys()
    for name, tensor in tensors.items():
        torch.testing.assert_close(restored[name].float(), tensor, rtol=0, atol=0)


@pytest.mark.parametrize("steps", [None, torch.ones(3, 1, 1, 1), torch.ones(2)])
def test_bytes_need_their_steps(steps: torch.Tensor | None) -> None:
    packed = {"w": torch.ones(2, 16, 4, 4, dtype=torch.int8)}
    if steps is not None:
        packed["w.steps"] = steps
    with pytest.raises(ValueError, match="w has no steps"):
        unpack_tensors(packed)
