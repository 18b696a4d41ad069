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
    written = "".join(f"{path}, " for path in report.outputs).removesuffix(", ")
    lines = [
        f"{f'{written}: ' if written else ''}{report.frames_out} frames in {report.seconds:.1f} s "
        f"({report.fps:.1f} a second, {report.peak_rss_mb:.0f} MiB)"
    ]
    if report.dropped or report.damaged or report.reopened:
        lines.append(
            f"of {report.frames_in} frames {report.dropped} gave way to newer ones; "
            f"{report.damaged} were damaged; the camera was reopened {report.reopened} times"
        )
    if report.latency_ms is not None:
        lines.append(
            f"from grab to output {report.latency_ms['p50']:.0f} ms, "
            f"95 of 100 frames within {report.latency_ms['p95']:.0f} ms"
        )
    return lines
