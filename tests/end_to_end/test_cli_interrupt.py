"""Ctrl-C and SIGTERM: what was done is finished and plays; asked twice, it is given up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli_runs import numbers

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

ENDLESS = "synthetic:count=100000,size=160x96,fps=30"


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`rvm` as a process of its own, killed if the test leaves it behind."""
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "XDG_CONFIG_HOME": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", "rvm", *arguments],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], wanted: Callable[[str], bool]) -> None:
    """Read stderr up to the line that is wanted."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if wanted(line):
            return
    pytest.fail("it ended without the awaited line: " + "".join(seen))


def has_frames(line: str) -> bool:
    event = json.loads(line)
    return bool(event["event"] == "progress" and event["frames_done"] >= 5)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_once_finishes_the_file(tmp_path: Path, number: signal.Signals, code: int) -> None:
    with running(
        tmp_path, "convert", ENDLESS, "-o", "out.mp4", "-m", "fake:delay_ms=10",
        "--background", "none", "--progress", "json", "--json",
    ) as process:  # fmt: skip
        wait_for(process, has_frames)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code
    events = [json.loads(line) for line in err.splitlines()]
    assert "stopping; what is done" in "".join(e["text"] for e in events if e["event"] == "stop")
    report = json.loads(out)
    assert report["interrupted"] is True
    assert report["frames_in"] == report["frames_out"]
    assert numbers(tmp_path / "out.mp4") == list(range(report["frames_out"]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4"]


def test_twice_gives_up_and_keeps_the_part(tmp_path: Path) -> None:
    with running(
        tmp_path, "convert", ENDLESS, "-o", "out.mp4", "-m", "fake:delay_ms=400",
        "--background", "none", "--progress", "json", "--json",
    ) as process:  # fmt: skip
        wait_for(process, has_frames)
        process.send_signal(signal.SIGINT)
        wait_for(process, lambda line: "stopping" in line)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "giving up" in err
    assert json.loads(out)["outputs"] == []
    assert not (tmp_path / "out.mp4").exists()
    (kept,) = tmp_path.iterdir()
    assert ".part" in kept.suffixes
    assert numbers(kept)[:3] == [0, 1, 2]


def test_live_ends_with_a_report(tmp_path: Path) -> None:
    with running(
        tmp_path, "live", "--camera", ENDLESS, "--to", "null", "-m", "fake", "--progress", "json",
        "--json",
    ) as process:  # fmt: skip
        wait_for(process, has_frames)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert json.loads(out)["frames_out"] >= 5


def test_a_terminal_gets_a_bar_and_no_color_is_honoured(tmp_path: Path) -> None:
    """stderr is a pseudo-terminal here; the bar comes and leaves, the last line stays."""
    leader, follower = os.openpty()
    root = Path(__file__).parents[2]
    environment = os.environ | {
        "PYTHONPATH": str(root), "XDG_CONFIG_HOME": str(tmp_path), "TERM": "xterm",
        "NO_COLOR": "1", "COLUMNS": "120",
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "rvm", "convert", "synthetic:count=12,size=160x96", "-o", "x.mp4",
         "-m", "fake:delay_ms=60"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    shown = b""
    try:
        while block := os.read(leader, 4096):
            shown += block
    except OSError:
        pass  # Linux says EIO where a pseudo-terminal ends
    finally:
        os.close(leader)
        out, _ = process.communicate(timeout=60)
    text = shown.decode()
    assert process.returncode == 0, text
    assert out == b""
    assert "/12 frames" in text
    assert "matting 6" in text
    assert "x.mp4: 12 frames" in text
    assert "\x1b[3" not in text.replace("\x1b[?25", ""), "no colours were wanted"
