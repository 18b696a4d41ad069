"""Both guided filters against plain numpy, and against what they promise."""

from __future__ import annotations

import numpy as np
import torch

from rvm.network.guided_filter import DeepGuidedFilter, FastGuidedFilter, guide


def windows(planes: np.ndarray, fill: float) -> np.ndarray:
    """``[C, H, W] -> [C, H, W, 3, 3]``, with ``fill`` outside."""
    padded = np.pad(planes, ((0, 0), (1, 1), (1, 1)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))


def test_the_guide_is_rgb_and_its_mean() -> None:
    picture = torch.tensor([0.1, 0.2, 0.6]).view(1, 3, 1, 1)
    torch.testing.assert_close(guide(picture).flatten(), torch.tensor([0.1, 0.2, 0.6, 0.3]))


def test_fast_filter_is_least_squares_in_each_window() -> None:
    torch.manual_seed(0)
    small, result = torch.rand(1, 3, 5, 6).double(), torch.rand(1, 4, 5, 6).double()
    refined = FastGuidedFilter(epsilon=0.0)(small, small, result, result)
    x, y = guide(small)[0].numpy(), result[0].numpy()
    wx, wy = windows(x, np.nan), windows(y, np.nan)
    for channel, row, column in np.ndindex(4, 5, 6):
        a, b = wx[channel, row, column].ravel(), wy[channel, row, column].ravel()
        inside = ~np.isnan(a)
        slope, offset = np.polyfit(a[inside], b[inside], 1)
        expected = slope * x[channel, row, column] + offset
        np.testing.assert_allclose(refined[0, channel, row, column], expected, atol=1e-9)


def test_fast_filter_reproduces_a_linear_function_exactly() -> None:
    torch.manual_seed(0)
    small, large = torch.rand(2, 3, 9, 7).double(), torch.rand(2, 3, 23, 31).double()
    slope = torch.tensor([0.5, -2.0, 3.0, 1.5]).double().view(1, 4, 1, 1)
    refine = FastGuidedFilter(epsilon=1e-15)
    refined = refine(large, small, slope * guide(small) + 0.25, torch.empty(0))
    torch.testing.assert_close(refined, slope * guide(large) + 0.25, rtol=0, atol=1e-9)


def test_fast_filter_keeps_a_flat_result_flat() -> None:
    small, large = torch.full((1, 3, 4, 4), 0.5), torch.rand(1, 3, 8, 8)
    refined = FastGuidedFilter()(large, small, torch.full((1, 4, 4, 4), 0.7), torch.empty(0))
    torch.testing.assert_close(refined, torch.full((1, 4, 8, 8), 0.7))


def test_deep_filter_hands_covariance_variance_and_features_to_its_network() -> None:
    torch.manual_seed(0)
    refine = DeepGuidedFilter(2).double().eval()
    seen: list[torch.Tensor] = []
    refine.conv.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    small, result, hidden = (torch.rand(1, c, 4, 5).double() for c in (3, 4, 2))
    refine(small, small, result, hidden)

    def box(planes: np.ndarray) -> np.ndarray:
        return np.asarray(windows(planes, 0.0).mean(axis=(3, 4)))

    x, y = guide(small)[0].numpy(), result[0].numpy()
    covariance, variance = box(x * y) - box(x) * box(y), box(x * x) - box(x) ** 2
    expected = np.concatenate([covariance, variance, hidden[0].numpy()])
    np.testing.assert_allclose(seen[0][0].detach().numpy(), expected, atol=1e-7)


def test_deep_filter_applies_the_slope_its_network_finds() -> None:
    refine = DeepGuidedFilter(2).eval()
    with torch.no_grad():
        refine.get_parameter("conv.6.weight").zero_()
        refine.get_parameter("conv.6.bias").fill_(2.0)
    small, result = torch.full((1, 3, 5, 5), 0.5), torch.full((1, 4, 5, 5), 0.75)
    large = torch.rand(1, 3, 5, 5)
    refined = refine(large, small, result, torch.zeros(1, 2, 5, 5))
    # Inside, away from the zeros around the picture: 2 x + (0.75 - 2 * 0.5).
    expected = 2 * guide(large) - 0.25
    torch.testing.assert_close(refined[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])
