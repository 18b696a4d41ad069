"""Runs what a context asks for, with signals, progress and a report around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from rvm.cli.interrupt import Interruptible
from rvm.cli.progress import make_reporter
from rvm.cli.report import tell
from rvm.errors import OutputError, RvmError

if TYPE_CHECKING:
    from rvm.cli.console import Console
    from rvm.cli.context import ConvertContext, Job, LiveContext
    from rvm.cli.options import ProgressMode
    from rvm.pipeline import StopSignal
    from rvm.telemetry import Report

#: Some of several inputs failed.
SOME_FAILED = 1


def run_convert(
    context: ConvertContext, console: Console, *, progress: ProgressMode, json: bool
) -> int:
    """Convert every input; return the exit code.

    One input fails with its own error. Of several, each failure is reported and the rest goes on.
    """
    from rvm.api import convert

    if len(context.jobs) == 1:
        with _folders_of(context.jobs[0]):
            arguments = context.arguments(context.jobs[0])
            return run_pipeline(convert, arguments, console, progress, json)
    failed = 0
    for job in context.jobs:
        try:
            with _folders_of(job):
                code = run_pipeline(convert, context.arguments(job), console, progress, json)
        except RvmError as error:
            failed += 1
            _tell_failure(job.input, error, console, json)
            continue
        if code:
            return code  # interrupted
    if failed:
        console.say(f"rvm: {failed} of {len(context.jobs)} inputs failed")
    return SOME_FAILED if failed else 0


def run_live(context: LiveContext, console: Console, *, progress: ProgressMode, json: bool) -> int:
    """Run until the end, a limit or a signal; return the exit code."""
    from rvm.api import live

    return run_pipeline(live, context.arguments(), console, progress, json)


def run_pipeline(
    function: Callable[..., Report],
    arguments: dict[str, Any],
    console: Console,
    progress: ProgressMode,
    json: bool,
) -> int:
    """One run of the library; 0, or the exit code of the signal that ended it."""
    from rvm.pipeline import StopSignal

    stop = StopSignal()
    reporter = make_reporter(progress, console)
    with Interruptible(stop) as interruptible:
        try:
            report = function(
                **arguments, on_start=reporter.start, on_progress=reporter.update,
                on_notice=reporter.notice, stop=stop,
            )  # fmt: skip
        except RvmError as error:
            reporter.close()
            _tell_what_is_left(error, console, json)
            if interruptible.exit_code is None:
                raise
            console.error(str(error))
            return interruptible.exit_code
        finally:
            reporter.close()
    _tell_outcome(report, stop, console, json)
    return interruptible.exit_code or 0


def _tell_outcome(report: Report, stop: StopSignal, console: Console, json: bool) -> None:
    if stop.aborted:
        import dataclasses

        report = dataclasses.replace(report, outputs=())
    tell(report, console, json=json)


def _tell_what_is_left(error: RvmError, console: Console, json: bool) -> None:
    """A run that lost frames still wrote the others, and says what it did."""
    report: Report | None = getattr(error, "report", None)
    if report is not None:
        tell(report, console, json=json)


def _tell_failure(name: str, error: RvmError, console: Console, json: bool) -> None:
    console.error(f"{error}" if name in str(error) else f"{name}: {error}")
    if json and getattr(error, "report", None) is None:
        console.json({"input": name, "error": str(error), "exit_code": error.exit_code})


@contextmanager
def _folders_of(job: Job) -> Iterator[None]:
    """Make the job's folders; leave none that is empty."""
    folders = [folder for folder in job.folders if not folder.is_dir()]
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: cannot be made: {error.strerror}") from None
    try:
        yield
    finally:
        for folder in folders:
            with suppress(OSError):
                folder.rmdir()  # only if it is empty
