"""Decoder to encoder without numpy: surfaces, tensors, a block for the encoder; here on the CPU.

The stand-ins for NVDEC and NVENC run everything between them as on a GPU. What comes out must be,
sample for sample, what comes out of the way through main memory.
"""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rvm.colour import torch_rgb
from rvm.compositing import make_compositor
from rvm.compositing.base import Compositor
from rvm.compositing.torch_compositor import TorchCompositor
from rvm.compositing.torch_video import TorchVideo
from rvm.frame import Composite, Frame, Matte
from rvm.gpu import nvdec
from rvm.matting.base import EngineInfo
from rvm.pipeline import Pipeline
from rvm.sinks import codecs, encoded
from rvm.sinks.encoded import Encoding
from rvm.sinks.video_file import VideoFileSink
from rvm.sources.file import FileSource
from rvm.telemetry import Report
from tests.composites import decoded, planes_of, times_of
from tests.gpu_fakes import FakeNvdec
from tests.shared_data import shared_path
from tests.synth_clips import clip, write_clip

LOSSLESS = Encoding("h264_nvenc", crf=0, preset="ultrafast")


class BrightIsPerson:
    """Stands in for `Matter`: alpha is the luma's high bits; tensors in, tensors out."""

    info = EngineInfo("none", "test", "cpu", "none", "fp32", "a test")
    resets = 0

    def __init__(self) -> None:
        self.downloads = 0

    def upload(self, frame: Frame) -> Frame:
        return frame

    def step(self, frame: Frame) -> Matte:
        luma = frame.planes[0]
        if isinstance(luma, torch.Tensor):
            wide = luma.to(torch.int32) >> (frame.format.depth - 8)
            return Matte(wide.to(torch.uint8))
        return Matte((luma >> (frame.format.depth - 8)).astype(np.uint8))

    def download(self, composite: Composite) -> Composite:
        self.downloads += 1
        return dataclasses.replace(composite, picture=torch_rgb.download(composite.picture))

    def close(self) -> None:
        """Nothing to free."""


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = dataclasses.replace(codecs.CODECS["x264"], name="h264_nvenc", on_gpu=True)
    monkeypatch.setitem(codecs.CODECS, "h264_nvenc", stand_in)
    monkeypatch.setattr(codecs, "probe", lambda *_: "")
    monkeypatch.setattr(
        encoded, "gpu_of", lambda plane: "cuda:0" if isinstance(plane, torch.Tensor) else None
    )
    monkeypatch.setattr(nvdec, "NvdecDecoder", lambda device: FakeNvdec())


def run(
    path: Path, output: Path, compositor: Compositor, device: str, **part: Any
) -> tuple[Report, BrightIsPerson]:
    source = FileSource(path, device=device, **part)
    sink = VideoFileSink(output, info=source.info, encoding=LOSSLESS)
    matter: Any = BrightIsPerson()
    report = Pipeline(source, matter, compositor, sink).run()
    return report, matter


def compare(one: Path, other: Path, most: int = 0) -> None:
    assert times_of(one) == times_of(other)
    for picture, expected in zip(decoded(one), decoded(other), strict=True):
        assert picture.format.name == expected.format.name
        for field in ("colorspace", "color_range", "color_primaries", "color_trc"):
            assert getattr(picture, field) == getattr(expected, field)
        depth = 10 if "10" in picture.format.name else 8
        for plane, samples in zip(
            planes_of(picture, depth), planes_of(expected, depth), strict=True
        ):
            assert np.abs(plane.astype(int) - samples.astype(int)).max() <= most


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rotation": 90, "hflip": True, "sample_aspect": Fraction(4, 3)},
        {"variable": True, "audio": True},
        {"matrix": 1, "range": 2, "primaries": 1, "transfer": 1},
        {"width": 170, "height": 98},
    ],
    ids=["plain", "turned", "uneven times", "full range", "chroma of odd size"],
)
def test_no_frame_passes_through_main_memory(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_clip(tmp_path / "a.mp4", clip(**changes))
    device = TorchCompositor(make_background(), device="cpu")
    report, matter = run(tmp_path / "a.mp4", tmp_path / "one.mp4", device, "cuda:0")
    plain = make_compositor("#00b140")
    expected, _ = run(tmp_path / "a.mp4", tmp_path / "two.mp4", plain, "cpu")
    assert matter.downloads == 0
    assert (report.decoder, expected.decoder) == ("fake:0", "cpu")
    assert (report.frames_in, report.frames_out) == (expected.frames_in, expected.frames_out)
    assert report.notes == expected.notes
    compare(tmp_path / "one.mp4", tmp_path / "two.mp4")


@pytest.mark.parametrize("changes", [{"pix_fmt": "yuv422p"}, {"codec": "mpeg4"}])
def test_what_hardware_does_not_decode_still_ends_in_its_encoder(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    write_clip(tmp_path / "a.mkv", clip(**changes))
    plain = make_compositor("#00b140")
    report, _ = run(tmp_path / "a.mkv", tmp_path / "one.mp4", plain, "cuda:0")
    assert "decoded on the CPU" in " ".join(report.notes)
    run(tmp_path / "a.mkv", tmp_path / "two.mp4", make_compositor("#00b140"), "cpu")
    compare(tmp_path / "one.mp4", tmp_path / "two.mp4")


def test_a_real_clip_before_a_real_background_video(tmp_path: Path) -> None:
    path = shared_path("data/clips/fmt_hevc_8bit.mp4")
    behind = shared_path("data/clips/half_woman_indoor.mp4")
    device = TorchCompositor(TorchVideo(behind, FakeNvdec()), device="cpu")
    part = {"duration_seconds": 0.5}
    _, matter = run(path, tmp_path / "one.mp4", device, "cuda:0", **part)
    assert matter.downloads == 0
    run(path, tmp_path / "two.mp4", make_compositor(str(behind)), "cpu", **part)
    compare(tmp_path / "one.mp4", tmp_path / "two.mp4", most=1)


def make_background() -> Any:
    from rvm.compositing import parse_background

    return parse_background("#00b140")
