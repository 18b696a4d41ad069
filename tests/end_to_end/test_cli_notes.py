"""What a run says of itself at its start: options without effect, recordings without sound."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli_runs import Run

LIVE = ("live", "--to", "null", "-m", "fake", "--dry-run")


def notes(err: str) -> list[str]:
    lines = [line for line in err.splitlines() if line.startswith("rvm: note: ")]
    return [line.removeprefix("rvm: note: ") for line in lines]


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (("--background", "green"), "--blur-strength has no effect: the background is green"),
        ((), "--blur-strength has no effect: the background is #00b140, not blur"),
        (("--background", "blur:0.8"), "--blur-strength has no effect: the background is blur:0.8"),
        (("--background", "blur"), ""),
        (("--background", "Blur"), ""),
    ],
)
def test_a_strength_without_a_blur_is_noted(
    run: Run, talk: Path, options: tuple[str, ...], note: str
) -> None:
    outcome = run("convert", talk, "-o", "x.mp4", "-m", "fake", "--dry-run",
                  "--blur-strength", "0.4", *options)  # fmt: skip
    assert outcome.code == 0
    assert [said[: len(note)] for said in notes(outcome.err)] == ([note] if note else [])


def test_a_size_asked_of_a_clip_is_noted(
    run: Run, talk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = ("--width", "1280", "--fps", "30")
    (note,) = notes(run(*LIVE, "--camera", talk, *size).err)
    assert note.startswith("--width and --fps have no effect: ")
    (note,) = notes(run(*LIVE, "--camera", "synthetic:count=9", "--height", "90").err)
    assert note.startswith("--height has no effect: ")
    assert notes(run(*LIVE, "--camera", talk).err) == []
    monkeypatch.setenv("RVM_WIDTH", "640")
    (note,) = notes(run(*LIVE, "--camera", talk).err)
    assert note.startswith("RVM_WIDTH has no effect")


@pytest.mark.parametrize("to", ["null", "virtualcam:/dev/video10", "shots/", "shot_%03d.png"])
def test_an_encoding_asked_of_what_is_not_encoded_is_noted(
    run: Run, talk: Path, to: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rvm.sinks.virtual_camera.look_up_webcam", lambda device: None)
    live = ("live", "--camera", talk, "-m", "fake", "--dry-run", "--to", to)
    why = ": only a video file is encoded, and none is written"
    outcome = run(*live, "--codec", "x265", "--crf", "20", "--preset", "slow")
    assert outcome.code == 0, outcome.err
    assert notes(outcome.err) == [f"--codec, --crf and --preset have no effect{why}"]
    assert notes(run(*live, "--bitrate", "8M").err) == [f"--bitrate has no effect{why}"]
    monkeypatch.setenv("RVM_CRF", "20")
    assert notes(run(*live).err) == [f"RVM_CRF has no effect{why}"]


def test_an_encoding_of_a_recording_is_not_noted(run: Run, talk: Path) -> None:
    record = ("live", "--camera", talk, "-m", "fake", "--dry-run", "--to", "take.mkv")
    outcome = run(*record, "--crf", "20")
    assert outcome.code == 0, outcome.err
    assert [note for note in notes(outcome.err) if "--crf" in note] == []


def test_an_encoding_in_a_file_of_settings_need_not_fit(run: Run, talk: Path) -> None:
    Path("mine.toml").write_text('[live]\ncodec = "x265"\ncrf = 20\npreset = "slow"\n')
    outcome = run(*LIVE, "--camera", talk, "--config", "mine.toml")
    assert outcome.code == 0, outcome.err
    assert notes(outcome.err) == []


@pytest.mark.parametrize(
    ("outputs", "noted"),
    [
        (("-o", "cut/"), False),  # a folder: a video in it
        (("-o", "cut/%04d.png"), True),
        (("--matte", "cut/%04d.png"), True),
        (("--matte", "matte.mkv", "--foreground", "cut/%04d.png"), False),
        (("-o", "cut/%04d.png", "--matte", "matte.mkv"), True),  # the matte is lossless anyway
    ],
)
def test_an_encoding_of_pictures_is_noted(
    run: Run, talk: Path, outputs: tuple[str, ...], noted: bool
) -> None:
    outcome = run("convert", talk, *outputs, "-m", "fake", "--dry-run", "--preset", "slow")
    assert any("--preset has no effect" in note for note in notes(outcome.err)) == noted


def test_what_a_file_says_in_advance_need_not_fit(run: Run, talk: Path, tmp_path: Path) -> None:
    outcome = run(*LIVE, "--camera", talk, "--config", "call", "--background", "red")
    assert outcome.code == 0, outcome.err
    assert notes(outcome.err) == []


def test_a_recording_has_no_sound_and_says_so_at_the_start(run: Run, talk: Path) -> None:
    record = ("live", "--camera", talk, "-m", "fake", "--seconds", "0:00.2", "--no-loop")
    outcome = run(*record, "--to", "take.mkv")
    assert outcome.code == 0, outcome.err
    said = [number for number, line in enumerate(outcome.err.splitlines()) if "no sound:" in line]
    assert len(said) == 1
    assert said[0] < len(outcome.err.splitlines()) - 1
    outcome = run(*record, "--to", "again.mkv", "--progress", "json")
    events = [json.loads(line)["event"] for line in outcome.err.splitlines()]
    assert "silent" in events
    for to in ("null", "shots/"):
        assert "no sound:" not in run(*record, "--to", to).err
