"""`rvm bench`: what this machine does, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from rvm.cli.options import Talk
from rvm.errors import UsageError

if TYPE_CHECKING:
    from rvm.bench import BenchRow


def bench_command(
    clip: Path | None = None,
    /,
    *,
    sizes: str | None = None,
    frames: int = 60,
    rounds: int = 1,
    model: Annotated[str | None, Parameter(name=["--model", "-m"])] = None,
    reference: Path | None = None,
    selfie: Path | None = None,
    live_seconds: float = 0.0,
    background: str = "#00b140",
    device: str = "auto",
    engine: str = "auto",
    downsample_ratio: float | None = None,
    talk: Talk = Talk(),  # noqa: B008 (frozen)
) -> int:
    """Measure each stage, the whole path, its rivals and live use on this machine.

    Args:
        clip: a video, enlarged to the sizes if any are named; without one, a person is drawn.
        sizes: of 720p, 1080p and 4k, separated by commas [default: 720p,1080p without a clip].
        frames: how many frames of each.
        rounds: how often to run each path from file to file; the best round counts.
        model: model name or file.
        reference: ONNX file of the reference network, to run the way its authors do.
        selfie: ONNX file of a 256x256 mask network, to run the way virtual backgrounds do.
        live_seconds: also measure live use this long, start-up and memory; 0 leaves them out.
        background: as for rvm convert.
        device: auto, cpu, cuda, cuda:N or mps.
        engine: auto or an engine's name.
        downsample_ratio: as for rvm convert.
    """
    from rvm.bench import BenchOptions, machine, run_bench

    if frames < 1:
        raise UsageError(f"--frames: got {frames}, expected 1 or more")
    if sizes is None:
        sizes = "" if clip else "720p,1080p"
    options = BenchOptions(
        clip=clip,
        sizes=tuple(name.strip().lower() for name in sizes.split(",") if name.strip()),
        frames=frames,
        rounds=max(1, rounds),
        reference=reference,
        selfie=selfie,
        live_seconds=live_seconds,
        model=model,
        device=device,
        engine=engine,
        downsample_ratio=downsample_ratio,
        background=background,
    )
    with talk.console() as console:
        rows = []
        for row in run_bench(options, lambda line: console.say(f"rvm: {line}")):
            rows.append(row)
        if talk.json:
            console.json({"machine": machine(), "rows": [row.to_json() for row in rows]})
        else:
            facts = machine()
            console.data(f"{facts['processor']}, {facts['cores']} cores, load {facts['load']}")
            console.data(table(rows))
    return 0


def table(rows: Sequence[BenchRow]) -> str:
    """The rows as aligned text: stages and paths in milliseconds a frame, then live use."""
    cells = [_cells(row) for row in rows]
    if not cells:
        return ""
    lines = [list(cells[0]), *([*line.values()] for line in cells)]
    # One line a figure, one column a size: there are many figures and few sizes.
    widths = [max(map(len, column)) for column in lines]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in zip(*lines, strict=True)
    )


def _cells(row: BenchRow) -> dict[str, str]:
    cells = {"": row.name}
    for name, times in row.stages_ms.items():
        cells[f"{name} ms (cpu)"] = f"{times['mean']:.2f} ({times['cpu']:.2f})"
    for name, figure in row.paths.items():
        cells[f"{name} path fps (cpu ms)"] = f"{figure.fps:.1f} ({figure.cpu_ms:.1f})"
    for name in row.paths:
        if name != "whole":
            cells[f"times as fast as {name}"] = f"{row.times(name):.2f}"
    if row.live is not None:
        live = row.live
        cells["live fps, sustained (cpu ms)"] = f"{live.sustained_fps:.1f} ({live.cpu_ms:.1f})"
        cells["live camera fps (dropped)"] = f"{live.paced_fps} ({live.dropped:.1%})"
        for name, milliseconds in live.after_grab_ms.items():
            cells[f"after grab {name} ms"] = f"{milliseconds:.1f}"
        cells["first frame s"] = f"{row.first_frame_seconds:.2f}"
        cells["peak memory MB"] = f"{row.peak_rss_mb:.0f}"
    return cells
