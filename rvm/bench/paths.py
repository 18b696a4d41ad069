"""File to file: ours, plain decode and encode, and the rivals, with the same encoder settings."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rvm.bench.clips import ENCODING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class PathFigure:
    """One way from file to file.

    Attributes:
        fps: frames a second, without the time to load a model.
        cpu_ms: processor time a frame, of all threads.
    """

    fps: float
    cpu_ms: float


class _Watch:
    """Wall and processor time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def figure(self, frames: int) -> PathFigure:
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return PathFigure(round(frames / wall, 2), round(cpu / max(frames, 1) * 1e3, 2))


def own_path(clip: Path, output: Path, seconds: float, **look: Any) -> PathFigure:
    """`rvm.convert` of so many seconds from file to file."""
    from rvm.api import convert

    watches: list[_Watch] = []
    report = convert(
        clip, output, audio=False, overwrite=True, duration_seconds=seconds,
        on_start=lambda source, engine: watches.append(_Watch()), **look, **ENCODING,
    )  # fmt: skip
    return watches[0].figure(report.frames_out)


def rival_path(
    make: Callable[[Path, tuple[int, int]], Any], model: Path, size: tuple[int, int],
    clip: Path, output: Path, frames: int,
) -> PathFigure:  # fmt: skip
    """A rival's loop (see `rvm.bench.rivals`)."""
    from rvm.bench.rivals import run_file

    step = make(model, size)
    watch = _Watch()
    return watch.figure(run_file(step, clip, output, frames, ENCODING))


def best(figures: list[PathFigure]) -> PathFigure:
    """Of several rounds: the fastest, and the least processor time."""
    return PathFigure(max(f.fps for f in figures), min(f.cpu_ms for f in figures))
