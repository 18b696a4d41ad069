"""A file at its own pace, on a clock that does not wait."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import pytest

from rvm.clock import FakeClock
from rvm.sources.file import FileSource
from rvm.sources.paced import PacedSource
from rvm.sources.synthetic import SyntheticSource, read_number
from tests.synth_clips import clip, write_clip


def test_frames_come_when_they_are_due() -> None:
    clock = FakeClock(1000.0)
    source = PacedSource(SyntheticSource(4, width=64, height=48, fps=Fraction(10)), clock)
    assert source.info.live
    captured = [frame.captured_at_seconds for frame in source]
    assert captured == pytest.approx([1000.0, 1000.1, 1000.2, 1000.3])


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    spec = write_clip(tmp_path / "a.mp4", clip(frames=9, variable=True))
    clock = FakeClock(5.0)
    with PacedSource(FileSource(tmp_path / "a.mp4"), clock) as source:
        captured = [frame.captured_at_seconds for frame in source]
    assert captured == pytest.approx([5 + float(pts * spec.time_base) for pts in spec.pts])


def test_late_frames_come_at_once_and_none_is_left_out() -> None:
    clock = FakeClock(0.5)
    source = PacedSource(SyntheticSource(8, width=64, height=48, fps=Fraction(10)), clock)
    captured, numbers = [], []
    for frame in source:
        captured.append(frame.captured_at_seconds)
        numbers.append(read_number(frame))
        if frame.index == 2:
            clock.advance(0.25)  # a slow consumer
    assert numbers == list(range(8))
    # Due at .5 .6 .7 .8 .9 1.0 1.1 1.2; at .7 the consumer stays until .95.
    assert captured == pytest.approx([0.5, 0.6, 0.7, 0.95, 0.95, 1.0, 1.1, 1.2])


def test_after_a_long_delay_it_does_not_rush() -> None:
    clock = FakeClock(0.5)
    source = PacedSource(SyntheticSource(6, width=64, height=48, fps=Fraction(10)), clock)
    captured = []
    for frame in source:
        captured.append(frame.captured_at_seconds)
        if frame.index == 1:
            clock.advance(60)
    assert captured == pytest.approx([0.5, 0.6, 60.6, 60.7, 60.8, 60.9])


def test_a_loop_keeps_its_pace(tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4", clip(frames=3))
    clock = FakeClock(1.0)
    with PacedSource(FileSource(tmp_path / "a.mp4", loop=True), clock) as source:
        frames = [frame for frame, _ in zip(source, range(7), strict=False)]
    expected = [1 + index / 30 for index in range(7)]
    assert [frame.captured_at_seconds for frame in frames] == pytest.approx(expected)
    assert [frame.index for frame in frames] == list(range(7))


def test_close_wakes_a_waiting_consumer() -> None:
    slow = SyntheticSource(2, width=64, height=48, fps=Fraction(1, 1000))
    source = PacedSource(slow)
    frames = iter(source)
    next(frames)
    rest: list[object] = []
    thread = threading.Thread(target=lambda: rest.extend(frames))
    thread.start()
    source.close()
    thread.join(30)
    assert not thread.is_alive()
    assert rest == []


def test_counters_are_those_of_the_source(tmp_path: Path) -> None:
    inner = SyntheticSource(1)
    inner.damaged, inner.concealed, inner.reopened = 3, 1, 2
    paced = PacedSource(inner)
    assert (paced.damaged, paced.concealed, paced.reopened) == (3, 1, 2)
