"""Measures every stage and the whole path on this machine; every number comes from the run itself.

For each picture size a clip is made (drawn, or a real one enlarged once) and then, on the same
frames, in the same run:

* `stages`: each stage alone: decode, network, composite, blur, encode;
* `paths`: from file to file, all with the same encoder settings: plain decode and encode (the
  same pipeline, but nothing is matted or blended: what this machine could do at best); ours
  before a plain colour, which is easier to encode than the original, and blurred; the reference
  network driven its authors' way; a 256x256 mask network driven as virtual backgrounds drive it
  (`rivals`), both before a plain colour. The rounds alternate, and the best of each counts;
* `live`: frames from memory, blurred, into a sink that only counts; start-up; memory.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvm.bench.clips import FRAME_RATE, SIZES, frames_in_memory, write_clip
from rvm.bench.live import RATES, LiveFigure, first_frame_seconds, live_figure, peak_memory_mb
from rvm.bench.machine import machine
from rvm.bench.paths import PathFigure, best, own_path, rival_path
from rvm.bench.stages import StageBench
from rvm.errors import UsageError
from rvm.telemetry import Percentiles

if TYPE_CHECKING:
    from rvm.matting.base import EngineInfo

__all__ = ["SIZES", "BenchOptions", "BenchRow", "machine", "run_bench"]

_LIVE_FRAMES = 60


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What to measure.

    Attributes:
        clip: a video, or None for a drawn person.
        sizes: keys of `SIZES` to which the clip is enlarged; empty leaves a clip as it is.
        frames: how many frames of each.
        rounds: how often each path is run; the best round counts.
        reference: ONNX file of the reference network, or None.
        selfie: ONNX file of a 256x256 mask network, or None.
        live_seconds: how long each live run lasts; 0 leaves live use, start-up and memory out.
        model, device, engine, downsample_ratio, background: as for `rvm.convert`.
    """

    clip: Path | None = None
    sizes: Sequence[str] = ("720p", "1080p")
    frames: int = 60
    rounds: int = 1
    reference: Path | None = None
    selfie: Path | None = None
    live_seconds: float = 0.0
    model: str | None = None
    device: str = "auto"
    engine: str = "auto"
    downsample_ratio: float | None = None
    background: str = "#00b140"


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One size.

    Attributes:
        name: the size's name, or the clip's.
        width, height, frames: what was measured.
        stages_ms: each stage alone, per frame: mean, cpu, p50, p95, p99.
        paths: "plain", "whole", "blurred" and, where asked for, "reference" and "selfie".
        live: live use, or None.
        first_frame_seconds: from launch to the first blurred frame, or None.
        peak_rss_mb: of a process that converts the clip, or None.
        engine: what ran the model.
    """

    name: str
    width: int
    height: int
    frames: int
    stages_ms: dict[str, Percentiles]
    paths: dict[str, PathFigure]
    live: LiveFigure | None
    first_frame_seconds: float | None
    peak_rss_mb: float | None
    engine: EngineInfo

    def times(self, other: str) -> float | None:
        """How many times as fast the whole path is as another one; None if that was not run."""
        figure = self.paths.get(other)
        return None if figure is None else round(self.paths["whole"].fps / figure.fps, 3)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types."""
        times = {f"times_{name}": self.times(name) for name in self.paths if name != "whole"}
        return {**dataclasses.asdict(self), **times}


def run_bench(
    options: BenchOptions, tell: Callable[[str], None] = lambda _: None
) -> Iterable[BenchRow]:
    """Measure, one row a size.

    Args:
        options: what to measure.
        tell: gets a line before each step, since some take long.

    Raises:
        UsageError: an unknown size.
        RvmError: whatever a run can fail with.
    """
    unknown = [name for name in options.sizes if name not in SIZES]
    if unknown:
        raise UsageError(f"unknown size {unknown[0]!r}; choose from {', '.join(SIZES)}")
    with tempfile.TemporaryDirectory(prefix="rvm-bench-") as scratch:
        if options.clip is not None and not options.sizes:
            yield _Bench(options, options.clip.name, options.clip, Path(scratch), tell).row()
            return
        for name in options.sizes:
            tell(f"{name}: making a clip of {options.frames} frames")
            clip = Path(scratch) / f"{name}.mp4"
            write_clip(clip, SIZES[name], options.frames, options.clip)
            yield _Bench(options, name, clip, Path(scratch), tell).row()


@dataclass
class _Bench:
    """One clip."""

    options: BenchOptions
    name: str
    clip: Path
    scratch: Path
    tell: Callable[[str], None]

    def row(self) -> BenchRow:
        options = self.options
        stages = StageBench(
            self.clip, self.scratch / "stages.mp4", options.frames, background=options.background,
            **self._how(),
        )  # fmt: skip
        self.tell(f"{self.name}: each stage alone")
        info, engine, count = stages.run()
        live = first = memory = None
        if options.live_seconds:
            live = self._live()
            self.tell(f"{self.name}: start-up and memory")
            first = first_frame_seconds(self.clip, options.model)
            memory = peak_memory_mb(self.clip, self.scratch / "memory.mp4", options.model)
        return BenchRow(
            self.name, info.width, info.height, count, stages.summary(),
            self._paths((info.width, info.height)), live, first, memory, engine,
        )  # fmt: skip

    def _how(self) -> dict[str, Any]:
        options = self.options
        return {
            "model": options.model, "device": options.device, "engine": options.engine,
            "downsample_ratio": options.downsample_ratio,
        }  # fmt: skip

    def _paths(self, size: tuple[int, int]) -> dict[str, PathFigure]:
        rounds: dict[str, list[PathFigure]] = {}
        for number in range(self.options.rounds):
            for name, run in self._runs(size).items():
                self.tell(f"{self.name}: {name}, round {number + 1} of {self.options.rounds}")
                rounds.setdefault(name, []).append(run())
        return {name: best(figures) for name, figures in rounds.items()}

    def _runs(self, size: tuple[int, int]) -> dict[str, Callable[[], PathFigure]]:
        options, output = self.options, self.scratch / "path.mp4"
        seconds = float(options.frames / FRAME_RATE)

        def own(**look: Any) -> PathFigure:
            return own_path(self.clip, output, seconds, **look)

        def rival(kind: str, model: Path) -> PathFigure:
            from rvm.bench import rivals

            return rival_path(getattr(rivals, kind), model, size, self.clip, output, options.frames)

        runs: dict[str, Callable[[], PathFigure]] = {
            "plain": lambda: own(model="fake", background="none"),
            "whole": lambda: own(background=options.background, **self._how()),
            "blurred": lambda: own(background="blur", **self._how()),
        }
        for kind, model in (("reference", options.reference), ("selfie", options.selfie)):
            if model is not None:
                runs[kind] = lambda kind=kind, model=model: rival(kind, model)  # type: ignore[misc]
        return runs

    def _live(self) -> LiveFigure:
        self.tell(f"{self.name}: live")
        frames = frames_in_memory(self.clip, _LIVE_FRAMES)
        paced_fps = RATES.get(self.name, int(FRAME_RATE))
        return live_figure(frames, paced_fps, self.options.live_seconds, **self._how())
