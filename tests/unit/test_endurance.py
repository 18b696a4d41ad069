"""The tool that converts a clip over and over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest

from rvm.bench.clips import write_clip
from tools import endurance

_TOOL = Path(endurance.__file__)


def packets(path: Path) -> list[av.Packet[Any]]:
    with av.open(str(path)) as container:
        return [p for p in container.demux(video=0) if p.dts is not None]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    write_clip(path, (96, 64), 7, None)
    return path


def test_packets_are_repeated_in_time(clip: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.mp4"
    endurance.repeat(clip, long, 17)  # twice seven and three
    got, once = packets(long), packets(clip)
    assert len(got) == 17
    assert [bytes(p) for p in got] == [bytes(p) for p in (once * 3)[:17]]
    times = sorted(p.pts for p in got if p.pts is not None)
    assert len(set(times)) == 17
    assert [p.is_keyframe for p in got[:8]] == [True, *[False] * 6, True]


def test_marks_at_each_power_of_ten_and_at_the_end(clip: Path, tmp_path: Path) -> None:
    results = tmp_path / "results"
    done = subprocess.run(
        [sys.executable, str(_TOOL), "--clip", str(clip), "--size", "720p",
         "--frames", "130", "--model", "fake", "--out", str(results)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    (written,) = results.iterdir()
    assert written.name.endswith("-cores-endurance.json")
    assert str(written) in done.stdout
    marks = json.loads(written.read_text())["marks"]
    assert [m["frames"] for m in marks] == [10, 100, 130]
    assert [m["peak_rss_mb"] for m in marks] == sorted(m["peak_rss_mb"] for m in marks)
    assert all(m["fps"] > 0 for m in marks)
