"""A background video on a device: the pictures of the CPU, to the rounding of their resizing."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rvm.compositing import fit, make_compositor
from rvm.compositing.torch_video import TorchVideo
from rvm.compositing.video import Video
from rvm.frame import PIXEL_FORMATS, ColourTags, Frame, Matte
from rvm.gpu.nvdec import NvdecDecoder
from rvm.gpu.resize import resize
from rvm.media import decode, hardware
from tests.gpu_fakes import FakeNvdec
from tests.synth_clips import clip, write_clip


def frame(index: int, width: int, height: int, name: str = "yuv420p") -> Frame:
    pixels = PIXEL_FORMATS[name]
    planes = tuple(np.zeros(shape, pixels.dtype) for shape in pixels.plane_shapes(width, height))
    tags = ColourTags("bt601", "limited", "bt601-525", "bt709")
    return Frame(planes, pixels, width, height, index, Fraction(1, 30), index, colour=tags)


@pytest.mark.parametrize(
    ("width", "height"), [(160, 96), (80, 48), (108, 70), (64, 96), (320, 192), (333, 191)]
)
def test_every_picture_is_that_of_the_cpu(tmp_path: Path, width: int, height: int) -> None:
    write_clip(tmp_path / "b.mp4")
    slow, fast = Video(tmp_path / "b.mp4"), TorchVideo(tmp_path / "b.mp4", FakeNvdec())
    tags = slow._current.colour
    for index in range(30):  # longer than the clip: it loops
        wanted = dataclasses.replace(frame(index, width, height), colour=tags)
        matte = Matte(np.zeros((height, width), np.uint8))
        expected, got = slow.behind(wanted, matte), fast.behind(wanted, matte)
        assert all(isinstance(plane, torch.Tensor) for plane in got.planes)
        for plane, other in zip(got.planes, expected.planes, strict=True):
            error = np.abs(plane.numpy().astype(int) - other.astype(int))
            assert error.max() <= 1
    slow.close()
    fast.close()


def test_a_video_that_loops_is_compared_with_software_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "b.mp4", frames=4)
    compared = []

    def begin(*arguments: Any) -> Any:
        compared.append(True)
        return hardware.begin(*arguments)

    monkeypatch.setattr(decode, "begin", begin)
    decoder = FakeNvdec()
    video = TorchVideo(tmp_path / "b.mp4", decoder)
    matte = Matte(np.zeros((96, 160), np.uint8))
    for index in range(20):
        picture = video.behind(frame(index, 160, 96), matte)
        assert isinstance(picture.planes[0], torch.Tensor | np.ndarray)
    assert len(compared) == 1
    assert decoder.opened >= 5
    video.close()
    elsewhere = FakeNvdec(gives=0)
    video = TorchVideo(tmp_path / "b.mp4", elsewhere)
    for index in range(20):
        video.behind(frame(index, 160, 96), matte)
    assert elsewhere.opened == 1  # what it does not take is not offered to it again
    video.close()


def test_another_format_is_converted_as_on_the_cpu(tmp_path: Path) -> None:
    write_clip(tmp_path / "b.mp4")
    slow, fast = Video(tmp_path / "b.mp4"), TorchVideo(tmp_path / "b.mp4", FakeNvdec())
    wanted = frame(0, 100, 60, "yuv420p10")
    matte = Matte(np.zeros((60, 100), np.uint8))
    expected, got = slow.behind(wanted, matte), fast.behind(wanted, matte)
    for plane, other in zip(got.planes, expected.planes, strict=True):
        np.testing.assert_array_equal(plane, other)
    slow.close()
    fast.close()


def test_the_twin_closes_the_video_it_replaces(tmp_path: Path) -> None:
    write_clip(tmp_path / "b.mp4", clip())
    slow = Video(tmp_path / "b.mp4")
    fast = TorchVideo.of(slow, FakeNvdec())
    assert slow._reader is not None
    assert list(slow._reader) == []
    fast.close()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "size", [(40, 30), (20, 15), (27, 22), (40, 15), (1, 1), (41, 31), (97, 64), (20, 60)]
)
def test_resizing_is_that_of_opencv(dtype: type, size: tuple[int, int]) -> None:
    top = 256 if dtype is np.uint8 else 1024
    array = np.random.default_rng(3).integers(0, top, (30, 40), dtype)
    got = resize(torch.from_numpy(array), *size).numpy()
    expected = fit.scale(array, *size, fast=True)
    assert got.dtype == expected.dtype
    assert np.abs(got.astype(int) - expected.astype(int)).max() <= 1


def test_on_the_cpu_a_video_stays_a_video(tmp_path: Path) -> None:
    write_clip(tmp_path / "b.mp4")
    compositor = make_compositor(str(tmp_path / "b.mp4"), device="cpu")
    assert type(vars(compositor)["_background"]) is Video
    compositor.close()


@pytest.mark.gpu
def test_a_background_video_stays_on_the_gpu(tmp_path: Path) -> None:
    path = tmp_path / "b.mp4"
    write_clip(path, codec="libx265", width=320, height=192)
    slow, fast = Video(path), TorchVideo(path, NvdecDecoder("cuda:0"))
    wanted = dataclasses.replace(frame(0, 640, 360), colour=slow._current.colour)
    matte = Matte(np.zeros((360, 640), np.uint8))
    for index in range(5):
        moment = dataclasses.replace(wanted, pts=index)
        expected, got = slow.behind(moment, matte), fast.behind(moment, matte)
        for plane, other in zip(got.planes, expected.planes, strict=True):
            assert plane.is_cuda
            assert np.abs(plane.cpu().numpy().astype(int) - other.astype(int)).max() <= 1
    slow.close()
    fast.close()
