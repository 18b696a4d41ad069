"""Quality and processor share of a live run, on clocks that only tests move."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import pytest

from rvm.clock import FakeClock
from rvm.live_control import CpuAllowance, LiveControl, LiveWishes
from rvm.matting.thrift import ThriftyMatter
from rvm.telemetry import Notice


class Matter:
    """Stands in for `ThriftyMatter`: costs what the level says, on two clocks."""

    scales = (1.0, 0.85, 0.7)
    can_move = True

    def __init__(self, clock: FakeClock, network_ms: float, rest_ms: float, cores: int) -> None:
        self.clock = clock
        self.network_ms, self.rest_ms, self.cores = network_ms, rest_ms, cores
        self.cpu_seconds = 0.0
        self.level = (1.0, 1)
        self.last_step = "network"
        self.steps = {"network": 0, "moved": 0, "still": 0}

    def set_level(self, scale: float, network_every: int) -> None:
        self.level = (scale, network_every)

    def step(self, index: int) -> float:
        """Matte one frame on all cores; its milliseconds."""
        scale, every = self.level
        self.last_step = "network" if index % every == 0 else "moved"
        network_ms = self.network_ms * scale**2 if self.last_step == "network" else 1.0
        elapsed_ms = self.rest_ms + network_ms
        self.clock.advance(elapsed_ms / 1e3)
        self.cpu_seconds += self.cores * elapsed_ms / 1e3
        self.steps[self.last_step] += 1
        return elapsed_ms


class Run:
    """A source of 30 frames a second that waits for nobody; the newest frame wins."""

    def __init__(self, matter: Matter, wishes: LiveWishes) -> None:
        self.matter = matter
        self.clock = matter.clock
        self.notices: list[Notice] = []
        self.control = LiveControl(
            cast("ThriftyMatter", matter), wishes, Fraction(30), matter.cores,
            self.notices.append, clock=self.clock, cpu_seconds=lambda: matter.cpu_seconds,
        )  # fmt: skip

    def take(self, seconds: float) -> tuple[int, float]:
        """(frames done, share of all cores used) within so much time."""
        start, used, frames = self.clock.now(), self.matter.cpu_seconds, 0
        while self.clock.now() - start < seconds:
            self.clock.sleep_until((int(self.clock.now() * 30 + 1e-6) + 1) / 30)
            self.control.frame_done(self.matter.step(frames))
            frames += 1
        return frames, (self.matter.cpu_seconds - used) / (
            self.matter.cores * (self.clock.now() - start)
        )


def test_room_enough_changes_nothing() -> None:
    run = Run(Matter(FakeClock(), 12, 6, 2), LiveWishes())
    frames, _ = run.take(30)
    assert frames == pytest.approx(900, abs=2)
    assert run.notices == []
    assert run.control.changes == 0
    assert run.control.levels() == {"100 % network size": frames}


def test_each_change_is_told_and_reaches_the_matter() -> None:
    run = Run(Matter(FakeClock(), 30, 6, 2), LiveWishes())
    frames, _ = run.take(30)
    assert frames == pytest.approx(900, abs=20)
    assert run.matter.level == (0.7, 1)
    assert [notice.kind for notice in run.notices] == ["quality", "quality"]
    assert run.notices[0].text == (
        "quality down to 85 % network size: a frame takes 135% of its budget (26.7 ms)"
    )
    assert run.control.changes == 2
    assert sum(run.control.levels().values()) == frames
    assert run.control.mattes()["network"] == frames


def test_the_target_is_what_was_asked() -> None:
    run = Run(Matter(FakeClock(), 12, 6, 2), LiveWishes(target_ms=12.0))
    run.take(10)
    assert run.matter.level == (0.7, 1)


def test_the_processor_share_lowers_quality_first() -> None:
    # 18 ms on both cores 30 times a second is 54 %; at 0.85 it is 44 %.
    run = Run(Matter(FakeClock(), 12, 6, 2), LiveWishes(max_cpu=45))
    run.take(10)
    frames, share = run.take(30)
    assert run.matter.level == (0.85, 1)
    assert frames == pytest.approx(900, abs=2)
    assert share <= 0.45


@pytest.mark.parametrize("percent", [5, 10, 20])
def test_then_the_frame_rate_and_the_share_is_kept(percent: float) -> None:
    run = Run(Matter(FakeClock(), 24, 6, 2), LiveWishes(max_cpu=percent))
    run.take(10)
    frames, share = run.take(60)
    assert run.matter.level == (0.7, 3)
    assert share == pytest.approx(percent / 100, rel=0.05)
    assert 0 < frames < 1750


def test_without_a_governor_only_the_frame_rate_gives_way() -> None:
    run = Run(Matter(FakeClock(), 12, 6, 2), LiveWishes(governor=False, max_cpu=27))
    run.take(5)
    frames, share = run.take(60)
    assert run.matter.level == (1.0, 1)
    assert share == pytest.approx(0.27, rel=0.05)
    assert frames == pytest.approx(900, rel=0.05)
    assert run.control.levels() == {}
    assert run.control.changes == 0


def test_what_was_not_used_cannot_be_saved_up_for_long() -> None:
    clock, used = FakeClock(), [0.0]
    allowance = CpuAllowance(50, 2, clock, lambda: used[0])
    clock.advance(3600)
    assert allowance.load(1 / 30) == 0
    used[0] += 2.0  # with half a second saved up, 1.5 s are owed
    assert allowance.load(1 / 30) == pytest.approx(60)
    before = clock.now()
    allowance.pause()
    assert clock.now() - before == pytest.approx(0.5)  # never longer at a time
