"""`rvm live` under load, from the command line: what it does by itself is told and reported."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

SOURCE = "synthetic:count=90,size=320x180,fps=60,person"


def live(*arguments: str) -> tuple[dict[str, Any], str]:
    """Report and stderr of a run into nowhere."""
    command = [sys.executable, "-m", "rvm", "live", "--camera", SOURCE, "--no-loop", "--json"]
    result = subprocess.run(
        [*command, "--to", "null", *arguments], capture_output=True, text=True, check=True
    )
    report: dict[str, Any] = json.loads(result.stdout)
    assert report["frames_in"] == report["frames_out"] + report["dropped"]
    return report, result.stderr


def test_an_engine_that_is_too_slow_gives_up_quality_and_says_so() -> None:
    report, told = live("--model", "fake:delay_ms=40", "--background", "none")
    assert report["quality_changes"] >= 1
    assert "rvm: quality down to 100 % network size on every other frame: a frame takes" in told
    assert "quality changed" in told
    assert sum(report["quality_levels"].values()) == report["frames_out"]
    assert sum(report["mattes"].values()) == report["frames_out"]


def test_json_progress_stays_json() -> None:
    _, told = live(
        "--model", "fake:delay_ms=40", "--background", "none", "--progress", "json"
    )  # fmt: skip
    events = [json.loads(line) for line in told.splitlines()]
    assert "quality" in {event["event"] for event in events}


def test_without_the_governor_every_frame_goes_through_the_network() -> None:
    report, told = live("--model", "fake:delay_ms=40", "--background", "none", "--no-governor")
    assert report["quality_changes"] == 0
    assert report["mattes"] == {"network": report["frames_out"], "moved": 0, "still": 0}
    assert "quality" not in told


def test_limits_that_are_wide_change_nothing() -> None:
    report, _ = live("--model", "fake", "--max-cpu", "100", "--target-ms", "1000")
    assert report["quality_changes"] == 0
    assert 0 < report["cpu_percent"] <= 100


def test_on_demand_without_a_webcam_stays_on_and_says_so() -> None:
    report, told = live("--model", "fake", "--on-demand")
    assert "on demand: the output is no virtual webcam, so the camera stays on" in told
    assert report["frames_out"] > 0
    assert "idle_seconds" not in report


@pytest.mark.parametrize(("option", "value"), [("--max-cpu", "0"), ("--target-ms", "-3")])
def test_limits_that_make_no_sense_are_refused(option: str, value: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "rvm", "live", option, value],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2
    assert option in result.stderr
