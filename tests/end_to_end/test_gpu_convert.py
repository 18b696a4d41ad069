"""A file converted on a GPU: the same pictures whichever way they travel."""

from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import rvm
from rvm.api import convert
from rvm.sinks.codecs import probe
from tests.shared_data import shared_path
from tests.synth_clips import write_clip

pytestmark = pytest.mark.gpu

WEIGHTS = Path(rvm.__file__).parents[1] / "models" / "compact-quality.safetensors"


def hevc_clip(folder: Path, pix_fmt: str = "yuv420p") -> Path:
    """One second of HEVC, larger than the 144x144 below which NVDEC takes none."""
    path = folder / "hevc.mp4"
    write_clip(path, codec="libx265", pix_fmt=pix_fmt, width=320, height=192, frames=30)
    return path


def pictures(path: Path) -> list[tuple[Fraction, list[np.ndarray]]]:
    """Time and planes of every frame."""
    with av.open(str(path)) as container:
        return [
            ((frame.pts or 0) * (frame.time_base or Fraction(0)), [frame.to_ndarray()])
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("background", ["#00b140", "blur"])
def test_decoding_on_the_gpu_changes_no_picture(
    tmp_path: Path, pix_fmt: str, background: str
) -> None:
    clip = hevc_clip(tmp_path, pix_fmt)
    for decoder in ("cpu", "gpu"):
        report = convert(
            clip, tmp_path / f"{decoder}.mkv", background=background, model=WEIGHTS,
            device="cuda:0", engine="torch", decoder=decoder, duration_seconds=1.0, codec="ffv1",
        )  # fmt: skip
        assert report.decoder == ("cpu" if decoder == "cpu" else "cuda:0"), report.notes
    pairs = zip(pictures(tmp_path / "cpu.mkv"), pictures(tmp_path / "gpu.mkv"), strict=True)
    for (one_time, one), (other_time, other) in pairs:
        assert one_time == other_time
        for plane, expected in zip(one, other, strict=True):
            np.testing.assert_array_equal(plane, expected)


def test_a_background_video_on_the_gpu(tmp_path: Path) -> None:
    clip = hevc_clip(tmp_path)
    behind = shared_path("data/clips/talk_man_kitchen.mp4")
    for decoder in ("cpu", "gpu"):
        convert(
            clip, tmp_path / f"{decoder}.mkv", background=str(behind), model=WEIGHTS,
            device="cuda:0", engine="torch", decoder=decoder, duration_seconds=1.0, codec="ffv1",
        )  # fmt: skip
    pairs = zip(pictures(tmp_path / "cpu.mkv"), pictures(tmp_path / "gpu.mkv"), strict=True)
    for (_, one), (_, other) in pairs:
        for plane, expected in zip(one, other, strict=True):
            assert np.abs(plane.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("codec", ["h264_nvenc", "hevc_nvenc"])
def test_nvenc_gets_every_frame_at_its_time(tmp_path: Path, codec: str) -> None:
    if probe(codec):
        pytest.skip(f"this GPU has no {codec}: {probe(codec)}")
    clip = shared_path("data/clips/talk_man_kitchen.mp4")
    for name, encoder in (("a", "x264"), ("b", codec)):
        report = convert(
            clip, tmp_path / f"{name}.mp4", model=WEIGHTS, device="cuda:0", engine="torch",
            duration_seconds=2.0, codec=encoder,
        )  # fmt: skip
        assert report.frames_in == report.frames_out
    one, other = pictures(tmp_path / "a.mp4"), pictures(tmp_path / "b.mp4")
    assert [time for time, _ in one] == [time for time, _ in other]
    for (_, (plane,)), (_, (expected,)) in zip(one, other, strict=True):
        assert np.abs(plane.astype(int) - expected.astype(int)).mean() < 4


def test_the_null_sink_gets_frames_that_stayed_on_the_gpu() -> None:
    report = convert(
        shared_path("data/clips/talk_man_kitchen.mp4"), "null", model=WEIGHTS, device="cuda:0",
        engine="torch", decoder="gpu", duration_seconds=2.0,
    )  # fmt: skip
    assert report.frames_out == report.frames_in > 0
    assert (report.device, report.decoder) == ("cuda:0", "cuda:0")


def test_two_runs_share_the_gpu_fairly() -> None:
    """Two programs at once, the same work: neither gets much less of the GPU than the other."""
    clip = shared_path("data/clips/talk_man_kitchen.mp4")
    command = [
        sys.executable, "-m", "rvm", "convert", str(clip), "-o", "null", "--device", "cuda:0",
        "--model", "compact_torch", "--json",
    ]  # fmt: skip
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    reports = [json.loads(run.communicate(timeout=300)[0]) for run in runs]
    slow, fast = sorted(report["fps"] for report in reports)
    assert fast <= 2 * slow
