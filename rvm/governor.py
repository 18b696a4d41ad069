"""Holds the time of a live frame by giving up quality in steps, before any frame is dropped.

The steps go down from the network's own picture size to smaller ones, then the network runs on
every other frame and on one of three, and the frames between reuse the last matte (moved along with
the picture). One step down needs a handful of frames over the budget; one step up needs many
frames that leave room for what the better step costs, and after a step up that did not hold,
twice as many as before. So it reacts within a fraction of a second, and does not swing.

The budget is the time matting and compositing of one frame may take. `--target-ms` sets it;
otherwise it is 16 ms, or four fifths of the time between two frames of the source where that is
longer: a 30 Hz camera leaves 27 ms, and spending them on quality costs no frame. The rest is for
grabbing and for the jitter of a busy machine.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from fractions import Fraction

DEFAULT_TARGET_MS = 16.0
_SHARE_OF_INTERVAL = 0.8

#: Cycles of a step that are looked at before going down; fewer if they are far over the budget.
_DOWN_CYCLES = 8
#: Over so many, not even one in four may be over the budget.
_SUSTAINED_CYCLES = 24
_ALARM_CYCLES = 3
_ALARM_LOAD = 1.6
#: Cycles with room before going up, and the most that failures can make of them.
_UP_CYCLES = 60
_MOST_UP_CYCLES = 1920
#: What the better step may be expected to fill of the budget.
_ROOM = 0.9
#: Part of a frame's cost that is taken to grow with the network's, as long as it was not measured.
_NETWORK_SHARE = 0.7
#: The first frames of a step pay for new buffers and are not looked at.
_SETTLE_FRAMES = 3


@dataclass(frozen=True, slots=True)
class Level:
    """One step of quality.

    Attributes:
        scale: side of the network's picture over its own best size, 0..1.
        network_every: the network runs on one of so many frames.
    """

    scale: float = 1.0
    network_every: int = 1

    @property
    def cost(self) -> float:
        """Expected cost of the network against the best step; 1 there."""
        return self.scale**2 / self.network_every

    def __str__(self) -> str:
        size = f"{round(100 * self.scale)} % network size"
        often = {1: "", 2: " on every other frame", 3: " on one frame of three"}
        return size + often.get(self.network_every, f" on one frame of {self.network_every}")


def ladder(scales: Sequence[float], may_reuse: bool = True) -> tuple[Level, ...]:
    """The steps of quality, best first.

    Args:
        scales: sizes the network can take, 1.0 first, falling.
        may_reuse: whether frames can go without the network.
    """
    sizes = [Level(scale) for scale in scales]
    reuse = [Level(scales[-1], every) for every in (2, 3)] if may_reuse else []
    return (*sizes, *reuse)


def frame_budget_ms(target_ms: float | None, frame_rate: Fraction | None) -> float:
    """Milliseconds for matting and compositing of one frame; see above."""
    if target_ms is not None:
        return target_ms
    interval_ms = 0.0 if not frame_rate else 1000 / float(frame_rate)
    return max(DEFAULT_TARGET_MS, _SHARE_OF_INTERVAL * interval_ms)


@dataclass(frozen=True, slots=True)
class Change:
    """The governor changed its step.

    Attributes:
        before, after: the steps.
        load: what led to it: time of a frame over the budget, or processor use over its budget.
        index: number of the frame after which it happened, counted by the governor.
    """

    before: Level
    after: Level
    load: float
    index: int

    @property
    def is_down(self) -> bool:
        """Less quality than before."""
        return self.after.cost < self.before.cost


class Governor:
    """Chooses the step for the next frame from how the last ones went.

    Load is cost over budget: 1 fills it. It knows no clock, only frames.

    Args:
        levels: the steps, best first.
        on_change: told of every change.
    """

    def __init__(
        self, levels: Sequence[Level], on_change: Callable[[Change], None] = lambda change: None
    ) -> None:
        self._levels = tuple(levels)
        self._on_change = on_change
        self._at = 0
        self._frames = [0] * len(self._levels)
        self._cycle: list[float] = []
        #: Of the frames that went through the network, and of those that did not.
        self._network_loads: deque[float] = deque(maxlen=_UP_CYCLES)
        self._other_loads: deque[float] = deque(maxlen=_UP_CYCLES)
        self._loads: deque[float] = deque(maxlen=_UP_CYCLES)
        self._cycles = 0
        self._settling = _SETTLE_FRAMES
        #: Measured cost of step i over that of step i + 1, once both were seen.
        self._ratios: dict[int, float] = {}
        self._load_above: float | None = None
        self._patience = _UP_CYCLES
        self._on_trial = False
        self.changes = 0

    @property
    def level(self) -> Level:
        """The step for the next frame."""
        return self._levels[self._at]

    def histogram(self) -> dict[str, int]:
        """Frames that were made at each step that was used."""
        pairs = zip(self._levels, self._frames, strict=True)
        return {str(level): count for level, count in pairs if count}

    def record(self, load: float, *, network: bool = True, typical: bool = True) -> None:
        """Tell how the last frame went, and choose the step for the next one.

        Args:
            load: its cost over the budget.
            network: whether it went through the network.
            typical: False for a frame that was spared because nothing moved: it says nothing
                about what a step costs.
        """
        self._frames[self._at] += 1
        if not typical:
            return
        if self._settling:
            self._settling -= 1
            return
        (self._network_loads if network else self._other_loads).append(load)
        self._cycle.append(load)
        if len(self._cycle) < self.level.network_every:
            return
        self._loads.append(sum(self._cycle) / len(self._cycle))
        self._cycle.clear()
        self._cycles += 1
        self._decide()

    def _decide(self) -> None:
        over = self._overload()
        if over is not None and self._at + 1 < len(self._levels):
            self._load_above = over
            if self._on_trial:
                self._patience = min(2 * self._patience, _MOST_UP_CYCLES)
            self._move(self._at + 1, over)
            return
        self._learn_ratio()
        if self._on_trial and self._cycles >= 2 * _UP_CYCLES:
            self._on_trial, self._patience = False, _UP_CYCLES  # the step up held
        if self._at and self._cycles >= self._patience and self._expected_above() < _ROOM:
            self._load_above = None
            self._move(self._at - 1, _high(self._loads))
            self._on_trial = True

    def _overload(self) -> float | None:
        """The load if it is too high, else None. Single slow frames are no reason."""
        loads = list(self._loads)
        alarm, recent, longer = (
            loads[-count:] for count in (_ALARM_CYCLES, _DOWN_CYCLES, _SUSTAINED_CYCLES)
        )
        if len(alarm) == _ALARM_CYCLES and min(alarm) > _ALARM_LOAD:
            return median(alarm)
        if len(recent) == _DOWN_CYCLES and median(recent) > 1:
            return median(recent)
        if len(longer) == _SUSTAINED_CYCLES and _high(longer) > 1:
            return _high(longer)
        return None

    def _learn_ratio(self) -> None:
        if self._load_above is not None and self._cycles == _DOWN_CYCLES:
            here = max(median(self._loads), 1e-6)
            self._ratios[self._at - 1] = max(self._load_above / here, 1.0)
            self._load_above = None

    def _expected_above(self) -> float:
        """The load to expect at the next better step."""
        above = self._levels[self._at - 1]
        if self.level.network_every > 1 and self._network_loads and self._other_loads:
            others = (above.network_every - 1) * _high(self._other_loads)
            return (_high(self._network_loads) + others) / above.network_every
        expected = 1 + _NETWORK_SHARE * (above.cost / self.level.cost - 1)
        return _high(self._loads) * min(self._ratios.get(self._at - 1, expected), expected)

    def _move(self, to: int, load: float) -> None:
        before = self.level
        self._at = to
        self._on_trial = False
        for seen in (self._loads, self._network_loads, self._other_loads, self._cycle):
            seen.clear()
        self._cycles = 0
        self._settling = _SETTLE_FRAMES
        self.changes += 1
        self._on_change(Change(before, self.level, load, sum(self._frames)))


def _high(loads: Sequence[float] | deque[float]) -> float:
    """The value that three quarters of the loads stay below."""
    ordered = sorted(loads)
    return ordered[math.ceil(0.75 * len(ordered)) - 1]
