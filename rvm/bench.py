"""Measures every stage and the whole path on this machine; every number comes from the run itself.

For each picture size a clip is made (or the given one is taken) and then, on the same frames:

* each stage alone, all frames of one stage before the next: decode, network, composite, encode
  (the mean counts all the time a stage took, with what its own threads finish at the end);
* the plain path: the same pipeline, but nothing is matted and nothing is blended, so it is decode
  and encode, overlapped as in real use: what this machine could do at best;
* the whole path, from file to file;
* the whole path with another model, if one is given to compare with.
"""

from __future__ import annotations

import dataclasses
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvm.errors import UsageError
from rvm.telemetry import Histogram, Percentiles

if TYPE_CHECKING:
    from rvm.frame import Composite, Frame, Matte
    from rvm.matting.base import EngineInfo
    from rvm.sources.base import SourceInfo

#: Name -> (width, height).
SIZES = {"720p": (1280, 720), "1080p": (1920, 1080), "4k": (3840, 2160)}
#: Steps of the network before it is timed: memory is laid out and caches fill.
_WARM_UP = 2
_FRAME_RATE = Fraction(30)
#: What frames, mattes and results of the single stages may take in memory.
_MEMORY_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """What to measure.

    Attributes:
        clip: a video, or None for a synthetic person at each of `sizes`.
        sizes: keys of `SIZES`; not used with a clip.
        frames: how many frames of each.
        reference: model to compare the whole path with, or None.
        model, device, engine, downsample_ratio, background: as for `rvm.convert`.
    """

    clip: Path | None = None
    sizes: Sequence[str] = ("720p", "1080p")
    frames: int = 60
    reference: str | None = None
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
        stages_ms: each stage alone, per frame: mean, p50, p95, p99.
        plain_fps: frames a second of decode and encode only.
        whole_fps: frames a second from file to file.
        share_of_plain: `whole_fps / plain_fps`.
        reference_fps, times_reference: the same with the other model; None without one.
        engine: what ran the model.
        reference_engine: what ran the other one.
    """

    name: str
    width: int
    height: int
    frames: int
    stages_ms: dict[str, Percentiles]
    plain_fps: float
    whole_fps: float
    share_of_plain: float
    reference_fps: float | None
    times_reference: float | None
    engine: EngineInfo
    reference_engine: EngineInfo | None

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON types."""
        return dataclasses.asdict(self)


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
    if unknown and options.clip is None:
        raise UsageError(f"unknown size {unknown[0]!r}; choose from {', '.join(SIZES)}")
    with tempfile.TemporaryDirectory(prefix="rvm-bench-") as scratch:
        if options.clip is not None:
            yield _Bench(options, options.clip.name, options.clip, Path(scratch), tell).row()
            return
        for name in options.sizes:
            tell(f"{name}: making a clip of {options.frames} frames")
            clip = Path(scratch) / f"{name}.mp4"
            _write_clip(clip, *SIZES[name], options.frames)
            yield _Bench(options, name, clip, Path(scratch), tell).row()


def machine() -> dict[str, Any]:
    """What was measured on, as far as the system says."""
    from rvm.device import cpu_count, cuda_gpu_count

    return {
        "processor": _processor(),
        "cores": cpu_count(),
        "cuda_gpus": cuda_gpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _write_clip(path: Path, width: int, height: int, frames: int) -> None:
    from rvm.frame import Composite
    from rvm.sources.synthetic import SyntheticSource

    source = SyntheticSource(frames, width=width, height=height, fps=_FRAME_RATE, person=True)
    sink = _open_sink(path, source.info)
    try:
        for frame in source:
            sink.write(Composite(frame, _no_matte(frame), frame))
    except BaseException:
        sink.abort()
        raise
    sink.close()


def _no_matte(frame: Frame) -> Matte:
    import numpy as np

    from rvm.frame import Matte

    return Matte(np.broadcast_to(np.uint8(255), (frame.height, frame.width)))


def _open_sink(path: Path, info: SourceInfo) -> Any:
    from rvm.sinks import open_sinks

    return open_sinks(path, None, None, info=info, overwrite=True)


class _Timer:
    """Times one stage: its steps, and all of it together."""

    def __init__(self) -> None:
        self._steps = Histogram()
        self._total_ms = 0.0

    def step(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run and time the step of one frame."""
        started = time.perf_counter()
        result = function(*arguments)
        elapsed_ms = (time.perf_counter() - started) * 1e3
        self._steps.add(elapsed_ms)
        self._total_ms += elapsed_ms
        return result

    def rest(self, function: Callable[[], Any]) -> None:
        """Run and time what belongs to the stage but to no frame."""
        started = time.perf_counter()
        function()
        self._total_ms += (time.perf_counter() - started) * 1e3

    def summary(self) -> Percentiles:
        mean = self._total_ms / max(1, self._steps.count)
        return {"mean": round(mean, 3), **self._steps.summary()}


@dataclass
class _Bench:
    """One clip."""

    options: BenchOptions
    name: str
    clip: Path
    scratch: Path
    tell: Callable[[str], None]
    timers: dict[str, _Timer] = field(
        default_factory=lambda: {
            stage: _Timer() for stage in ("decode", "network", "composite", "encode")
        }
    )

    def row(self) -> BenchRow:
        info, engine, count = self._stages()
        self.tell(f"{self.name}: plain path")
        plain, _ = self._path("fake", "none")
        self.tell(f"{self.name}: whole path")
        whole, _ = self._path(self.options.model, self.options.background)
        reference, other = None, None
        if self.options.reference is not None:
            self.tell(f"{self.name}: whole path with {self.options.reference}")
            reference, other = self._path(self.options.reference, self.options.background)
        return BenchRow(
            name=self.name,
            width=info.width,
            height=info.height,
            frames=count,
            stages_ms={name: timer.summary() for name, timer in self.timers.items()},
            plain_fps=plain,
            whole_fps=whole,
            share_of_plain=round(whole / plain, 3),
            reference_fps=reference,
            times_reference=None if reference is None else round(whole / reference, 3),
            engine=engine,
            reference_engine=other,
        )

    def _stages(self) -> tuple[SourceInfo, EngineInfo, int]:
        info, frames = self._decode()
        self.tell(f"{self.name}: {len(frames)} frames of {info.width}x{info.height} through each")
        engine, frames, mattes = self._network(frames)
        composites = self._composite(engine, frames, mattes)
        self._encode(info, composites)
        return info, engine, len(frames)

    def _decode(self) -> tuple[SourceInfo, list[Frame]]:
        from rvm.sources import open_source

        found: list[Frame] = []
        with open_source(self.clip) as source:
            info = source.info
            # A frame, its matte and the result: three bytes a pixel and sample size, and the alpha.
            limit = _MEMORY_BYTES // (info.width * info.height * 4 * info.format.dtype.itemsize)
            frames = iter(source)
            while len(found) < max(1, min(self.options.frames, limit)):
                frame = self.timers["decode"].step(next, frames, None)
                if frame is None:
                    break
                found.append(frame)
            return info, found

    def _network(self, frames: list[Frame]) -> tuple[EngineInfo, list[Frame], list[Matte]]:
        from rvm.matting.matter import Matter

        with Matter(
            self.options.model,
            self.options.device,
            self.options.engine,
            downsample_ratio=self.options.downsample_ratio,
        ) as matter:
            uploaded = [matter.upload(frame) for frame in frames]
            for frame in uploaded[:_WARM_UP]:
                matter.step(frame)
            matter.reset()
            mattes = [self.timers["network"].step(matter.step, frame) for frame in uploaded]
            return matter.info, uploaded, mattes

    def _composite(
        self, engine: EngineInfo, frames: list[Frame], mattes: list[Matte]
    ) -> list[Composite]:
        from rvm.compositing import make_compositor

        device = engine.device if engine.engine == "torch" else "cpu"
        compositor = make_compositor(self.options.background, device=device)
        try:
            return [
                self.timers["composite"].step(compositor.compose, *pair)
                for pair in zip(frames, mattes, strict=True)
            ]
        finally:
            compositor.close()

    def _encode(self, info: SourceInfo, composites: list[Composite]) -> None:
        sink = _open_sink(self.scratch / "encoded.mp4", info)
        try:
            for composite in composites:
                self.timers["encode"].step(sink.write, composite)
            self.timers["encode"].rest(sink.close)
        except BaseException:
            sink.abort()
            raise

    def _path(self, model: str | None, background: str) -> tuple[float, EngineInfo]:
        """Frames a second from file to file, without the time to load the model."""
        from rvm.api import convert

        engines: list[EngineInfo] = []
        started: list[float] = []

        def on_start(_: SourceInfo, engine: EngineInfo) -> None:
            engines.append(engine)
            started.append(time.perf_counter())

        options = self.options
        report = convert(
            self.clip,
            self.scratch / "path.mp4",
            background=background,
            model=model,
            device=options.device,
            engine="auto" if model == "fake" else options.engine,
            downsample_ratio=None if model == "fake" else options.downsample_ratio,
            duration_seconds=float(options.frames / _FRAME_RATE) if options.clip else None,
            audio=False,
            overwrite=True,
            on_start=on_start,
        )
        seconds = time.perf_counter() - started[0]
        return round(report.frames_out / seconds, 2), engines[0]
