"""The pipeline alone: order, counts, ends and failures, with stages made for the purpose."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from rvm import pipeline
from rvm.compositing.base import Compositor
from rvm.errors import DeviceError, InputError, LostFramesError, ModelError, OutputError
from rvm.frame import RGB24, SRGB, Composite, Frame, Matte
from rvm.matting.base import EngineInfo
from rvm.pipeline import STAGES, Limits, Pipeline, StopSignal
from rvm.sinks.base import Sink
from rvm.sources.base import Source, SourceInfo
from rvm.telemetry import Progress, Report

if TYPE_CHECKING:
    from rvm.matting.matter import Matter

Hook = Callable[[int], None]


def nothing(_: int) -> None:
    """A hook that does nothing."""


class Numbers(Source):
    """`count` 2x2 frames; `hook` runs before each one and may raise or wait."""

    def __init__(self, count: int, hook: Hook = nothing, *, live: bool = False) -> None:
        self.info = SourceInfo("numbers", 2, 2, RGB24, SRGB, Fraction(1, 30), live=live)
        self.count = count
        self.hook = hook
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        planes = (np.zeros((2, 2, 3), np.uint8),)
        for index in range(self.count):
            self.hook(index)
            captured = time.monotonic() if self.info.live else 0.0
            yield Frame(planes, RGB24, 2, 2, pts=index, index=index, captured_at_seconds=captured)

    def close(self) -> None:
        self.closed.set()


class Mattes:
    """Stands in for `Matter`."""

    info = EngineInfo("none", "test", "cpu", "none", "fp32", "a test")
    resets = 0

    def __init__(self, hook: Hook = nothing) -> None:
        self.hook = hook
        self.closed = False

    def upload(self, frame: Frame) -> Frame:
        return frame

    def download(self, composite: Composite) -> Composite:
        return composite

    def step(self, frame: Frame) -> Matte:
        self.hook(frame.index)
        return Matte(np.zeros((2, 2), np.uint8))

    def close(self) -> None:
        self.closed = True


class Same(Compositor):
    """The picture is the source."""

    def __init__(self, hook: Hook = nothing) -> None:
        self.hook = hook
        self.closed = False

    def compose(self, frame: Frame, matte: Matte) -> Composite:
        self.hook(frame.index)
        return Composite(frame, matte, frame)

    def close(self) -> None:
        self.closed = True


class Notes(Sink):
    """Writes down the index of every frame."""

    def __init__(self, hook: Hook = nothing) -> None:
        self.indices: list[int] = []
        self.hook = hook
        self.ends: list[str] = []

    def write(self, composite: Composite) -> None:
        self.hook(composite.picture.index)
        self.indices.append(composite.picture.index)
        self.frames_written += 1

    def close(self) -> None:
        self.ends.append("close")

    def abort(self) -> None:
        self.ends.append("abort")


def run(
    source: Source,
    sink: Sink,
    matter: Mattes | None = None,
    compositor: Same | None = None,
    **options: Any,
) -> Report:
    matter, compositor = matter or Mattes(), compositor or Same()
    try:
        return Pipeline(source, cast("Matter", matter), compositor, sink, **options).run()
    finally:
        assert matter.closed
        assert compositor.closed
        names = {thread.name for thread in threading.enumerate()}
        assert not names & {"rvm-grab", "rvm-compose", "rvm-write"}


def raising_at(number: int, error: BaseException) -> Hook:
    def hook(index: int) -> None:
        if index == number:
            raise error

    return hook


def test_offline_every_frame_arrives_in_order() -> None:
    sink = Notes()
    report = run(Numbers(300), sink)
    assert sink.indices == list(range(300))
    assert sink.ends == ["close"]
    assert (report.frames_in, report.frames_out, report.dropped) == (300, 300, 0)
    assert set(report.stages) == set(STAGES)
    assert report.age_ms is None


def test_offline_a_slow_sink_makes_the_source_wait() -> None:
    ahead: list[int] = []
    sink = Notes()
    sink.hook = lambda index: time.sleep(0.002)
    source = Numbers(60, lambda index: ahead.append(index - len(sink.indices)))
    report = run(source, sink)
    assert report.frames_out == 60
    waiting = 2 * pipeline._OFFLINE_FRAMES_WAITING + pipeline._OFFLINE_MATTES_WAITING
    assert max(ahead) <= waiting + len(("grab", "matte", "compose", "write"))  # one in each hand


def test_live_the_newest_wins_and_every_drop_is_counted() -> None:
    taken = threading.Semaphore(0)

    def grab(index: int) -> None:
        if index in (5, 9, 14):
            assert taken.acquire(timeout=5.0)

    def matte(index: int) -> None:
        taken.release()

    sink = Notes()
    report = run(Numbers(30, grab, live=True), sink, Mattes(matte))
    assert report.frames_in == 30
    assert report.frames_out == len(sink.indices)
    assert report.frames_in == report.frames_out + report.dropped
    assert sink.indices == sorted(set(sink.indices))
    assert sink.indices[-1] == 29
    assert report.age_ms is not None
    assert report.latency_ms is not None


def test_an_input_that_breaks_midway_keeps_what_came_before() -> None:
    sink = Notes()
    source = Numbers(50, raising_at(20, InputError("numbers: broken at 20")))
    with pytest.raises(LostFramesError, match="broken at 20; the 20 frames before") as caught:
        run(source, sink)
    assert caught.value.report is not None
    assert caught.value.report.frames_out == 20
    assert sink.indices == list(range(20))
    assert sink.ends == ["close"]


def test_an_input_without_a_single_frame_leaves_nothing() -> None:
    sink = Notes()
    with pytest.raises(InputError, match="empty"):
        run(Numbers(5, raising_at(0, InputError("empty"))), sink)
    assert sink.ends == ["abort"]


@pytest.mark.parametrize("error", [ModelError("nan"), DeviceError("no memory"), ValueError("bug")])
def test_a_failing_engine_leaves_the_partial_name(error: Exception) -> None:
    sink = Notes()
    with pytest.raises(type(error)):
        run(Numbers(50), sink, Mattes(raising_at(10, error)))
    assert sink.ends == ["abort"]
    assert sink.indices == list(range(len(sink.indices)))


def test_a_failing_compositor_leaves_the_partial_name() -> None:
    sink = Notes()
    with pytest.raises(ValueError, match="bug"):
        run(Numbers(100_000), sink, compositor=Same(raising_at(10, ValueError("bug"))))
    assert sink.ends == ["abort"]


def test_a_background_that_breaks_midway_keeps_what_came_before() -> None:
    sink = Notes()
    broken = Same(raising_at(10, InputError("background: broken")))
    with pytest.raises(LostFramesError, match="background: broken; the 10 frames before"):
        run(Numbers(100_000), sink, compositor=broken)
    assert sink.indices == list(range(10))
    assert sink.ends == ["close"]


def test_the_next_frame_is_matted_while_one_is_composed() -> None:
    matted = [threading.Event() for _ in range(5)]

    def compose(index: int) -> None:
        if index < 4:
            assert matted[index + 1].wait(10.0)

    run(Numbers(5), Notes(), Mattes(lambda index: matted[index].set()), Same(compose))


def test_a_full_disk_stops_the_source_and_is_reported() -> None:
    source = Numbers(100_000)
    sink = Notes(raising_at(7, OutputError("no space left")))
    with pytest.raises(OutputError, match="no space"):
        run(source, sink)
    assert sink.ends == ["abort"]
    assert source.closed.is_set()


def test_a_disk_that_fills_at_the_very_end_is_reported() -> None:
    class Full(Notes):
        def close(self) -> None:
            raise OutputError("no space left")

    with pytest.raises(OutputError, match="no space"):
        run(Numbers(3), Full())


def test_stop_drains_and_finalises() -> None:
    stop = StopSignal()
    sink = Notes(lambda index: stop.request() if index == 10 else None)
    report = run(Numbers(100_000), sink, stop=stop)
    assert report.interrupted
    assert report.frames_in == report.frames_out == len(sink.indices)
    assert sink.ends == ["close"]


def test_abort_leaves_the_partial_name() -> None:
    stop = StopSignal()
    sink = Notes(lambda index: stop.abort() if index == 10 else None)
    run(Numbers(100_000), sink, stop=stop)
    assert sink.ends == ["abort"]


def test_ctrl_c_in_the_callers_thread_keeps_what_was_done() -> None:
    sink = Notes()
    with pytest.raises(KeyboardInterrupt):
        run(Numbers(50), sink, Mattes(raising_at(10, KeyboardInterrupt())))
    assert sink.indices == list(range(10))
    assert sink.ends == ["close"]


def test_live_ends_after_its_time_even_if_the_camera_blocks() -> None:
    source = Numbers(5, live=True)

    def block(index: int) -> None:
        if index == 2:
            assert source.closed.wait(10.0)

    source.hook = block
    report = run(source, Notes(), limits=Limits(seconds=0.05))
    assert report.frames_out >= 1
    assert report.frames_in == report.frames_out + report.dropped


def test_damaged_frames_are_an_error_unless_allowed() -> None:
    def damaged() -> Numbers:
        source = Numbers(10)
        source.damaged = 2
        return source

    with pytest.raises(LostFramesError, match=r"2 damaged frames.*--max-loss 2"):
        run(damaged(), Notes())
    assert run(damaged(), Notes(), limits=Limits(max_loss=2)).damaged == 2


def test_concealed_frames_are_damaged_ones_and_noted_once() -> None:
    def concealed() -> Numbers:
        source = Numbers(10)
        source.damaged, source.concealed = 3, 1
        return source

    words = r"3 damaged frames \(2 skipped, 1 concealed by the decoder, 10 written\).*--max-loss 3"
    with pytest.raises(LostFramesError, match=words):
        run(concealed(), Notes())
    report = run(concealed(), Notes(), limits=Limits(max_loss=3))
    assert (report.damaged, report.concealed) == (3, 1)
    assert len([note for note in report.notes if "1 frame; the picture can stay" in note]) == 1


def test_progress_is_told() -> None:
    seen: list[Progress] = []
    sink = Notes(lambda index: time.sleep(0.02))
    run(Numbers(40), sink, on_progress=seen.append)
    assert seen
    assert seen[-1].frames_done <= 40
    assert seen[-1].stages["matting"] >= 0
