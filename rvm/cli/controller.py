"""Runs what a context asks for, with signals, progress and a report around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rvm.cli.interrupt import Interruptible
from rvm.cli.jobs import failure_as_json, for_each
from rvm.cli.progress import make_reporter
from rvm.cli.report import tell
from rvm.errors import RvmError

if TYPE_CHECKING:
    from rvm.cli.console import Console
    from rvm.cli.context import ConvertContext, Job, LiveContext
    from rvm.cli.options import ProgressMode
    from rvm.pipeline import StopSignal
    from rvm.telemetry import Report


def run_convert(
    context: ConvertContext, console: Console, *, progress: ProgressMode, json: bool
) -> int:
    """Convert every input; return the exit code."""
    from rvm.api import convert

    def run(job: Job) -> int:
        return run_pipeline(convert, context.arguments(job), console, progress, json)

    return for_each(context.jobs, run, console, json=json)


def run_live(context: LiveContext, console: Console, *, progress: ProgressMode, json: bool) -> int:
    """Run until the end, a limit or a signal; return the exit code."""
    from rvm.api import live

    with failure_as_json(context.name, console, json=json):
        return run_pipeline(live, context.arguments(), console, progress, json)


def run_pipeline(
    function: Callable[..., Report],
    arguments: dict[str, Any],
    console: Console,
    progress: ProgressMode,
    json: bool,
) -> int:
    """One run of the library; 0, or the exit code of the signal that ended it.

    Raises:
        RvmError: the run's own; with the signal's exit code where one had ended it.
    """
    from rvm.pipeline import StopSignal

    stop = StopSignal()
    reporter = make_reporter(progress, console)
    with Interruptible(stop, events=console.events) as interruptible:
        try:
            report = function(
                **arguments, on_start=reporter.start, on_progress=reporter.update,
                on_notice=reporter.notice, stop=stop,
            )  # fmt: skip
        except RvmError as error:
            reporter.close()
            _tell_what_is_left(error, stop, console, json)
            if interruptible.exit_code is not None:
                error.exit_code = interruptible.exit_code
            raise
        finally:
            reporter.close()
    _tell_outcome(report, stop, console, json)
    return interruptible.exit_code or 0


def _tell_outcome(report: Report, stop: StopSignal, console: Console, json: bool) -> None:
    if stop.aborted:
        import dataclasses

        report = dataclasses.replace(report, outputs=())
    tell(report, console, json=json)


def _tell_what_is_left(error: RvmError, stop: StopSignal, console: Console, json: bool) -> None:
    """A run that lost frames still wrote the others, and says what it did."""
    report: Report | None = getattr(error, "report", None)
    if report is not None:
        _tell_outcome(report, stop, console, json)
