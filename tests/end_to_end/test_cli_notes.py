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
