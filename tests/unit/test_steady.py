"""Rounding with a memory: codes stay where values tremble, and follow where they move."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
import torch

from rvm.colour import torch_rgb
from rvm.compositing import steady
from rvm.compositing.blur import Blur
from rvm.compositing.steady import KEPT_WITHIN, SteadyRounding
from rvm.compositing.torch_blur import TorchBlur
from rvm.frame import PIXEL_FORMATS, YUV420P, Frame, Matte

SIZE = (320, 192)


def rounded(values: list[float], name: str = "yuv420p") -> list[int]:
    rounding, pixels = SteadyRounding(), PIXEL_FORMATS[name]
    parts = (np.full((1, 2), value, np.float32) for value in values)
    return [int(rounding.codes([part], pixels)[0][0, 1]) for part in parts]


def test_what_trembles_stays_and_what_moves_follows() -> None:
    assert rounded([10.4, 10.6, 10.4, 10.74]) == [10, 10, 10, 10]
    assert rounded([10.4, 10.8, 10.4, 10.2]) == [10, 11, 11, 10]
    assert rounded([10.0, 200.3, 10.0]) == [10, 200, 10]


def test_codes_stay_in_range() -> None:
    assert rounded([-3.0, 255.9, 257.0, 0.2]) == [0, 255, 255, 0]
    assert rounded([1023.6, 1030.0], "yuv420p10") == [1023, 1023]


def test_no_code_is_further_off_than_it_says() -> None:
    rng = np.random.default_rng(0)
    rounding, values = SteadyRounding(), rng.uniform(5, 250, (40, 60)).astype(np.float32)
    for _ in range(30):
        values = np.clip(values + rng.normal(0, 0.4, values.shape), 0, 255).astype(np.float32)
        codes = rounding.codes([values], YUV420P)[0]
        assert codes.dtype == np.uint8
        assert np.abs(codes - values).max() <= KEPT_WITHIN


@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10"])
def test_the_kernel_and_numpy_round_alike(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    pixels, rng = PIXEL_FORMATS[name], np.random.default_rng(2)
    compiled, plain = SteadyRounding(), SteadyRounding()
    values = rng.uniform(-4, pixels.max_value + 4, (33, 47)).astype(np.float32)
    values[0] = np.arange(47) + np.float32(0.5)  # halfway: to the even code
    for _ in range(4):
        with monkeypatch.context() as patch:
            ours = compiled.codes([values], pixels)[0]
            patch.setattr(steady, "kernels", lambda module: None)
            theirs = plain.codes([values], pixels)[0]
        assert ours.dtype == theirs.dtype == pixels.dtype
        np.testing.assert_array_equal(ours, theirs)
        values = values + rng.normal(0, 0.6, values.shape).astype(np.float32)


def noisy_frames(count: int) -> list[Frame]:
    """A still picture with a camera's noise."""
    rng = np.random.default_rng(1)
    width, height = SIZE
    shapes = YUV420P.plane_shapes(width, height)
    stills = [np.add.outer(np.linspace(60, 90, h), np.linspace(0, 80, w)) for h, w in shapes]
    return [
        Frame(
            tuple(np.rint(s + rng.normal(0, 4, s.shape)).astype(np.uint8) for s in stills),
            YUV420P, width, height,
        )
        for _ in range(count)
    ]  # fmt: skip


def test_the_blur_of_a_still_scene_is_still() -> None:
    blur, nobody = Blur(0.6), Matte(np.zeros(SIZE[::-1], np.uint8))
    shown = [blur.behind(f, nobody).planes[0].astype(int).copy() for f in noisy_frames(8)]
    plain = [Blur(0.6).behind(f, nobody).planes[0].astype(int).copy() for f in noisy_frames(8)]

    assert share_that_changes(plain) > 0.1
    assert share_that_changes(shown) < 0.2 * share_that_changes(plain)


def share_that_changes(planes: list[npt.NDArray[np.int64]]) -> float:
    """From one frame to the next, once the memory is there."""
    return float(np.mean([(a != b).mean() for a, b in itertools.pairwise(planes[2:])]))


def test_tensors_are_rounded_alike() -> None:
    blur, twin = Blur(0.6), TorchBlur(0.6)
    alpha = np.zeros(SIZE[::-1], np.uint8)
    for frame in noisy_frames(6):
        ours = blur.behind(frame, Matte(alpha)).planes
        uploaded = torch_rgb.upload(frame, torch.device("cpu"))
        theirs = twin.behind(uploaded, Matte(torch.from_numpy(alpha))).planes
        for a, b in zip(ours, theirs, strict=True):
            assert np.abs(a.astype(int) - b.numpy()).max() <= 1
