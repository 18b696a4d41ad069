"""The command line in an empty folder, and a clip for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from rvm.cli import main
from tests.cli_runs import Outcome, Run
from tests.synth_clips import write_clip


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in an empty folder, with no settings of this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_config_path", lambda *_, **__: tmp_path / "no-home")
    monkeypatch.setenv("RVM_MODEL_DIR", str(tmp_path / "models"))

    def call(*arguments: object) -> Outcome:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """Twelve numbered frames with sound."""
    path = tmp_path / "talk.mp4"
    write_clip(path, audio=True)
    return path
