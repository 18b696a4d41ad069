"""What a user writes, and the source it becomes."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import rvm.sources.camera
from rvm.errors import DeviceError, InputError, UnsafeInputError, UsageError
from rvm.sources import kind_of, open_source, parse_synthetic
from rvm.sources.file import FileSource
from rvm.sources.images import ImagesSource
from rvm.sources.paced import PacedSource
from rvm.sources.synthetic import SyntheticSource
from tests.synth_clips import clip, write_clip


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    write_clip(path, clip(frames=30))
    return path


def test_a_file(movie: Path) -> None:
    for spec in (movie, str(movie)):
        with open_source(spec) as source:
            assert isinstance(source, FileSource)
            assert not source.info.live
            assert len(list(source)) == 30


def test_a_part_of_a_file(movie: Path) -> None:
    with open_source(movie, start_seconds=0.2, duration_seconds=0.3) as source:
        assert [frame.pts for frame in source] == [1000 * number for number in range(6, 15)]


def test_live_a_file_is_paced(movie: Path) -> None:
    with open_source(movie, live=True, loop=True) as source:
        assert isinstance(source, PacedSource)
        assert source.info.live
        assert source.info.frame_count is None


def test_an_image_and_a_folder(tmp_path: Path) -> None:
    for name in ("1.png", "2.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 6, 3), np.uint8))
    with open_source(tmp_path / "1.png", duration_seconds=2, fps=5) as source:
        assert isinstance(source, ImagesSource)
        assert source.info.frame_count == 10
    with open_source(tmp_path, fps=5) as source:
        assert source.info.frame_count == 2


def test_synthetic() -> None:
    with open_source("synthetic:count=3,size=64x48,fps=25,format=yuv444p10,person") as source:
        assert isinstance(source, SyntheticSource)
        assert (source.info.width, source.info.height) == (64, 48)
        assert source.info.frame_rate == 25
        assert len(list(source)) == 3
    assert open_source("synthetic:", live=True).info.live


@pytest.mark.parametrize(
    "spec", ["synthetic:what=1", "synthetic:count=x", "synthetic:size=64", "synthetic:fps=fast"]
)
def test_synthetic_nonsense(spec: str) -> None:
    with pytest.raises(UsageError, match="not understood"):
        parse_synthetic(spec)


def test_synthetic_count_may_be_endless() -> None:
    assert parse_synthetic("synthetic:count=") == {"count": None}


@pytest.mark.parametrize(("spec", "device"), [(0, 0), ("3", 3), ("/dev/video2", "/dev/video2")])
def test_a_camera_is_only_for_live_runs(
    spec: Any, device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    class Fake:
        def __init__(self, *arguments: Any, **options: Any) -> None:
            asked.append((*arguments, options))

    monkeypatch.setattr(rvm.sources.camera, "CameraSource", Fake)
    open_source(spec, live=True, width=1280, height=720, fps=30)
    assert asked == [(device, {"width": 1280, "height": 720, "fps": 30})]
    with pytest.raises(UsageError, match="rvm live"):
        open_source(spec)


def test_a_file_named_like_a_camera(
    movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    movie.rename(tmp_path / "0")
    with open_source("0") as source:
        assert isinstance(source, FileSource)
    with pytest.raises(DeviceError):
        open_source(93, live=True)


def test_addresses() -> None:
    with pytest.raises(UnsafeInputError) as caught:
        open_source("http://me:secret@example.org/x.mp4")
    assert "secret" not in str(caught.value)
    with pytest.raises(UnsafeInputError, match="network camera"):
        open_source("ftp://example.org/x.mp4", live=True)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        open_source(tmp_path / "nothing.mp4")


def test_fps_may_be_exact(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((4, 6, 3), np.uint8))
    with open_source(tmp_path / "1.png", fps=Fraction(30000, 1001)) as source:
        assert source.info.frame_rate == Fraction(30000, 1001)


def test_what_kind_of_source_is_meant(
    movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    specs: tuple[tuple[int | str | Path, str], ...] = (
        (0, "camera"), ("0", "camera"), ("/dev/video7", "camera"), ("rtsp://h/x", "stream"),
        ("synthetic:count=2", "synthetic"), (movie, "file"), (tmp_path, "images"),
        ("a.PNG", "images"), ("gone.mp4", "file"),
    )  # fmt: skip
    for spec, kind in specs:
        assert kind_of(spec) == kind
    movie.rename(tmp_path / "7")
    assert kind_of("7") == "file"


def test_a_camera_that_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(*_: object) -> None:
        pytest.fail("the camera was opened")

    monkeypatch.setattr(rvm.sources.camera, "look_up_camera", lambda device: None)
    monkeypatch.setattr(rvm.sources.camera, "open_capture", opened)
    with open_source(3, live=True, width=640, fps=25, open_devices=False) as source:
        assert (source.info.width, source.info.height) == (640, 720)
        assert (source.info.frame_rate, source.info.name) == (Fraction(25), "camera 3")
        assert list(source) == []
    with open_source("rtsp://me:pw@h/x", live=True, open_devices=False) as source:
        assert source.info.name == "rtsp://***@h/x"


def test_a_video_keeps_its_own_times_and_a_note_says_so(movie: Path) -> None:
    with open_source(movie, fps=12) as source:
        assert source.info.frame_rate == 30
        assert "keeps its own times" in source.info.notes[-1]
    with open_source(movie) as source:
        assert source.info.notes == ()
        assert source.info.files == (movie,)


def test_a_numbered_name_is_every_picture_called_so(tmp_path: Path) -> None:
    for name in ("f1.png", "f9.png", "f10.png", "f02.png", "fx.png", "f3.jpg"):
        cv2.imwrite(str(tmp_path / name), np.zeros((4, 6, 3), np.uint8))
    for pattern, names in (
        ("f%d.png", ("f1.png", "f9.png", "f10.png")),
        ("f%02d.png", ("f02.png", "f10.png")),
    ):
        with open_source(tmp_path / pattern, fps=5) as source:
            assert source.info.picture_names == names
            assert source.info.frame_rate == 5
    with pytest.raises(InputError, match="has such a name"):
        open_source(tmp_path / "g%d.png")
    (tmp_path / "f1.png").rename(tmp_path / "f%d.png")
    with open_source(tmp_path / "f%d.png") as source:
        assert source.info.picture_names == ("f%d.png",)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_frames_a_second_that_make_no_sense(fps: float, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(UsageError, match="above 0"):
        open_source(tmp_path, fps=fps)
