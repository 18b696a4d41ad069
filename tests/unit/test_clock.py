"""Pacing: no drift, late moments counted, a long gap restarts the schedule."""

from __future__ import annotations

import pytest

from rvm.clock import FakeClock, MonotonicClock, Pacer


def test_moments_are_released_at_their_time_without_drift() -> None:
    clock = FakeClock(100.0)
    pacer = Pacer(clock)
    released = []
    for number in range(8 * 3600 * 30):
        if number % 7 == 0:
            clock.advance(0.004)  # work between frames must not shift the schedule
        pacer.wait_for(number / 30)
        if number % 100_000 == 0:
            released.append((number, clock.now()))
    for number, at in released:
        assert at == pytest.approx(100.004 + number / 30, abs=1e-6)
    assert pacer.late == 0


def test_a_late_moment_is_released_at_once_and_counted() -> None:
    clock = FakeClock()
    pacer = Pacer(clock)
    pacer.wait_for(0.0)
    clock.advance(0.25)
    pacer.wait_for(0.1)
    assert (clock.now(), pacer.late) == (0.25, 1)
    pacer.wait_for(0.3)
    assert clock.now() == pytest.approx(0.3)


def test_a_long_gap_restarts_the_schedule_instead_of_rushing() -> None:
    clock = FakeClock()
    pacer = Pacer(clock, restart_after_seconds=1.0)
    pacer.wait_for(0.0)
    clock.advance(60.0)
    pacer.wait_for(0.1)
    pacer.wait_for(0.2)
    assert clock.now() == pytest.approx(60.1)
    assert (pacer.late, pacer.restarts) == (0, 1)


def test_interrupt_ends_a_sleep() -> None:
    clock = MonotonicClock()
    clock.interrupt()
    clock.sleep_until(clock.now() + 3600.0)
