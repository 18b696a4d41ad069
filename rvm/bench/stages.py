"""Each stage alone: all frames of one stage before the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rvm.bench.clips import ENCODING
from rvm.telemetry import Histogram, Percentiles

if TYPE_CHECKING:
    from pathlib import Path

    from rvm.frame import Composite, Frame, Matte
    from rvm.matting.base import EngineInfo
    from rvm.sources.base import SourceInfo

STAGES = ("decode", "network", "composite", "blur", "encode")
#: Steps of the network before it is timed: memory is laid out and caches fill.
_WARM_UP = 2
#: What frames, mattes and results of the single stages may take in memory.
_MEMORY_BYTES = 512 << 20


class _Timer:
    """Times one stage: its steps, and all of it together, by the clock and by the processor."""

    def __init__(self) -> None:
        self._steps = Histogram()
        self._total_ms = 0.0
        self._cpu_ms = 0.0

    def step(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run and time the step of one frame."""
        before = self._total_ms
        result = self._timed(function, *arguments)
        self._steps.add(self._total_ms - before)
        return result

    def rest(self, function: Callable[[], Any]) -> None:
        """Run and time what belongs to the stage but to no frame."""
        self._timed(function)

    def summary(self) -> Percentiles:
        count = max(1, self._steps.count)
        means = {"mean": self._total_ms / count, "cpu": self._cpu_ms / count}
        return {**{name: round(ms, 3) for name, ms in means.items()}, **self._steps.summary()}

    def _timed(self, function: Callable[..., Any], *arguments: Any) -> Any:
        started, cpu_started = time.perf_counter(), time.process_time()
        result = function(*arguments)
        self._total_ms += (time.perf_counter() - started) * 1e3
        self._cpu_ms += (time.process_time() - cpu_started) * 1e3
        return result


@dataclass
class StageBench:
    """One clip through every stage.

    Attributes:
        clip: the clip.
        output: where the last stage writes.
        frames: how many frames at most.
        model, device, engine, downsample_ratio, background: as for `rvm.convert`.
    """

    clip: Path
    output: Path
    frames: int
    model: str | None
    device: str
    engine: str
    downsample_ratio: float | None
    background: str
    timers: dict[str, _Timer] = field(default_factory=lambda: {s: _Timer() for s in STAGES})

    def run(self) -> tuple[SourceInfo, EngineInfo, int]:
        """Fill the timers; what was read, what ran the model, and how many frames there were."""
        info, frames = self._decode()
        engine, frames, mattes = self._network(frames)
        self._composite("blur", "blur", engine, frames, mattes)
        composites = self._composite("composite", self.background, engine, frames, mattes)
        self._encode(info, composites)
        return info, engine, len(frames)

    def summary(self) -> dict[str, Percentiles]:
        """Milliseconds a frame: mean, processor time, p50, p95, p99."""
        return {name: timer.summary() for name, timer in self.timers.items()}

    def _decode(self) -> tuple[SourceInfo, list[Frame]]:
        from rvm.sources import open_source

        found: list[Frame] = []
        with open_source(self.clip) as source:
            info = source.info
            # A frame, its matte and two results: four bytes a pixel and sample size, and the alpha.
            limit = _MEMORY_BYTES // (info.width * info.height * 6 * info.format.dtype.itemsize)
            frames = iter(source)
            while len(found) < max(1, min(self.frames, limit)):
                frame = self.timers["decode"].step(next, frames, None)
                if frame is None:
                    break
                found.append(frame)
            return info, found

    def _network(self, frames: list[Frame]) -> tuple[EngineInfo, list[Frame], list[Matte]]:
        from rvm.matting.matter import Matter

        with Matter(
            self.model, self.device, self.engine, downsample_ratio=self.downsample_ratio
        ) as matter:
            uploaded = [matter.upload(frame) for frame in frames]
            for frame in uploaded[:_WARM_UP]:
                matter.step(frame)
            matter.reset()
            mattes = [self.timers["network"].step(matter.step, frame) for frame in uploaded]
            return matter.info, uploaded, mattes

    def _composite(
        self, stage: str, background: str, engine: EngineInfo, frames: list[Frame],
        mattes: list[Matte],
    ) -> list[Composite]:  # fmt: skip
        from rvm.compositing import make_compositor

        device = engine.device if engine.engine == "torch" else "cpu"
        compositor = make_compositor(background, device=device)
        try:
            for pair in list(zip(frames, mattes, strict=True))[:_WARM_UP]:
                compositor.compose(*pair)
            return [
                self.timers[stage].step(compositor.compose, *pair)
                for pair in zip(frames, mattes, strict=True)
            ]
        finally:
            compositor.close()

    def _encode(self, info: SourceInfo, composites: list[Composite]) -> None:
        from rvm.sinks import open_sinks

        sink = open_sinks(self.output, None, None, info=info, overwrite=True, **ENCODING)
        try:
            for composite in composites:
                self.timers["encode"].step(sink.write, composite)
            self.timers["encode"].rest(sink.close)
        except BaseException:
            sink.abort()
            raise
