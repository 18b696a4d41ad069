"""The contract of a sink, run over every implementation in the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvm.errors import OutputExistsError, RvmError
from rvm.sinks import SINKS, sink_class
from rvm.sinks.base import Sink
from rvm.sinks.images import ImagesSink
from rvm.sinks.null import NullSink
from rvm.sinks.tee import TeeSink
from rvm.sinks.virtual_camera import VirtualCameraSink
from tests.composites import composites, decoded, info_of, shot

SHOT = shot(count=4)


class RecordingCamera:
    """A pyvirtualcam backend that keeps what it is sent."""

    sent: list[np.ndarray[Any, Any]]

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: Any) -> None:
        self.sent = []

    def close(self) -> None:
        pass

    def send(self, frame: np.ndarray[Any, Any]) -> None:
        self.sent.append(frame.copy())

    def device(self) -> str:
        return "recorder"

    def native_fourcc(self) -> None:
        return None


@pytest.fixture(autouse=True)
def _camera(monkeypatch: pytest.MonkeyPatch) -> None:
    import pyvirtualcam.camera

    monkeypatch.setitem(pyvirtualcam.camera.BACKENDS, "recorder", RecordingCamera)


@dataclass(frozen=True)
class Case:
    """How to open one sink, and what lies where after each ending."""

    open: Callable[[Path, bool], Sink]
    final: str | None = None
    partial: str | None = None

    def pictures(self, path: Path) -> int:
        """How many pictures an output holds."""
        return len(list(path.iterdir())) if path.is_dir() else len(decoded(path))


def _file(name: str, file: str) -> Case:
    stem, _, suffix = file.partition(".")

    def opened(folder: Path, overwrite: bool) -> Sink:
        make: Callable[..., Sink] = sink_class(name)
        return make(folder / file, info=info_of(SHOT), overwrite=overwrite)

    return Case(opened, file, f"{stem}.part.{suffix}")


def _camera_sink(folder: Path, overwrite: bool) -> Sink:
    return VirtualCameraSink(info=info_of(SHOT), backend="recorder")


CASES: dict[str, Case] = {
    "video_file": _file("video_file", "out.mp4"),
    "matte_file": _file("matte_file", "matte.mkv"),
    "foreground_file": _file("foreground_file", "fore.mov"),
    "images": Case(
        lambda folder, overwrite: ImagesSink(
            f"{folder}/shots/", info=info_of(SHOT), overwrite=overwrite
        ),
        "shots",
        "shots.part",
    ),
    "virtual_camera": Case(_camera_sink),
    "null": Case(lambda folder, overwrite: NullSink()),
    "tee": Case(
        lambda folder, overwrite: TeeSink(
            [NullSink(), CASES["video_file"].open(folder, overwrite)]
        ),
        "out.mp4",
        "out.part.mp4",
    ),
}

every_sink = pytest.mark.parametrize("name", SINKS)
every_file = pytest.mark.parametrize("name", [name for name in SINKS if CASES[name].final])


def test_every_sink_in_the_registry_is_tested() -> None:
    assert set(CASES) == set(SINKS)


@every_sink
def test_it_is_a_sink_of_the_registered_class(name: str, tmp_path: Path) -> None:
    sink = CASES[name].open(tmp_path, False)
    assert type(sink) is sink_class(name)
    assert isinstance(sink.live, bool)
    sink.abort()


@every_sink
def test_it_counts_what_it_took_and_tells_in_single_lines(name: str, tmp_path: Path) -> None:
    sink = CASES[name].open(tmp_path, False)
    for number, item in enumerate(composites(SHOT), 1):
        sink.write(item)
        assert sink.frames_written == number
    sink.close()
    assert all(note == " ".join(note.split()) for note in sink.notes)


@every_sink
def test_ending_twice_is_harmless(name: str, tmp_path: Path) -> None:
    sink = CASES[name].open(tmp_path, False)
    sink.write(composites(SHOT)[0])
    sink.close()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    sink.close()
    sink.abort()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


@every_sink
def test_it_ends_without_a_single_frame_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    for end in ("close", "abort"):
        sink = CASES[name].open(tmp_path, False)
        getattr(sink, end)()
        assert list(tmp_path.iterdir()) == []


@every_sink
def test_it_leaves_the_frames_alone_and_needs_them_no_more(name: str, tmp_path: Path) -> None:
    items = composites(SHOT)
    before = [[plane.copy() for plane in item.picture.planes] for item in items]
    sink = CASES[name].open(tmp_path, False)
    for item, planes in zip(items, before, strict=True):
        sink.write(item)
        assert all((a == b).all() for a, b in zip(item.picture.planes, planes, strict=True))
        for plane in item.picture.planes:
            plane[:] = 0  # the owner may reuse its memory now
    sink.close()
    if name == "video_file":
        assert planes_mean(decoded(tmp_path / "out.mp4")[2]) > 60


def planes_mean(picture: Any) -> float:
    return float(np.frombuffer(picture.planes[0], np.uint8).mean())


@every_sink
def test_strided_planes_are_welcome(name: str, tmp_path: Path) -> None:
    sink = CASES[name].open(tmp_path, False)
    for item in composites(SHOT):
        wide = tuple(
            np.pad(plane, ((0, 0), (0, 9)))[:, : plane.shape[1]] for plane in item.picture.planes
        )
        picture = item.picture.with_picture(wide)
        sink.write(type(item)(picture, item.matte, picture))
    sink.close()
    assert sink.frames_written == SHOT.count


@every_file
def test_close_gives_the_final_name_to_a_complete_output(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    sink = case.open(tmp_path, False)
    for item in composites(SHOT):
        sink.write(item)
    assert not (tmp_path / str(case.final)).exists()
    sink.close()
    assert [path.name for path in tmp_path.iterdir()] == [case.final]
    assert case.pictures(tmp_path / str(case.final)) == SHOT.count


@every_file
def test_abort_leaves_a_playable_output_under_another_name(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    sink = case.open(tmp_path, False)
    for item in composites(SHOT)[:3]:
        sink.write(item)
    sink.abort()
    assert [path.name for path in tmp_path.iterdir()] == [case.partial]
    assert case.pictures(tmp_path / str(case.partial)) == 3
    assert any(str(case.partial) in note for note in sink.notes)


@every_file
def test_what_exists_is_refused_at_once(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    first = case.open(tmp_path, False)
    first.write(composites(SHOT)[0])
    first.close()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(OutputExistsError, match=r"exists; add -y"):
        case.open(tmp_path, False)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@every_file
def test_overwriting_replaces_only_at_close(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    items = composites(SHOT)
    first = case.open(tmp_path, False)
    first.write(items[0])
    first.close()
    for end, expected in (("abort", 1), ("close", 3)):
        sink = case.open(tmp_path, True)
        for item in items[:3]:
            sink.write(item)
        assert case.pictures(tmp_path / str(case.final)) == 1
        getattr(sink, end)()
        assert case.pictures(tmp_path / str(case.final)) == expected


@every_file
def test_a_missing_folder_is_one_plain_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(RvmError) as caught:
        CASES[name].open(tmp_path / "missing" / "deep", False)
    assert caught.value.exit_code == 6
    assert "there is no folder" in str(caught.value)
    assert "\n" not in str(caught.value)
