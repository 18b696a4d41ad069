"""The collector during a run: kept out of the way, and left as it was."""

from __future__ import annotations

import gc
import weakref

import pytest

from rvm.quiet_gc import COLLECT_EVERY_FRAMES, WARM_UP_FRAMES, QuietGc


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.me = self


def test_garbage_waits_for_a_gap_between_frames() -> None:
    with QuietGc() as quiet:
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
        for _ in range(WARM_UP_FRAMES):
            quiet.frame_done()
        ring = weakref.ref(Ring())
        for _ in range(COLLECT_EVERY_FRAMES - WARM_UP_FRAMES - 1):
            quiet.frame_done()
        assert ring() is not None
        quiet.frame_done()
        assert ring() is None
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("enabled", [True, False])
def test_an_error_leaves_the_collector_as_it_was(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(ValueError, match="bad frame"), QuietGc():
            raise ValueError("bad frame")
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_offline_it_runs_but_leaves_out_what_was_there() -> None:
    with QuietGc(live=False) as quiet:
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
        ring = weakref.ref(Ring())
        gc.collect()
        assert ring() is None
        quiet.frame_done()
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
