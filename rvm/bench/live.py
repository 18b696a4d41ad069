"""Live use, measured: frames from memory, blurred, into a sink that only counts.

Every frame goes through the network: nothing is spared, and no governor lowers anything.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from rvm.bench.clips import ENCODING, MemorySource

if TYPE_CHECKING:
    from pathlib import Path

    from rvm.frame import Frame
    from rvm.sources.base import Source
    from rvm.telemetry import Report

#: What a camera of each size may be expected to give.
RATES = {"720p": 120, "1080p": 60, "4k": 30}
_WARM_UP = 10
_BACKGROUND = "blur"


@dataclass(frozen=True, slots=True)
class LiveFigure:
    """Live use of one size.

    Attributes:
        sustained_fps: frames a second when they come as fast as they are taken.
        cpu_ms: processor time a frame then, of all threads.
        paced_fps: frames a second the camera gives in the second part.
        dropped: share of its frames that were dropped, 0..1.
        after_grab_ms: from the grab of a frame to the sink: p50, p95, p99.
    """

    sustained_fps: float
    cpu_ms: float
    paced_fps: float
    dropped: float
    after_grab_ms: dict[str, float]


def live_figure(
    frames: list[Frame], paced_fps: int, seconds: float, *, model: str | None, engine: str,
    device: str, downsample_ratio: float | None,
) -> LiveFigure:  # fmt: skip
    """Run twice: as fast as possible, then at a camera's pace.

    Args:
        frames: decoded, in memory; shown over and over.
        paced_fps: of the camera in the second run.
        seconds: how long each run lasts, about.
    """
    from rvm.sources.paced import PacedSource

    how = {
        "model": model, "engine": engine, "device": device, "downsample_ratio": downsample_ratio,
    }  # fmt: skip
    trial, _ = _run(MemorySource(frames, _WARM_UP), None, how)
    count = max(_WARM_UP, round(seconds * trial.frames_out / trial.seconds))
    fast, cpu_seconds = _run(MemorySource(frames, count), None, how)
    busy_seconds = fast.seconds - (fast.startup_seconds or 0)
    camera = PacedSource(MemorySource(frames, None, Fraction(paced_fps)))
    paced, _ = _run(camera, seconds, how)
    return LiveFigure(
        sustained_fps=round((fast.frames_out - 1) / busy_seconds, 1),
        cpu_ms=round(cpu_seconds / fast.frames_out * 1e3, 2),
        paced_fps=paced_fps,
        dropped=round(paced.dropped / max(paced.frames_in, 1), 4),
        after_grab_ms=paced.latency_ms or {},
    )


def _run(source: Source, seconds: float | None, how: dict[str, Any]) -> tuple[Report, float]:
    from rvm.compositing import make_compositor
    from rvm.matting.matter import Matter
    from rvm.pipeline import Limits, Pipeline
    from rvm.sinks.null import NullSink

    matter = Matter(**how)
    matter.warm_up()
    matter.prepare(source.info.width, source.info.height, source.info.colour)
    device = matter.info.device if matter.info.engine == "torch" else "cpu"
    compositor = make_compositor(_BACKGROUND, device=device)
    pipeline = Pipeline(source, matter, compositor, NullSink(), limits=Limits(seconds=seconds))
    started = time.process_time()
    report = pipeline.run()
    return report, time.process_time() - started


def first_frame_seconds(clip: Path, model: str | None) -> float:
    """From the launch of a new Python to the first blurred frame of a file in the sink."""
    program = (
        "import sys, time\n"
        "from rvm.cli import main\n"
        "from rvm.sinks.null import NullSink\n"
        "write = NullSink.write\n"
        "def first(sink, composite):\n"
        "    write(sink, composite)\n"
        "    sink.frames_written == 1 and print(time.time(), flush=True)\n"
        "NullSink.write = first\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    command = ["live", "--camera", str(clip), "--to", "null", "--seconds", "0.2", "-q"]
    started = time.time()
    done = _python("-c", program, *command, *(["-m", model] if model else []))
    return round(float(done.split()[0]) - started, 3)


def peak_memory_mb(clip: Path, output: Path, model: str | None) -> float:
    """The largest resident size of a process that converts the clip as all paths here encode it.

    Slower presets of x264 look further ahead: `medium` holds forty frames, half a gigabyte at 4K.
    """
    encoding = [word for name, value in ENCODING.items() for word in (f"--{name}", str(value))]
    command = ["-m", "rvm", "convert", str(clip), "-o", str(output), "--json", "-q", "-y"]
    command += encoding
    done = _python(*command, *(["-m", model] if model else []))
    return float(json.loads(done.strip().splitlines()[-1])["peak_rss_mb"])


def _python(*arguments: str) -> str:
    done = subprocess.run(  # noqa: S603 - our own interpreter and arguments
        [sys.executable, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout
