"""The governor on a simulated machine: costs are modelled, no clock is involved."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest

from rvm.governor import Change, Governor, Level, frame_budget_ms, ladder

LEVELS = ladder((1.0, 0.85, 0.7))
BUDGET_MS = 16.0


class Machine:
    """Frame times of a machine: a part that always costs, and the network's.

    Args:
        rest_ms: grabbing the luma, refining, compositing.
        network_ms: the network at its best size.
        jitter: relative spread of each frame time; one frame in fifty takes three times as long.
    """

    def __init__(self, rest_ms: float, network_ms: float, jitter: float = 0.0) -> None:
        self.rest_ms = rest_ms
        self.network_ms = network_ms
        self.slowness = 1.0
        self._jitter = jitter
        self._random = random.Random(7)
        self.changes: list[Change] = []
        self.governor = Governor(LEVELS, self.changes.append)
        self._since = itertools.count()

    def run(self, frames: int) -> list[float]:
        """Frame times of the next frames, each recorded."""
        return [self._frame() for _ in range(frames)]

    def _frame(self) -> float:
        level = self.governor.level
        network = next(self._since) % level.network_every == 0
        time_ms = self.rest_ms + (self.network_ms * level.scale**2 if network else 2.0)
        time_ms *= self.slowness * (1 + self._jitter * self._random.uniform(-1, 1))
        if self._jitter and self._random.random() < 0.02:
            time_ms *= 3
        self.governor.record(time_ms / BUDGET_MS, network=network)
        return time_ms


def test_the_ladder_gives_up_size_first_then_frames_of_the_network() -> None:
    expected = (Level(1, 1), Level(0.85, 1), Level(0.7, 1), Level(0.7, 2), Level(0.7, 3))
    assert expected == LEVELS
    costs = [level.cost for level in LEVELS]
    assert costs == sorted(costs, reverse=True)
    assert ladder((1.0,), may_reuse=False) == (Level(),)
    assert [str(level) for level in LEVELS[1:]] == [
        "85 % network size",
        "70 % network size",
        "70 % network size on every other frame",
        "70 % network size on one frame of three",
    ]


def test_the_budget_is_the_target_or_most_of_a_frame_interval() -> None:
    assert frame_budget_ms(None, Fraction(60)) == 16.0
    assert frame_budget_ms(None, Fraction(30)) == pytest.approx(26.667, abs=1e-3)
    assert frame_budget_ms(None, None) == 16.0
    assert frame_budget_ms(8.0, Fraction(30)) == 8.0


def test_a_machine_with_room_keeps_the_best_quality() -> None:
    machine = Machine(4, 9, jitter=0.15)
    machine.run(3000)
    assert machine.changes == []
    assert machine.governor.histogram() == {"100 % network size": 3000}


@pytest.mark.parametrize(
    ("network_ms", "expected"),
    [(14.0, Level(0.85, 1)), (18.0, Level(0.7, 1)), (30.0, Level(0.7, 2)), (45.0, Level(0.7, 3))],
)
def test_it_settles_on_the_best_level_that_holds_the_target(
    network_ms: float, expected: Level
) -> None:
    machine = Machine(5, network_ms, jitter=0.05)
    machine.run(2000)
    late = machine.run(1000)
    assert machine.governor.level == expected
    assert sum(late) / len(late) <= BUDGET_MS


def test_it_reacts_within_a_dozen_frames_and_at_once_if_far_over() -> None:
    machine = Machine(4, 9)
    machine.run(200)
    machine.slowness = 1.4
    machine.run(12)
    assert machine.governor.level == LEVELS[1]
    assert machine.changes[0].load == pytest.approx(1.4 * 13 / 16)
    far_over = Machine(10, 40)
    far_over.run(6)
    assert far_over.governor.level == LEVELS[1]


def test_nothing_helps_and_it_stays_at_the_bottom() -> None:
    machine = Machine(40, 40)
    machine.run(2000)
    assert machine.governor.level == LEVELS[-1]
    assert machine.governor.changes == len(LEVELS) - 1


def test_it_comes_back_up_slowly_when_the_load_has_gone() -> None:
    machine = Machine(4, 9)
    machine.slowness = 3.0
    machine.run(300)
    assert machine.governor.level == LEVELS[-1]
    machine.slowness = 1.0
    machine.run(55)
    assert machine.governor.level == LEVELS[-1]  # not yet
    machine.run(1200)
    assert machine.governor.level == LEVELS[0]
    ups = [change for change in machine.changes if not change.is_down]
    assert len(ups) == len(LEVELS) - 1
    assert all(b.index - a.index >= 60 for a, b in itertools.pairwise(ups))


def test_it_does_not_swing_when_the_better_level_just_does_not_fit() -> None:
    # 0.85 fits with 15.4 ms, the best size needs 17.9: near enough to tempt.
    machine = Machine(5, 12.9, jitter=0.1)
    machine.run(30_000)
    assert machine.governor.changes <= 12


def test_a_load_that_comes_and_goes_is_not_followed_ever_faster() -> None:
    machine = Machine(4, 9, jitter=0.1)
    for _ in range(40):
        machine.slowness = 1.6
        machine.run(120)
        machine.slowness = 1.0
        machine.run(120)
    first, second = (
        sum(1 for change in machine.changes if low <= change.index < low + 4800)
        for low in (0, 4800)
    )
    assert second <= first
    assert machine.governor.changes <= 40


def test_single_slow_frames_change_nothing() -> None:
    governor = Governor(LEVELS)
    for index in range(2000):
        governor.record(3.0 if index % 6 == 0 else 0.7)
    assert governor.changes == 0


def test_spared_frames_say_nothing_about_the_cost() -> None:
    changes: list[Change] = []
    governor = Governor(LEVELS, changes.append)
    for _ in range(20):
        governor.record(1.5)
    down = len(changes)
    for _ in range(500):
        governor.record(0.1, typical=False)
    assert len(changes) == down >= 1
    assert sum(governor.histogram().values()) == 520


def test_frames_that_reuse_a_matte_count_together_with_those_that_do_not() -> None:
    # 22 ms and 6 ms in turn: 14 on average holds a target of 16 without a drop.
    machine = Machine(4, 36.7)
    machine.run(500)
    assert machine.governor.level == Level(0.7, 2)
