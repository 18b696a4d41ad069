"""What went up to the device comes down again: planes, alpha, tags, and no copy on the CPU."""

from __future__ import annotations

import numpy as np
import pytest

from rvm.frame import YUV420P, Composite, Frame, Matte
from rvm.matting.matter import Matter

torch = pytest.importorskip("torch")

from rvm.colour import torch_rgb  # noqa: E402
from rvm.compositing.torch_compositor import TorchCompositor  # noqa: E402
from rvm.compositing.transparent import Transparent  # noqa: E402


def test_a_cpu_engine_returns_the_composite_itself() -> None:
    plane = np.zeros((2, 2), np.uint8)
    frame = Frame((plane, plane[:1, :1], plane[:1, :1]), YUV420P, 2, 2)
    composite = Composite(frame, Matte(plane), frame)
    with Matter(model="fake") as matter:
        assert matter.download(composite) is composite


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_a_device_picture_with_alpha_comes_down_whole(device: str) -> None:
    rng = np.random.default_rng(7)
    planes = tuple(rng.integers(16, 236, s, np.uint8) for s in YUV420P.plane_shapes(33, 17))
    frame = Frame(planes, YUV420P, 33, 17, pts=5)
    uploaded = torch_rgb.upload(frame, torch.device(device))
    alpha = torch.full((17, 33), 255, dtype=torch.uint8, device=device)
    compositor = TorchCompositor(Transparent(), device=device)
    picture = torch_rgb.download(compositor.compose(uploaded, Matte(alpha)).picture)
    assert picture.pts == 5
    assert isinstance(picture.alpha, np.ndarray)
    assert (picture.alpha == 255).all()
    for got, expected in zip(picture.planes, planes, strict=True):
        np.testing.assert_array_equal(got, expected)
