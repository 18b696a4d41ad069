"""The torch compositor against the CPU one, on tensors in main memory (and on a GPU if any)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvm.compositing import make_compositor, parse_background
from rvm.compositing.cpu_compositor import CpuCompositor
from rvm.frame import PIXEL_FORMATS, SRGB, ColourTags, Frame, Matte, PixelFormat

torch = pytest.importorskip("torch")

from rvm.colour import torch_rgb, torch_transfer, transfer  # noqa: E402
from rvm.compositing.torch_blur import TorchBlur, _blurred  # noqa: E402
from rvm.compositing.torch_compositor import TorchCompositor  # noqa: E402
from rvm.gpu.graphs import GraphRunner  # noqa: E402
from tests.fake_capturer import FakeCapturer  # noqa: E402
from tests.gpu_waiting import no_waiting  # noqa: E402

SPECS = ("#336699", "transparent", "none", "blur:0.2", "blur:0.9")
PQ = ColourTags("bt2020", "limited", "bt2020", "pq")


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Tiny pictures: threads would only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def smooth_frame(pixels: PixelFormat, width: int, height: int, tags: ColourTags) -> Frame:
    """Waves of legal colours: what pictures look like, unlike noise."""
    planes = []
    for index, shape in enumerate(pixels.plane_shapes(width, height)):
        y, x = np.mgrid[: shape[0], : shape[1]]
        wave = 0.5 + 0.25 * np.sin(x / 7 + index) * np.cos(y / 5 - index)
        samples = np.rint(wave * pixels.max_value).astype(pixels.dtype)
        planes.append(np.repeat(samples[..., None], 3, axis=2) if len(shape) == 3 else samples)
    return Frame(tuple(planes), pixels, width, height, pts=0, colour=tags)


def matte(width: int, height: int) -> Matte:
    y, x = np.mgrid[:height, :width]
    wave = 0.5 + np.sin(x / 9) * np.cos(y / 6)
    residual = np.random.default_rng(0).normal(0, 0.05, (9, 11, 3)).astype(np.float32)
    return Matte(np.rint(np.clip(wave, 0, 1) * 255).astype(np.uint8), residual)


def on_device(frame: Frame, alpha: Matte, device: str) -> tuple[Frame, Matte]:
    where = torch.device(device)
    residual = torch.from_numpy(alpha.foreground_residual).to(where)
    uploaded = Matte(torch.from_numpy(alpha.alpha).to(where), residual)
    return torch_rgb.upload(frame, where), uploaded


def differences(frame: Frame, alpha: Matte, spec: str, linear: bool, device: str) -> Any:
    cpu = CpuCompositor(parse_background(spec), linear_light=linear).compose(frame, alpha)
    compositor = TorchCompositor(parse_background(spec), linear_light=linear, device=device)
    composite = compositor.compose(*on_device(frame, alpha, device))
    assert all(plane.device.type == torch.device(device).type for plane in composite.picture.planes)
    picture = torch_rgb.download(composite.picture)
    assert (picture.alpha is None) == (cpu.picture.alpha is None)
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, cpu.picture.alpha)
    assert [plane.dtype for plane in picture.planes] == [p.dtype for p in cpu.picture.planes]
    pairs = zip(picture.planes, cpu.picture.planes, strict=True)
    return np.concatenate([np.abs(a.astype(int) - b).ravel() for a, b in pairs])


@pytest.mark.parametrize("linear", [False, True], ids=["code", "light"])
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", PIXEL_FORMATS)
def test_equal_to_the_cpu_within_one_code_value(name: str, spec: str, linear: bool) -> None:
    pixels = PIXEL_FORMATS[name]
    tags = SRGB if pixels.family == "rgb" else ColourTags()
    for width, height in ((64, 48), (51, 37)):
        found = differences(
            smooth_frame(pixels, width, height, tags), matte(width, height), spec, linear, "cpu"
        )
        # Deep samples keep the float's own rounding: a code of 8 bit is many of theirs.
        assert found.max() <= max(1, pixels.max_value >> 10)


@pytest.mark.parametrize("linear", [False, True], ids=["code", "light"])
def test_equal_in_hdr(linear: bool) -> None:
    frame = smooth_frame(PIXEL_FORMATS["yuv420p10"], 64, 48, PQ)
    assert differences(frame, matte(64, 48), "#336699", linear, "cpu").max() <= 1


@pytest.mark.gpu
@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("name", PIXEL_FORMATS)
def test_equal_on_a_gpu(name: str, spec: str) -> None:
    pixels = PIXEL_FORMATS[name]
    tags = SRGB if pixels.family == "rgb" else ColourTags()
    found = differences(smooth_frame(pixels, 320, 180, tags), matte(320, 180), spec, False, "cuda")
    assert found.max() <= max(1, pixels.max_value >> 10)


@pytest.mark.gpu
@pytest.mark.parametrize("spec", ["#336699", "blur:0.6"])
def test_steady_state_waits_for_nothing_and_takes_no_memory(spec: str) -> None:
    compositor = TorchCompositor(parse_background(spec), device="cuda")
    pixels = PIXEL_FORMATS["yuv420p"]
    pair = on_device(smooth_frame(pixels, 1280, 720, ColourTags()), matte(1280, 720), "cuda")
    for _ in range(4):
        compositor.compose(*pair)
    torch.cuda.synchronize()
    before = torch.cuda.memory_stats()["segment.all.allocated"]
    with no_waiting():
        for _ in range(8):
            compositor.compose(*pair)
    assert torch.cuda.memory_stats()["segment.all.allocated"] == before
    compositor.close()


def compare_some() -> None:
    """Each kind of format and background once."""
    for name, spec in (("yuv420p", "#336699"), ("yuv422p10", "blur:0.9"), ("rgb24", "blur:0.9")):
        pixels = PIXEL_FORMATS[name]
        tags = SRGB if pixels.family == "rgb" else ColourTags()
        frame = smooth_frame(pixels, 51, 37, tags)
        assert differences(frame, matte(51, 37), spec, False, "cpu").max() <= 1


def test_compiled_kernels_equal_the_cpu() -> None:
    pytest.importorskip("triton")
    code = "from tests.unit import test_torch_compositor as t; t.compare_some()"
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False, text=True,
        capture_output=True, env={**os.environ, "TRITON_INTERPRET": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]


def test_the_blur_is_the_same_as_a_graph() -> None:
    blur, plain = TorchBlur(0.5), TorchBlur(0.5)
    capturer = FakeCapturer()
    blur._runner = GraphRunner(_blurred, torch.device("cpu"), capturer)
    pixels = PIXEL_FORMATS["yuv420p"]
    for _ in range(4):
        frame, alpha = on_device(smooth_frame(pixels, 160, 96, ColourTags()), matte(160, 96), "cpu")
        pairs = zip(
            blur.behind(frame, alpha).planes, plain.behind(frame, alpha).planes, strict=True
        )
        assert all(torch.equal(mine, theirs) for mine, theirs in pairs)
    (recording,) = capturer.recordings
    assert recording.replays == 3
    blur.close()
    assert recording.released


def test_a_plain_colour_is_never_uploaded() -> None:
    compositor = TorchCompositor(parse_background("#336699"), device="meta")
    frame = smooth_frame(PIXEL_FORMATS["yuv420p"], 32, 16, ColourTags())
    cpu = parse_background("#336699").behind(frame, matte(32, 16))
    assert cpu is not None
    colour = compositor._back(frame, matte(32, 16))
    assert colour == tuple(int(plane[0, 0]) for plane in cpu.planes)
    compositor.close()


def test_a_still_background_is_uploaded_once() -> None:
    compositor = TorchCompositor(parse_background("red"), linear_light=True, device="cpu")
    frame, alpha = on_device(
        smooth_frame(PIXEL_FORMATS["yuv420p"], 32, 16, ColourTags()), matte(32, 16), "cpu"
    )
    first = compositor._back(frame, alpha)
    assert compositor._back(frame, alpha) is first
    compositor.close()


def test_a_frame_in_main_memory_is_not_copied() -> None:
    frame = smooth_frame(PIXEL_FORMATS["yuv420p"], 32, 16, ColourTags())
    assert torch_rgb.download(frame) is frame


@pytest.mark.parametrize("curve", ["bt709", "srgb", "linear", "pq", "hlg"])
def test_curves_equal_those_of_the_cpu(curve: Any) -> None:
    signal = np.random.default_rng(0).random((6, 7, 3), np.float32)
    light = transfer.to_light(curve, signal)
    tensor = torch_transfer.to_light(curve, torch.from_numpy(signal).permute(2, 0, 1)[None])
    got = tensor[0].permute(1, 2, 0).numpy()
    assert np.abs(got - light).max() <= 1e-5 * light.max()
    again = torch_transfer.from_light(curve, tensor)[0].permute(1, 2, 0).numpy()
    assert np.abs(again - signal).max() < 1e-4


def test_the_cpu_needs_no_torch() -> None:
    code = (
        "import sys; from rvm.compositing import make_compositor; make_compositor('red');"
        "make_compositor('blur'); sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_torch_device_gets_the_torch_compositor() -> None:
    assert isinstance(make_compositor("red", device="meta"), TorchCompositor)
    assert isinstance(make_compositor("red", device="cpu"), CpuCompositor)
