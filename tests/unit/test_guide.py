"""The guided filter outside of the graph gives what the network would have given."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from rvm.matting.guide import coarse_alpha, guided_coefficients
from rvm.matting.refine import luma_of
from rvm.network import compact


def test_the_four_planes_are_the_four_pixels_of_each_cell() -> None:
    planes = np.zeros((5, 1, 2), np.float32)
    planes[:4, 0, 0] = (-0.5, -0.25, 0.0, 0.25)  # less 0.5: upper left, upper right, lower ..
    planes[:4, 0, 1] = (9.0, -9.0, 0.5, 0.1)  # clamped
    np.testing.assert_allclose(
        coarse_alpha(planes), [[0.0, 0.25, 1.0, 0.0], [0.5, 0.75, 1.0, 0.6]], atol=1e-6
    )


def test_the_coefficients_are_the_networks() -> None:
    rng = np.random.default_rng(3)
    picture = rng.random((3, 64, 96)).astype(np.float32)
    planes = rng.normal(0, 0.6, (5, 32, 48)).astype(np.float32)
    planes[4] *= 9  # beyond both bounds of the regulariser
    alpha, logarithm, _ = torch.split(
        torch.from_numpy(np.concatenate([planes, planes[:3]])[None]), [4, 1, 3], 1
    )
    expected = compact.guided_coefficients(
        torch.from_numpy(luma_of(picture))[None, None],
        (F.pixel_shuffle(alpha, 2) + 0.5).clamp(0, 1),
        compact.upsample(logarithm, 2),
    )
    for ours, theirs in zip(guided_coefficients(picture, planes), expected, strict=True):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs[0, 0].numpy(), rtol=2e-3, atol=2e-3)


def test_flat_luma_gives_no_infinite_factor() -> None:
    planes = np.random.default_rng(0).normal(0, 1, (5, 8, 8)).astype(np.float32)
    factor, offset = guided_coefficients(np.full((3, 16, 16), 0.3, np.float32), planes)
    assert np.isfinite(factor).all()
    assert np.isfinite(offset).all()


def test_luma_weighs_as_bt709() -> None:
    planar = np.zeros((3, 1, 3), np.float32)
    planar[0, 0, 0] = planar[1, 0, 1] = planar[2, 0, 2] = 1
    np.testing.assert_allclose(luma_of(planar)[0], [0.2126, 0.7152, 0.0722], atol=1e-6)
