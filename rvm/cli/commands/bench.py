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
    sizes: str = "720p,1080p",
    frames: int = 60,
    model: Annotated[str | None, Parameter(name=["--model", "-m"])] = None,
    reference: str | None = None,
    background: str = "#00b140",
    device: str = "auto",
    engine: str = "auto",
    downsample_ratio: float | None = None,
    talk: Talk = Talk(),  # noqa: B008 (frozen)
) -> int:
    """Measure decode, network, compositing, encode and the whole path on this machine.

    Args:
        clip: a video; without one, a person is drawn at each of the sizes.
        sizes: of 720p, 1080p and 4k, separated by commas.
        frames: how many frames of each.
        model: model name or file.
        reference: another model to compare the whole path with.
        background: as for rvm convert.
        device: auto, cpu, cuda, cuda:N or mps.
        engine: auto or an engine's name.
        downsample_ratio: as for rvm convert.
    """
    from rvm.bench import BenchOptions, machine, run_bench

    if frames < 1:
        raise UsageError(f"--frames: got {frames}, expected 1 or more")
    options = BenchOptions(
        clip=clip,
        sizes=tuple(name.strip().lower() for name in sizes.split(",") if name.strip()),
        frames=frames,
        reference=reference,
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
    """The rows as aligned text; stages are mean milliseconds a frame."""
    stages = list(rows[0].stages_ms) if rows else []
    compared = any(row.reference_fps is not None for row in rows)
    lines = [
        [
            "size",
            *(f"{name} ms" for name in stages),
            "whole fps",
            "plain fps",
            "whole/plain",
            *(["reference fps", "times reference"] if compared else []),
        ]
    ]
    for row in rows:
        lines.append(
            [
                row.name,
                *(f"{row.stages_ms[name]['mean']:.2f}" for name in stages),
                f"{row.whole_fps:.1f}",
                f"{row.plain_fps:.1f}",
                f"{row.share_of_plain:.2f}",
            ]
            + ([f"{row.reference_fps:.1f}", f"{row.times_reference:.2f}"] if compared else [])
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
