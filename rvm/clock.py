"""Deadline pacing on a monotonic clock.

A deadline is computed from the start, never from the previous wake-up, so that small delays do
not add up to drift. The clock can be replaced, so that no test has to wait.
"""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """A clock one can wait on."""

    def now(self) -> float:
        """Monotonic time in seconds."""

    def sleep_until(self, deadline_seconds: float) -> None:
        """Return when `now()` has reached the deadline, at once if it already has."""


class MonotonicClock:
    """The real clock; `interrupt` wakes whoever sleeps, for good."""

    def __init__(self) -> None:
        self._interrupted = threading.Event()

    def now(self) -> float:
        """`time.monotonic()`."""
        return time.monotonic()

    def sleep_until(self, deadline_seconds: float) -> None:
        """Sleep to the deadline, or until interrupted."""
        remaining = deadline_seconds - self.now()
        if remaining > 0:
            self._interrupted.wait(remaining)

    def interrupt(self) -> None:
        """Make every present and future sleep return at once."""
        self._interrupted.set()


class FakeClock:
    """A clock that jumps to each deadline; for tests and simulations."""

    def __init__(self, start_seconds: float = 0.0) -> None:
        self._now = start_seconds

    def now(self) -> float:
        """The pretended time in seconds."""
        return self._now

    def sleep_until(self, deadline_seconds: float) -> None:
        """Jump there."""
        self._now = max(self._now, deadline_seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds


class Pacer:
    """Releases moments at their due time and counts how many came late.

    The first moment defines the start. A late moment is released at once and does not shift the
    later ones; after a gap of more than `restart_after_seconds` (a suspended laptop, a stalled
    camera) the schedule starts anew instead of rushing to catch up.
    """

    def __init__(self, clock: Clock, restart_after_seconds: float = 1.0) -> None:
        self._clock = clock
        self._restart_after_seconds = restart_after_seconds
        self._origin_seconds: float | None = None
        self.late = 0
        self.restarts = 0

    def wait_for(self, moment_seconds: float) -> None:
        """Return when the stream time `moment_seconds` is due."""
        now = self._clock.now()
        if self._origin_seconds is None:
            self._origin_seconds = now - moment_seconds
        behind = now - (self._origin_seconds + moment_seconds)
        if behind > self._restart_after_seconds:
            self._origin_seconds = now - moment_seconds
            self.restarts += 1
        elif behind > 0:
            self.late += 1
        self._clock.sleep_until(self._origin_seconds + moment_seconds)
