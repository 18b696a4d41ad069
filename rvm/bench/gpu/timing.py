"""Times of steps on a device: by CUDA's events, and by the wall."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

Step = Callable[[], None]
#: Steps before any is timed: kernels are compiled, graphs captured, memory laid out.
_WARM_UPS = 6


@dataclass(slots=True)
class Samples:
    """Milliseconds of single steps.

    Attributes:
        wall: each step waited for before the next: what one frame takes.
        device: between two events around each step, queued without waiting for it. A step that
            looks at the matte of two frames before keeps the queue that short, so where the device
            is faster than the program this is the program's time.
        queued: mean time of those queued steps by the wall, once for each round.
    """

    wall: list[float] = field(default_factory=list)
    device: list[float] = field(default_factory=list)
    queued: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """p50, p99 and mean, in milliseconds; None where there are no events to time with."""
        return {
            "steps": len(self.wall),
            "wall_ms": quantiles(self.wall),
            "device_ms": quantiles(self.device) if self.device else None,
            "queued_ms": round(sum(self.queued) / len(self.queued), 4),
        }


def quantiles(milliseconds: list[float]) -> dict[str, float]:
    """Of a list that is not empty; p99 of few is the largest."""
    ordered = sorted(milliseconds)
    last = len(ordered) - 1
    return {
        "p50": round(ordered[round(0.5 * last)], 4),
        "p99": round(ordered[-(-99 * last // 100)], 4),
        "mean": round(sum(ordered) / len(ordered), 4),
    }


def timed(
    steps: Mapping[str, Step], device: torch.device, *, rounds: int, count: int, seconds: float
) -> dict[str, Samples]:
    """Time several steps in turns, so that what disturbs the machine disturbs all of them.

    Args:
        steps: what to time, by name.
        device: where they work.
        rounds: how often each has its turn.
        count: steps of a turn at most, waited for and again queued.
        seconds: about how long a turn of one of the two kinds lasts at most.
    """
    found = {name: Samples() for name in steps}
    for step in steps.values():
        for _ in range(min(_WARM_UPS, count)):
            step()
    wait_for(device)
    for _ in range(rounds):
        for name, step in steps.items():
            _turn(step, device, found[name], count, seconds)
    return found


def wait_for(device: torch.device) -> None:
    """Until everything queued on a device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def copy_gigabytes_per_second(device: torch.device, megabytes: int) -> float:
    """How fast a device copies its own memory: bytes read and written, a second, the best of 20."""
    source = torch.zeros(megabytes << 20, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        target.copy_(source)

    samples = timed({"copy": copy}, device, rounds=1, count=20, seconds=2.0)["copy"]
    best_ms = min(samples.device or samples.wall)
    return round(2 * source.numel() / best_ms / 1e6, 1)


def _turn(step: Step, device: torch.device, into: Samples, count: int, seconds: float) -> None:
    done, started = 0, time.perf_counter()
    while done < count and (done == 0 or time.perf_counter() - started < seconds):
        before = time.perf_counter()
        step()
        wait_for(device)
        into.wall.append((time.perf_counter() - before) * 1e3)
        done += 1
    marks = []
    started = time.perf_counter()
    for _ in range(done):
        first = _mark(device)
        step()
        marks.append((first, _mark(device)))
    wait_for(device)
    into.queued.append((time.perf_counter() - started) * 1e3 / done)
    into.device += [first.elapsed_time(last) for first, last in marks if first is not None]


def _mark(device: torch.device) -> Any:
    if device.type != "cuda":
        return None
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event
