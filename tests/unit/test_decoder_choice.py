"""Where `convert` decodes: where the matting runs, unless told; back to the CPU if that moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rvm import api, device
from rvm.errors import UsageError
from rvm.frame import Frame
from rvm.gpu import nvdec
from rvm.matting import frame_device
from rvm.matting import load as loading
from rvm.media.decode import VideoReader
from rvm.sources import open_source
from rvm.sources.file import FileSource
from tests.gpu_fakes import FakeNvdec
from tests.synth_clips import write_clip


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "cuda_gpu_count", lambda: 2)
    monkeypatch.setattr(loading, "is_installed", lambda module: True)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "some.safetensors"
    path.write_bytes(b"x")
    return path


@pytest.mark.usefixtures("two_gpus")
def test_frames_are_wanted_on_the_gpu_by_torch_alone(weights: Path) -> None:
    onnx = weights.with_suffix(".onnx")
    onnx.write_bytes(b"x")
    assert frame_device(weights, engine="auto", device="auto") == "cuda:0"
    assert frame_device(weights, engine="torch", device="cuda:1") == "cuda:1"
    assert frame_device(weights, engine="auto", device="cpu") == "cpu"
    assert frame_device(onnx, engine="auto", device="cuda") == "cpu"
    assert frame_device("fake", engine="auto", device="cuda") == "cpu"
    assert frame_device(weights, engine="auto", device="cuda:7") == "cpu"
    assert frame_device("no-such-model", engine="auto", device="cuda") == "cpu"


@pytest.mark.usefixtures("two_gpus")
def test_the_second_gpu_reaches_decoder_and_encoder(weights: Path) -> None:
    look = api.Look("blur", model=weights, device="cuda:1")
    assert api._decoding_device("auto", look) == "cuda:1"
    assert api._decoding_device("gpu", look) == "cuda:1"
    assert api._decoding_device("cpu", look) == "cpu"
    assert look.gpu == 1
    assert api.Look("blur").gpu == 0
    decoder = nvdec.NvdecDecoder("cuda:1")
    hwaccel = decoder._hwaccel()
    assert hwaccel is not None
    assert hwaccel.device_id == 1
    assert hwaccel.is_hw_owned
    assert hwaccel.options == {"primary_ctx": "0", "current_ctx": "1"}


def test_a_wish_that_cannot_be_met_is_said() -> None:
    with pytest.raises(UsageError, match="NVIDIA"):
        api._decoding_device("gpu", api.Look("blur", device="cpu"))
    with pytest.raises(UsageError, match="auto, cpu, gpu"):
        api._decoding_device("fast", api.Look("blur"))


def test_a_device_that_is_none_is_refused_in_words(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", frames=5)
    with pytest.raises(UsageError, match="unknown device"):
        api.convert(tmp_path / "a.mp4", tmp_path / "b.mp4", device="cuda:x")
    assert api.Look("blur", device="cuda:3").gpu == 3


def test_a_file_is_opened_on_the_device_and_a_picture_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "a.mp4")
    fake = FakeNvdec()
    monkeypatch.setattr(nvdec, "NvdecDecoder", lambda device: fake)
    with open_source(tmp_path / "a.mp4", device="cuda:0") as source:
        assert source.device == "fake:0"
    with open_source(tmp_path / "a.mp4") as source:
        assert source.device == "cpu"
    with open_source("synthetic:count=1,size=64x48", device="cuda:0") as source:
        assert source.device == "cpu"


def test_matting_that_moved_to_the_cpu_takes_the_decoder_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine falls back after the source was opened on the GPU."""
    write_clip(tmp_path / "a.mp4", frames=5)
    monkeypatch.setattr(api, "_decoding_device", lambda decoder, look: "cuda:0")
    monkeypatch.setattr(nvdec, "NvdecDecoder", lambda device: FakeNvdec())
    opened: list[str] = []
    original = FileSource.__init__

    def watched(self: FileSource, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        opened.append(self.device)

    monkeypatch.setattr(FileSource, "__init__", watched)
    report = api.convert(tmp_path / "a.mp4", tmp_path / "b.mp4", model="fake")
    assert opened == ["fake:0", "cpu"]
    assert report.frames_out == 5


@pytest.mark.gpu
def test_frames_stay_on_the_gpu_from_file_to_null(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    write_clip(tmp_path / "a.mp4", frames=20, width=640, height=360)
    with VideoReader(tmp_path / "a.mp4", decoder=nvdec.NvdecDecoder("cuda:0")) as reader:
        frames: Iterator[Frame] = iter(reader)
        assert next(frames).planes[0].is_cuda
