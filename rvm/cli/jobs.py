"""One job after the other: what fails is told, in words and as an object, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from rvm.errors import EXIT_INTERRUPTED, EXIT_TERMINATED, OutputError, RvmError

if TYPE_CHECKING:
    from pathlib import Path

    from rvm.cli.console import Console
    from rvm.cli.context import Job

#: Some of several inputs failed.
SOME_FAILED = 1


def for_each(
    jobs: Sequence[Job], run: Callable[[Job], int], console: Console, *, json: bool
) -> int:
    """Run every job, in folders made for it where it needs them; return the exit code.

    One input fails with its own error. Of several, each failure is reported and the rest goes on,
    until a signal ends it.
    """
    failed = 0
    for job in jobs:
        try:
            with failure_as_json(job.input, console, json=json), _folders_of(job):
                code = run(job)
        except RvmError as error:
            if len(jobs) == 1 or error.exit_code in (EXIT_INTERRUPTED, EXIT_TERMINATED):
                raise
            failed += 1
            text = str(error)
            console.error(text if job.input in text else f"{job.input}: {text}")
            continue
        if code:
            return code  # interrupted
    if failed:
        console.say(f"rvm: {failed} of {len(jobs)} inputs failed")
    return SOME_FAILED if failed else 0


@contextmanager
def failure_as_json(name: str | None, console: Console, *, json: bool) -> Iterator[None]:
    """Print an object for what fails inside, if asked for; a run that has a report printed that.

    Args:
        name: of the input; None if there is none.
        console: where to.
        json: whether it is asked for.
    """
    try:
        yield
    except RvmError as error:
        if json and getattr(error, "report", None) is None:
            named = {} if name is None else {"input": name}
            console.json(named | {"error": str(error), "exit_code": error.exit_code})
        raise


@contextmanager
def _folders_of(job: Job) -> Iterator[None]:
    """The job's folders are there inside; of those made for it, none that is empty stays.

    Raises:
        OutputError: one cannot be made.
    """
    made: list[Path] = []
    try:
        for folder in job.folders:
            _make(folder, made)
        yield
    finally:
        for folder in reversed(made):
            with suppress(OSError):  # it was not made, or is not empty
                folder.rmdir()


def _make(folder: Path, made: list[Path]) -> None:
    """Make it and what it lies in; those that were not there are added to `made`, first."""
    try:
        made += reversed([each for each in (folder, *folder.parents) if not each.exists()])
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from None
