"""`--dry-run` refuses what the run would refuse, and leaves everything as it was."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rvm.sinks import virtual_camera
from rvm.sources import camera
from rvm.sources.camera import CameraEntry
from tests.cli_runs import Run
from tests.synth_clips import write_clip


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("-o", "u.avi"), 2),
        (("-o", "x.mp4", "--codec", "nope"), 2),
        (("-o", "x.mp4", "--preset", "turbo"), 2),
        (("-o", "x.mp4", "--crf", "3", "--bitrate", "8M"), 2),
        (("-o", "x.mp4", "--background", "transparent"), 2),
        (("-o", "x.mp4", "--background", "gone.jpg"), 3),
        (("-o", "x.mp4", "--start", "99"), 3),
        (("-o", "x.jpg"), 2),
        (("-o", "%d.jpg", "--background", "transparent"), 2),
        (("-o", "new/folder/", "--codec", "nope"), 2),
        (("-o", "new/folder/", "--matte", "there.mp4/"), 6),
        (("-o", "new/" + 300 * "x" + "/"), 6),
        (("-o", "x.mp4", "--matte", "x.mp4"), 2),
        (("-o", "no/x.mp4"), 6),
        (("-o", "there.mp4"), 6),
        (("-o", "x.mp4", "--decoder", "gpu"), 2),
    ],
)
def test_what_the_run_refuses_is_refused_in_the_same_words(
    run: Run, talk: Path, tmp_path: Path, options: tuple[str, ...], code: int
) -> None:
    (tmp_path / "there.mp4").write_bytes(b"precious")
    before = everything(tmp_path)
    planned = run("convert", talk, *options, "-m", "fake", "--dry-run")
    assert everything(tmp_path) == before
    assert planned.code == code
    assert "would write" not in planned.err
    assert run("convert", talk, *options, "-m", "fake").one_error() == planned.one_error()
    assert everything(tmp_path) == before
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("output", "written"),
    [
        ("x.mp4", "x.mp4"),
        ("new/folder/", str(Path("new/folder/talk.mp4"))),
        ("shot_%03d.png", "shot_%03d.png"),
        ("there.mp4", "there.mp4"),
    ],
)
def test_what_would_go_well_leaves_nothing_behind(
    run: Run, talk: Path, tmp_path: Path, output: str, written: str
) -> None:
    (tmp_path / "there.mp4").write_bytes(b"precious")
    before = everything(tmp_path)
    outcome = run("convert", talk, "-o", output, "-y", "-m", "fake", "--dry-run", "--json")
    assert outcome.code == 0, outcome.err
    (plan,) = outcome.objects
    assert (plan["input"], plan["outputs"], plan["frames_total"]) == (str(talk), [written], 12)
    assert f"would write {written}" in outcome.err
    assert everything(tmp_path) == before
    assert (tmp_path / "there.mp4").read_bytes() == b"precious"


def test_pictures_that_would_be_replaced_stay(run: Run, talk: Path, tmp_path: Path) -> None:
    quick = ("-m", "fake", "--dry-run")
    assert run("convert", talk, "-o", "shots/%02d.png", "-m", "fake").code == 0
    before = everything(tmp_path)
    kept = (tmp_path / "shots/03.png").read_bytes()
    for inputs in (("shots",), ("shots", talk)):
        assert run("convert", *inputs, "-o", "new/", *quick).code == 0
    assert run("convert", talk, "-o", "shots/%02d.png", *quick).code == 6
    assert run("convert", talk, "-o", "shots/%02d.png", "-y", *quick).code == 0
    assert everything(tmp_path) == before
    assert (tmp_path / "shots/03.png").read_bytes() == kept


def test_of_several_inputs_each_is_checked_and_the_folder_is_not_made(
    run: Run, talk: Path, tmp_path: Path
) -> None:
    write_clip(tmp_path / "walk.mov")
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    before = everything(tmp_path)
    options = ("-o", "new/folder", "-m", "fake", "--dry-run", "--json")
    assert run("convert", talk, "walk.mov", *options).code == 0
    outcome = run("convert", talk, "bad.mp4", "walk.mov", *options)
    assert outcome.code == 1
    first, bad, last = outcome.objects
    assert first["outputs"] == [os.path.join("new/folder", "talk.mp4")]  # noqa: PTH118
    assert (bad["input"], bad["exit_code"]) == ("bad.mp4", 3)
    assert last["input"] == "walk.mov"
    assert everything(tmp_path) == before


@pytest.fixture
def _linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with camera 0 and no virtual webcam, where opening anything fails the test."""

    def opened(*_: object, **__: object) -> None:
        pytest.fail("a device was opened")

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(camera, "list_cameras", lambda: [CameraEntry(0, "Cam", "/dev/video0")])
    monkeypatch.setattr(camera, "open_capture", opened)
    monkeypatch.setattr(virtual_camera, "_open_camera", opened)
    monkeypatch.setattr(virtual_camera, "_LISTED", tmp_path / "listed")


@pytest.mark.usefixtures("_linux")
def test_live_looks_devices_up_and_opens_none(run: Run, tmp_path: Path) -> None:
    live = ("live", "-m", "fake", "--dry-run")
    outcome = run(*live)
    assert outcome.code == 5
    assert "v4l2loopback" in outcome.one_error()
    (tmp_path / "listed" / "video10").mkdir(parents=True)
    outcome = run(*live, "--on-demand")
    assert outcome.code == 0, outcome.err
    assert "would show camera 0 on virtualcam" in outcome.err
    assert "camera 0 was left alone" in outcome.err
    assert run(*live, "--to", "virtualcam:/dev/video10").code == 0
    assert run(*live, "--to", "virtualcam:/dev/video11").code == 5
    assert "camera 7 does not open" in run(*live, "--camera", "7").one_error()
    assert run(*live, "--camera", "/dev/video0").code == 0
    assert run(*live, "--background", "transparent").code == 2


@pytest.mark.usefixtures("_linux")
def test_live_checks_a_recording_and_a_clip(run: Run, talk: Path, tmp_path: Path) -> None:
    live = ("live", "-m", "fake", "--dry-run")
    assert run(*live, "--to", "x.avi").code == 2
    assert run(*live, "--to", "x.mp4", "--codec", "nope").code == 2
    assert run(*live, "--to", talk).code == 6
    assert run(*live, "--to", "x.mp4").code == 0
    assert run(*live, "--to", "null", "--camera", "gone.mp4").code == 3
    outcome = run(*live, "--to", "x.mp4", "--camera", talk, "--json")
    assert outcome.code == 0
    assert (outcome.objects[0]["input"], outcome.objects[0]["width"]) == (str(talk), 160)
    assert everything(tmp_path) == ["talk.mp4"]
