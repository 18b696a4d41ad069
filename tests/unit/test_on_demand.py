"""A camera that is on only while somebody looks, on a clock that only tests move."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import pytest

from rvm.clock import FakeClock
from rvm.errors import DeviceError
from rvm.frame import PIXEL_FORMATS, YUV420P, Frame, PixelFormat
from rvm.idle import on_demand
from rvm.sinks.null import NullSink
from rvm.sources.base import Source, SourceInfo
from rvm.sources.on_demand import LINGER_SECONDS, OnDemandSource, plain_frame
from rvm.sources.synthetic import SyntheticSource
from rvm.telemetry import Notice


class Camera(Source):
    """Ten frames a second of the fake clock, with indices and times from 0 at each opening."""

    def __init__(self, clock: FakeClock, frames: int = 1_000_000) -> None:
        self.info = SourceInfo(
            "camera 0", 4, 2, YUV420P, SyntheticSource(0).info.colour, Fraction(1, 1000), live=True
        )
        self.clock = clock
        self.frames = frames
        self.closed = False
        self.reopened = 1
        self.planes = tuple(np.zeros(s, np.uint8) for s in YUV420P.plane_shapes(4, 2))

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.frames):
            if self.closed:
                return
            self.clock.advance(0.1)
            yield Frame(
                self.planes, YUV420P, 4, 2, pts=100 * index, time_base=Fraction(1, 1000),
                index=index, captured_at_seconds=self.clock.now(),
            )  # fmt: skip

    def close(self) -> None:
        self.closed = True


class Watch:
    """Reads as a plan says: seconds since the start -> somebody looks."""

    def __init__(self, clock: FakeClock, plan: Callable[[float], bool]) -> None:
        self.clock = clock
        self.plan = plan
        self.looks = 0
        self.closed = False

    def is_read(self) -> bool:
        self.looks += 1
        return self.plan(self.clock.now() - 100)

    def close(self) -> None:
        self.closed = True


class Setup:
    """An on-demand camera with everything it did."""

    def __init__(self, plan: Callable[[float], bool], frames: int = 1_000_000) -> None:
        self.clock = FakeClock(100.0)
        self.cameras = [Camera(self.clock, frames)]
        self.idle: list[tuple[bool, float]] = []
        self.watch = Watch(self.clock, plan)
        self.failures = 0
        self.source = OnDemandSource(
            self.cameras[0], self.open, self.watch, self.note, clock=self.clock
        )

    def open(self) -> Source:
        if self.failures:
            self.failures -= 1
            raise DeviceError("camera 0 is in use")
        self.cameras.append(Camera(self.clock))
        return self.cameras[-1]

    def note(self, idle: bool) -> None:
        self.idle.append((idle, round(self.clock.now() - 100, 1)))

    def take(self, seconds: float) -> list[Frame]:
        frames = []
        for frame in self.source:
            frames.append(frame)
            if self.clock.now() - 100 >= seconds:
                break
        return frames


def test_a_watched_camera_is_left_alone() -> None:
    setup = Setup(lambda seconds: True)
    frames = setup.take(60)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert frames[-1].pts == 100 * (len(frames) - 1)
    assert len(frames) == pytest.approx(600, abs=1)
    assert setup.idle == []
    assert setup.watch.looks <= 121  # twice a second, not at each frame


def test_it_goes_off_some_seconds_after_the_last_reader_and_on_with_the_next() -> None:
    setup = Setup(lambda seconds: seconds < 10 or seconds > 60)
    frames = setup.take(62)
    assert [state for state, _ in setup.idle] == [True, False]
    off, on = (at for _, at in setup.idle)
    assert 10 + LINGER_SECONDS - 1 <= off <= 10 + LINGER_SECONDS + 1
    assert 60 <= on <= 61
    assert [camera.closed for camera in setup.cameras] == [True, False]
    assert setup.source.idle_seconds == pytest.approx(on - off, abs=0.01)
    indices = [frame.index for frame in frames]
    assert indices == list(range(len(frames)))
    times = [float(frame.pts_seconds or 0) for frame in frames]
    assert times == sorted(set(times))
    assert times[-1] == pytest.approx(62, abs=0.5)  # the gap is in the times too


def test_nobody_at_the_start_means_off_at_once_and_one_plain_picture() -> None:
    setup = Setup(lambda seconds: seconds > 5)
    frames = iter(setup.source)
    first = next(frames)
    assert setup.cameras[0].closed
    assert setup.idle == [(True, 0.0)]
    assert {int(plane.max()) for plane in first.planes} == {48, 128}
    second = next(frames)
    assert len(setup.cameras) == 2
    assert second.index == first.index + 1
    assert second.pts is not None
    assert first.pts is not None
    assert second.pts > first.pts


def test_a_camera_that_is_taken_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    setup = Setup(lambda seconds: seconds > 5)
    setup.failures = 3
    frames = iter(setup.source)
    next(frames)
    next(frames)
    assert len(setup.cameras) == 2
    assert caplog.text.count("camera 0 is in use") == 3


def test_the_end_of_the_source_is_the_end() -> None:
    setup = Setup(lambda seconds: True, frames=5)
    assert len(list(setup.source)) == 5
    assert setup.idle == []


def test_closing_while_off_ends_it_and_counts_are_kept() -> None:
    setup = Setup(lambda seconds: False)
    frames = iter(setup.source)
    next(frames)
    setup.source.close()
    setup.source.close()
    assert list(frames) == []
    assert setup.watch.closed
    assert setup.source.reopened == 1


def test_closing_wakes_one_that_waits_for_real() -> None:
    clock = FakeClock()
    watch = Watch(clock, lambda seconds: False)
    source = OnDemandSource(Camera(clock), lambda: Camera(clock), watch)
    waiting = threading.Event()

    def consume() -> None:
        for _ in source:
            waiting.set()

    thread = threading.Thread(target=consume)
    thread.start()
    assert waiting.wait(5.0)
    source.close()
    thread.join(5.0)
    assert not thread.is_alive()


@pytest.mark.parametrize("format", PIXEL_FORMATS.values(), ids=lambda format: str(format.name))
def test_the_plain_picture_has_the_sources_format(format: PixelFormat) -> None:
    info = SyntheticSource(0, width=22, height=6, format=format.name).info
    frame = plain_frame(info, 3.0)
    assert frame.format is format
    assert frame.size == (22, 6)
    assert int(frame.planes[0].max()) < format.max_value / 4


def test_where_nobody_can_tell_the_camera_stays_on_and_says_so() -> None:
    source, notices = SyntheticSource(1), list[Notice]()
    assert on_demand(source, lambda: source, NullSink(), notices.append) is source
    assert [notice.text for notice in notices] == [
        "on demand: the output is no virtual webcam, so the camera stays on"
    ]
    sink = NullSink()
    sink.device = "OBS Virtual Camera"
    assert on_demand(source, lambda: source, sink, notices.append) is source
    assert "cannot tell who reads it here" in notices[-1].text


def test_changes_are_told() -> None:
    clock, notices = FakeClock(100.0), list[Notice]()
    sink = NullSink()
    sink.device = "/dev/video9"
    watch = Watch(clock, lambda seconds: False)
    source = on_demand(Camera(clock), lambda: Camera(clock), sink, notices.append, lambda _: watch)
    next(iter(source))
    assert [notice.text for notice in notices] == ["nobody looks: the camera is off"]
    source.close()


def test_a_run_goes_idle_wakes_and_reports_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from rvm.api import Look, run_stages
    from rvm.live_control import LiveWishes
    from rvm.pipeline import Limits
    from rvm.sources.paced import PacedSource

    monkeypatch.setattr("rvm.sources.on_demand.LOOK_SECONDS", 0.05)
    sink = NullSink()
    watch = Watch(FakeClock(100.0), lambda seconds: sink.frames_written > 0)

    def open_camera() -> Source:
        return PacedSource(SyntheticSource(5, width=64, height=48, fps=100))

    source = OnDemandSource(open_camera(), open_camera, watch)
    report = run_stages(
        lambda: source, lambda info: sink, Look("blur", model="fake"), Limits(), None, None, None,
        LiveWishes(),
    )  # fmt: skip
    assert report.idle_seconds is not None
    assert report.frames_in == 6  # the plain picture, then the camera's five
    assert report.frames_out + report.dropped == 6
    assert watch.closed
