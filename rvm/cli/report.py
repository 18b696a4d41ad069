"""What a finished run is summed up in, for people; for programs there is `Report.to_json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rvm.cli.console import VERBOSE, Console

if TYPE_CHECKING:
    from rvm.telemetry import Report


def tell(report: Report, console: Console, *, json: bool) -> None:
    """Print the report: one JSON object to stdout if asked for, and lines to stderr."""
    for note in report.notes:
        console.say(f"rvm: note: {note}")
    for line in summary(report):
        console.say(f"rvm: {line}")
    for name, values in report.stages.items():
        figures = "  ".join(f"{key} {value:.3g} ms" for key, value in values.items())
        console.say(f"rvm: {name:<12} {figures}", VERBOSE)
    if json:
        console.json(report.to_json())


def summary(report: Report) -> list[str]:
    """Two or three lines: what came out, what was lost, how late it was."""
    written = f"{', '.join(map(str, report.outputs))}: " if report.outputs else ""
    lines = [
        f"{written}{_count(report.frames_out, 'frame')} in {report.seconds:.1f} s "
        f"({report.fps:.1f} a second, {report.peak_rss_mb:.0f} MiB)"
    ]
    losses = [
        f"{_count(number, 'frame')} {what}"
        for number, what in ((report.dropped, "gave way to newer ones"),
                             (report.damaged - report.concealed, "could not be decoded"))
        if number
    ]  # fmt: skip
    if report.reopened:
        losses.append(f"the camera was lost and reopened {_count(report.reopened, 'time')}")
    if losses:
        lines.append(f"of {_count(report.frames_in, 'frame')}: {'; '.join(losses)}")
    if report.latency_ms is not None:
        lines.append(
            f"from grab to output {report.latency_ms['p50']:.0f} ms, "
            f"95 of 100 frames within {report.latency_ms['p95']:.0f} ms"
        )
    if report.quality_levels and len(report.quality_levels) > 1:
        shares = ", ".join(
            f"{number / sum(report.quality_levels.values()):.0%} at {level}"
            for level, number in report.quality_levels.items()
        )
        lines.append(f"quality changed {_count(report.quality_changes, 'time')}: {shares}")
    if report.mattes and sum(report.mattes.values()) > report.mattes["network"]:
        lines.append(
            f"{_count(report.mattes['network'], 'matte')} from the network, "
            f"{report.mattes['moved']} moved along, {report.mattes['still']} the same again"
        )
    if report.idle_seconds:
        lines.append(f"the camera was off for {report.idle_seconds:.0f} s, nobody looked")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
