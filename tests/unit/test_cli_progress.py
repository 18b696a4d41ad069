"""What a person reads while a run goes on and when it has ended."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from rvm.cli import progress as progress_module
from rvm.cli.console import NORMAL, QUIET, VERBOSE, Console, printable
from rvm.cli.progress import (
    BarReporter,
    JsonReporter,
    PlainReporter,
    SilentReporter,
    clock_time,
    describe_progress,
    make_reporter,
)
from rvm.cli.report import summary, tell
from rvm.frame import YUV420P, ColourTags
from rvm.matting.base import EngineInfo
from rvm.sources.base import SourceInfo
from rvm.telemetry import Progress, Report

HALF_WAY = Progress(120, 266, 19.53, 7.4, 2, {"matting": 41.87, "sink": 3.0})
SOURCE = SourceInfo(
    "talk.mp4", 1280, 720, YUV420P, ColourTags(), Fraction(1, 30000), Fraction(30000, 1001),
    frame_count=266, duration_seconds=75.2,
)  # fmt: skip
ENGINE = EngineInfo("m", "onnxruntime", "cpu", "CPUExecutionProvider", "fp32", "no GPU")


def report(**changes: object) -> Report:
    values: dict[str, object] = {
        "frames_in": 10, "frames_out": 10, "dropped": 0, "damaged": 0, "seconds": 2.0, "fps": 5.0,
        "model": "m", "engine": "e", "device": "cpu", "provider": "p", "precision": "fp32",
        "reason": "r", "stages": {"matting": {"p50": 1.0, "p95": 2.0, "p99": 3.0}},
        "peak_rss_mb": 100.0, "outputs": (Path("x.mp4"),),
    }  # fmt: skip
    return Report(**(values | changes))  # type: ignore[arg-type]


def test_a_line_has_everything_that_matters() -> None:
    assert describe_progress(HALF_WAY) == (
        "120/266 frames  19.5/s  0:07 left  2 dropped  matting 41.9 ms  sink 3 ms"
    )
    assert describe_progress(HALF_WAY, 65).endswith("2 dropped  matting 41.9 ms")
    assert describe_progress(HALF_WAY, 10) == "120/266 frames  19.5/s"
    assert describe_progress(Progress(3, None, 0.0, None, 0, {})) == "3 frames  0.0/s"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (7.4, "0:07"), (754, "12:34"), (3723, "1:02:03")]
)
def test_clock_time(seconds: float, text: str) -> None:
    assert clock_time(seconds) == text


def test_the_start_says_what_comes_in_and_what_was_chosen_and_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    PlainReporter(Console(NORMAL)).start(SOURCE, ENGINE)
    assert capsys.readouterr().err.splitlines() == [
        "rvm: talk.mp4: 1280x720 yuv420p, 29.97 frames a second, 1:15",
        "rvm: m by onnxruntime on cpu (CPUExecutionProvider, fp32): no GPU",
    ]


def test_plain_lines_come_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr("rvm.cli.progress.time.monotonic", lambda: now[0])
    reporter = PlainReporter(Console(NORMAL))
    for second in range(12):
        now[0] = 100.0 + second
        reporter.update(HALF_WAY)
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_json_lines_silence_other_talk(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console(NORMAL)
    reporter = JsonReporter(console)
    reporter.start(SOURCE, ENGINE)
    reporter.update(HALF_WAY)
    console.say("rvm: by the way")
    console.warn("look\nout")
    console.error("it failed")
    start, update, *rest = map(json.loads, capsys.readouterr().err.splitlines())
    assert rest == [
        {"event": "warning", "text": "look out"},
        {"event": "error", "text": "it failed"},
    ]
    assert (start["event"], start["frames_total"], start["reason"]) == ("start", 266, "no GPU")
    assert (update["event"], update["frames_done"], update["dropped"]) == ("progress", 120, 2)


def test_the_mode_follows_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_reporter("auto", Console(NORMAL)), PlainReporter)
    assert isinstance(make_reporter("none", Console(NORMAL)), SilentReporter)
    assert isinstance(make_reporter("auto", Console(QUIET)), SilentReporter)
    monkeypatch.setattr(progress_module, "is_terminal", lambda: True)
    assert isinstance(make_reporter("auto", Console(NORMAL)), BarReporter)


def test_a_bar_can_be_closed_at_any_time(capsys: pytest.CaptureFixture[str]) -> None:
    bar = BarReporter(Console(NORMAL, color=False))
    bar.close()
    bar.update(HALF_WAY)
    bar.update(HALF_WAY)
    bar.close()
    bar.close()
    assert "Traceback" not in capsys.readouterr().err


def test_the_summary_counts_what_was_lost() -> None:
    assert summary(report()) == ["x.mp4: 10 frames in 2.0 s (5.0 a second, 100 MiB)"]
    lines = summary(report(frames_out=8, dropped=1, damaged=1, reopened=2, outputs=()))
    assert lines == [
        "8 frames in 2.0 s (5.0 a second, 100 MiB)",
        "of 10 frames: 1 frame gave way to newer ones; 1 frame could not be decoded; "
        "the camera was lost and reopened 2 times",
    ]


def test_data_goes_to_stdout_and_talk_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    tell(report(notes=("padded",)), Console(VERBOSE, color=False), json=True)
    captured = capsys.readouterr()
    assert json.loads(captured.out)["outputs"] == ["x.mp4"]
    assert "rvm: note: padded" in captured.err
    assert "p95 2 ms" in captured.err


def test_a_name_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("a\x1b[31mb\u202e\nü\t") == "a\\x1b[31mb\\u202e\nü\t"
    console = Console(NORMAL, color=False)
    for speak in (console.say, console.warn, console.error):
        speak("gone\x1b]0;title\x07.mp4")
    assert "\x1b" not in capsys.readouterr().err


def test_a_closed_stderr_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr("sys.stderr", Closed())
    Console(NORMAL, color=False).error("nobody hears this")
