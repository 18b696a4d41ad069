"""Between a live pipeline and the machine: quality that follows the load, and a limit on its use.

After each frame `LiveControl` tells the governor how it went, hands its choice to the matter, and
pauses where the user's share of the processor is used up. Quality goes first; only what that does
not bring is brought by pauses, during which the newest frame wins as always.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rvm.clock import Clock, MonotonicClock
from rvm.governor import Change, Governor, frame_budget_ms, ladder
from rvm.telemetry import Notice

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from rvm.matting.thrift import ThriftyMatter

_DEFAULT_INTERVAL_SECONDS = 1 / 30
#: Processor time that may be spent ahead or made up for, in seconds of the allowed share.
_BURST_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class LiveWishes:
    """What the user asked of a live run.

    Attributes:
        governor: give up quality before frames; do less while nothing moves.
        target_ms: time for matting and compositing of a frame; None goes by the source.
        max_cpu: percent of the cores this process may use; None for no limit.
        on_demand: the camera is on only while somebody looks.
    """

    governor: bool = True
    target_ms: float | None = None
    max_cpu: float | None = None
    on_demand: bool = False


class CpuAllowance:
    """Keeps the processor time of this process under a share of the machine's.

    Args:
        percent: of all `cores` together.
        cores: how many cores count.
        clock, cpu_seconds: wall and processor time; replaced in tests.
    """

    def __init__(
        self,
        percent: float,
        cores: int,
        clock: Clock,
        cpu_seconds: Callable[[], float] = time.process_time,
    ) -> None:
        self._rate = cores * percent / 100
        self._clock = clock
        self._cpu_seconds = cpu_seconds
        self._at = clock.now()
        self._used = cpu_seconds()
        self._credit_seconds = 0.0

    def load(self, interval_seconds: float) -> float:
        """Processor time since the last call over what one frame's interval allows.

        Call it once a frame.
        """
        now, used = self._clock.now(), self._cpu_seconds()
        spent, earned = used - self._used, (now - self._at) * self._rate
        self._at, self._used = now, used
        most = _BURST_SECONDS * self._rate
        self._credit_seconds = min(self._credit_seconds + earned - spent, most)
        return spent / (self._rate * interval_seconds)

    def pause(self) -> None:
        """Wait until what was spent has been earned, up to half a second."""
        if self._credit_seconds < 0:
            wait_seconds = min(-self._credit_seconds / self._rate, _LONGEST_PAUSE_SECONDS)
            self._clock.sleep_until(self._clock.now() + wait_seconds)


class LiveControl:
    """Steers one live run.

    Args:
        matter: what it steers.
        wishes: what was asked.
        frame_rate: of the source, or None.
        cores: cores this process may use.
        on_notice: told of every change of quality.
        clock, cpu_seconds: replaced in tests.
    """

    def __init__(
        self,
        matter: ThriftyMatter,
        wishes: LiveWishes,
        frame_rate: Fraction | None,
        cores: int,
        on_notice: Callable[[Notice], None] = lambda notice: None,
        clock: Clock | None = None,
        cpu_seconds: Callable[[], float] = time.process_time,
    ) -> None:
        self._matter = matter
        self._on_notice = on_notice
        self._budget_ms = frame_budget_ms(wishes.target_ms, frame_rate)
        self._interval_seconds = 1 / float(frame_rate) if frame_rate else _DEFAULT_INTERVAL_SECONDS
        self._governor = (
            Governor(ladder(matter.scales, matter.can_move), self._changed)
            if wishes.governor
            else None
        )
        self._allowance = (
            CpuAllowance(wishes.max_cpu, cores, clock or MonotonicClock(), cpu_seconds)
            if wishes.max_cpu is not None
            else None
        )

    @property
    def changes(self) -> int:
        """Changes of quality so far."""
        return self._governor.changes if self._governor else 0

    def levels(self) -> dict[str, int]:
        """Frames at each level of quality."""
        return self._governor.histogram() if self._governor else {}

    def mattes(self) -> dict[str, int]:
        """How many mattes came about in which way."""
        return {str(step): count for step, count in self._matter.steps.items()}

    def frame_done(self, elapsed_ms: float) -> None:
        """Tell how long matting and compositing of a frame took; may pause, returns soon."""
        load = elapsed_ms / self._budget_ms
        if self._allowance is not None:
            load = max(load, self._allowance.load(self._interval_seconds))
        if self._governor is not None:
            step = self._matter.last_step
            self._governor.record(load, network=step == "network", typical=step != "still")
        if self._allowance is not None:
            self._allowance.pause()

    def _changed(self, change: Change) -> None:
        self._matter.set_level(change.after.scale, change.after.network_every)
        way = "down" if change.is_down else "up"
        self._on_notice(
            Notice(
                "quality",
                f"quality {way} to {change.after}: a frame takes {change.load:.0%} of its budget "
                f"({self._budget_ms:.1f} ms)",
            )
        )
