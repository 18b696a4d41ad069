"""Memory of a run does not grow with its length."""

from __future__ import annotations

import tracemalloc

import pytest

from rvm.bench.clips import MemorySource
from rvm.compositing import make_compositor
from rvm.frame import Composite
from rvm.matting.matter import Matter
from rvm.pipeline import Pipeline
from rvm.sinks.null import NullSink
from rvm.sources.synthetic import SyntheticSource

WARM_UP, FRAMES = 100, 500
#: New bins of the histograms, and frames that happen to be under way.
SLACK_BYTES = 400_000


class Weighing(NullSink):
    """Notes what is allocated when it has had so many frames."""

    def __init__(self) -> None:
        self.allocated: dict[int, int] = {}

    def write(self, composite: Composite) -> None:
        super().write(composite)
        if self.frames_written in (WARM_UP, FRAMES):
            self.allocated[self.frames_written] = tracemalloc.get_traced_memory()[0]


@pytest.mark.parametrize("background", ["#00b140", "blur"])
def test_nothing_is_kept_from_frame_to_frame(background: str) -> None:
    frames = [SyntheticSource(9, width=160, height=90, person=True).frame(i) for i in range(9)]
    sink = Weighing()
    tracemalloc.start()
    try:
        compositor = make_compositor(background)
        Pipeline(MemorySource(frames, FRAMES), Matter("fake"), compositor, sink).run()
    finally:
        tracemalloc.stop()
    # 400 frames of 22 kB each, and as much again for mattes and results, would be 20 MB.
    assert sink.allocated[FRAMES] - sink.allocated[WARM_UP] < SLACK_BYTES
