"""Timecode goes on counting at the start of a part, numbers left out included."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from rvm.sinks.timecode import advanced
from tests.unit.test_passthrough import convert

NTSC = Fraction(30000, 1001)


@pytest.mark.parametrize(
    ("timecode", "frames", "rate", "expected"),
    [
        ("10:11:12:00", 0, Fraction(25), "10:11:12:00"),
        ("10:11:12:00", 30, Fraction(25), "10:11:13:05"),
        ("23:59:59:24", 1, Fraction(25), "00:00:00:00"),
        ("01:00:59:29", 1, NTSC, "01:01:00:00"),  # a colon: every number is there
        ("01:00:59;29", 1, NTSC, "01:01:00;02"),
        ("01:09:59;29", 1, NTSC, "01:10:00;00"),
        ("01:00:59.59", 1, 2 * NTSC, "01:01:00;04"),
        ("00:00:00;00", 107892, NTSC, "01:00:00;00"),
        ("01:00:00:23", 1, Fraction(24000, 1001), "01:00:01:00"),
        ("01:00:00:24", 0, Fraction(24), None),
        ("01:00:00;10", 0, Fraction(25), None),
        ("at noon", 0, Fraction(25), None),
        ("01:60:00:00", 0, Fraction(25), None),
    ],
)
def test_advanced(timecode: str, frames: int, rate: Fraction, expected: str | None) -> None:
    assert advanced(timecode, frames, rate) == expected


def test_a_day_of_drop_frame_never_repeats_a_number() -> None:
    names = [advanced("00:00:00;00", frame, NTSC) or "" for frame in range(17982 + 1900)]
    assert all(one < other for one, other in pairwise(names))
    assert advanced("00:00:00;00", 24 * 107892, NTSC) == "00:00:00;00"


def taped(path: Path, timecode: str, rate: Fraction) -> None:
    """Two seconds whose first frame has this timecode."""
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=rate, width=64, height=64)
        video.metadata["timecode"] = timecode
        for index in range(round(2 * rate)):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts, frame.time_base = index, 1 / rate
            container.mux(video.encode(frame))
        container.mux(video.encode())


def timecodes_of(path: Path) -> set[tuple[str, str]]:
    """(kind of stream, timecode) wherever the file says one."""
    with av.open(str(path)) as container:
        return {
            (stream.type, value)
            for stream in container.streams
            for name, value in stream.metadata.items()
            if name.lower() == "timecode"
        }


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv"])
@pytest.mark.parametrize(
    ("timecode", "rate", "start", "expected"),
    [
        ("10:11:12:00", Fraction(25), 0.0, "10:11:12:00"),
        ("10:11:12:20", Fraction(25), 0.5, "10:11:13:08"),  # the first frame is at 0.52 s
        ("00:00:59;20", NTSC, 1.0, "00:01:00;22"),
    ],
)
def test_timecode_is_kept_and_moves_with_the_start(
    tmp_path: Path, suffix: str, timecode: str, rate: Fraction, start: float, expected: str
) -> None:
    taped(tmp_path / "tape.mov", timecode, rate)
    out = tmp_path / f"out{suffix}"
    assert convert(tmp_path / "tape.mov", out, start_seconds=start).notes == ()
    kinds = ("video",) if suffix == ".mkv" else ("video", "data")
    assert timecodes_of(out) == {(kind, expected) for kind in kinds}
    again = tmp_path / "again.mov"
    convert(out, again)
    assert timecodes_of(again) == {("video", expected), ("data", expected)}


def test_timecode_that_cannot_be_kept_is_named(tmp_path: Path) -> None:
    taped(tmp_path / "tape.mkv", "01:00:00;10", Fraction(25))
    sink = convert(tmp_path / "tape.mkv", tmp_path / "out.mov")
    note = "timecode 01:00:00;10 left out: it is none of 25 frames a second"
    assert sink.notes == (note,)
    assert timecodes_of(tmp_path / "out.mov") == set()
    sink = convert(tmp_path / "tape.mkv", tmp_path / "out.webm", frames=2)
    assert sink.notes == ("timecode 01:00:00;10 left out: .webm cannot hold it; .mov can",)
