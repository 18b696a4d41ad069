"""What a run measured: milliseconds a stage, drops, frame age, memory.

Distributions are kept as histograms with bins 1 % wide, so that memory does not grow with the
length of a run and a percentile is exact to within half a bin.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Percentiles = dict[str, float]

_BIN_RATIO = math.log(1.01)
_SMALLEST_MS = 1e-3


class Histogram:
    """A distribution of milliseconds. Not thread-safe by itself."""

    def __init__(self) -> None:
        self._bins: dict[int, int] = {}
        self.count = 0

    def add(self, milliseconds: float) -> None:
        """Count one value; anything below 1 microsecond counts as that."""
        key = round(math.log(max(milliseconds, _SMALLEST_MS) / _SMALLEST_MS) / _BIN_RATIO)
        self._bins[key] = self._bins.get(key, 0) + 1
        self.count += 1

    def percentile(self, share: float) -> float:
        """The value below which `share` (0..1) of the counts lie; 0.0 if there are none."""
        needed = max(1, math.ceil(share * self.count))
        for key in sorted(self._bins):
            needed -= self._bins[key]
            if needed <= 0:
                return _SMALLEST_MS * math.exp(key * _BIN_RATIO)
        return 0.0

    def summary(self) -> Percentiles:
        """p50, p95 and p99, rounded to a microsecond."""
        return {
            name: round(self.percentile(share), 3)
            for name, share in (("p50", 0.50), ("p95", 0.95), ("p99", 0.99))
        }


class Telemetry:
    """Collects from every thread of one run."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages: dict[str, Histogram] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what runs inside, as one step of stage `name`."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, (time.perf_counter() - started) * 1e3)

    def add(self, name: str, milliseconds: float) -> None:
        """Count one value for `name`."""
        with self._lock:
            self._stages.setdefault(name, Histogram()).add(milliseconds)

    def summary(self, name: str) -> Percentiles | None:
        """Percentiles of one name, or None if nothing was counted."""
        with self._lock:
            histogram = self._stages.get(name)
            return histogram.summary() if histogram else None

    def stages(self, names: tuple[str, ...]) -> dict[str, Percentiles]:
        """Percentiles of those `names` that were counted, in that order."""
        found = {name: self.summary(name) for name in names}
        return {name: summary for name, summary in found.items() if summary is not None}


@dataclass(frozen=True, slots=True)
class Progress:
    """A glance at a running pipeline.

    Attributes:
        frames_done: frames written so far.
        frames_total: what the container claims, or None.
        fps: frames a second over the last moments.
        seconds_left: estimate, or None.
        dropped: frames dropped so far.
        stages: median milliseconds a stage.
    """

    frames_done: int
    frames_total: int | None
    fps: float
    seconds_left: float | None
    dropped: int
    stages: dict[str, float]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a running pipeline did by itself, for the user to see.

    Attributes:
        kind: "quality" (the governor changed it), "idle" (the camera went off or on),
            "preparing" (something is made that later runs find ready) or "silent" (a recording
            gets no sound).
        text: one line.
    """

    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a finished run did; `to_json` is what `--json` prints.

    `frames_in` were grabbed, `frames_out` reached the sink, `dropped` gave way to newer ones
    (live only; frames_in == frames_out + dropped), `damaged` could not be decoded
    without loss; of those, `concealed` are in the output as the decoder patched them up.
    `age_ms` is a frame's age when matting takes it, `latency_ms` when the sink has it (live).
    `startup_seconds` is from the start of the run to the first frame in the sink.
    Live: `quality_changes` by the governor, `quality_levels` is how many frames each level had,
    `mattes` how many came from the network, moved along from an earlier frame, or were the same
    again because nothing moved; `idle_seconds` the camera was off for want of a reader.
    `cpu_percent` is processor time over what all cores could give.
    `input` is what the caller named, without a password.
    `decoder` is where the last frames were decoded: "cpu", or a GPU as torch writes it.
    """

    frames_in: int
    frames_out: int
    dropped: int
    damaged: int
    seconds: float
    fps: float
    model: str
    engine: str
    device: str
    provider: str
    precision: str
    reason: str
    stages: dict[str, Percentiles]
    age_ms: Percentiles | None = None
    latency_ms: Percentiles | None = None
    startup_seconds: float | None = None
    state_resets: int = 0
    reopened: int = 0
    concealed: int = 0
    quality_changes: int = 0
    quality_levels: dict[str, int] | None = None
    mattes: dict[str, int] | None = None
    idle_seconds: float | None = None
    cpu_percent: float = 0.0
    decoder: str = "cpu"
    interrupted: bool = False
    peak_rss_mb: float = 0.0
    notes: tuple[str, ...] = ()
    input: str | None = None
    outputs: tuple[Path, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types; absent measurements are left out."""
        values = {
            key: value for key, value in dataclasses.asdict(self).items() if value is not None
        }
        values["outputs"] = [str(path) for path in self.outputs]
        values["notes"] = list(self.notes)
        return values


def peak_rss_mb() -> float:
    """The largest resident size of this process so far, in MiB; 0.0 where it is not known."""
    with contextlib.suppress(OSError):
        # On Linux `getrusage` also counts the process that started this one.
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 2**10, 1)
    try:
        import resource
    except ImportError:  # Windows has no such module
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
