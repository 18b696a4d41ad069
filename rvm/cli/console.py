"""Talking to a person on stderr, and to programs on stdout."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

QUIET, NORMAL, VERBOSE, DEBUG = range(4)


class Console:
    """What a command may say: lines for a person, or, with `events`, one JSON object a line.

    Talk never fails: a stderr that was closed only makes it silent, so that a broken pipe cannot
    end a conversion.
    """

    def __init__(
        self, level: int = NORMAL, *, color: bool | None = None, events: bool = False
    ) -> None:
        self.level = level
        self.events = events
        self.color = _wants_color() if color is None else color

    def say(self, line: str, level: int = NORMAL) -> None:
        """One line for a person, if that much talk is wanted; of it, only what is for debugging
        is an event."""
        if self.level < level:
            return
        if not self.events:
            self._write(printable(line))
        elif level == DEBUG:
            self.event("debug", text=line)

    def note(self, line: str) -> None:
        """Something the user should know; shown unless quiet."""
        if self.level < NORMAL:
            return
        if self.events:
            self.event("note", text=one_line(line))
        else:
            self._write(f"rvm: note: {one_line(line)}")

    def warn(self, line: str) -> None:
        """One warning; shown unless quiet."""
        if self.level >= NORMAL:
            self._label("warning", 33, line)

    def error(self, line: str) -> None:
        """The one line that says why the exit code is not 0; always shown."""
        self._label("error", 31, line)

    def event(self, name: str, /, **values: Any) -> None:
        """One JSON object on one line of stderr."""
        self._write(json.dumps({"event": name, **values}))

    def data(self, text: str) -> None:
        """One piece of output proper, to stdout at once."""
        encoding = sys.stdout.encoding or "utf-8"
        # A file name may hold what the terminal's encoding cannot say.
        sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stdout.flush()

    def json(self, value: Mapping[str, Any]) -> None:
        """One JSON object on one line of stdout."""
        self.data(json.dumps(value))

    def _label(self, kind: str, code: int, line: str) -> None:
        if self.events:
            self.event(kind, text=one_line(line))
        else:
            self._write(f"{self._paint(f'rvm: {kind}:', code)} {one_line(line)}")

    def _paint(self, text: str, code: int) -> str:
        return f"\x1b[1;{code}m{text}\x1b[0m" if self.color else text

    @staticmethod
    def _write(line: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(line + "\n")
            sys.stderr.flush()


def one_line(text: str) -> str:
    """The text with every run of white space as one blank, and printable."""
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    """The text without control characters: a file's name must not steer the terminal."""
    return "".join(
        letter if letter.isprintable() or letter in "\n\t" else repr(letter)[1:-1]
        for letter in text
    )


def is_terminal() -> bool:
    """Whether stderr is a terminal that understands cursor movement."""
    try:
        return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        return False


def _wants_color() -> bool:
    return is_terminal() and not os.environ.get("NO_COLOR")


class _LogToConsole(logging.Handler):
    """Shows what the library logs: warnings; with -v also what it tells; with --debug all."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record."""
        line = one_line(record.getMessage())
        if record.levelno >= logging.WARNING:
            self._console.warn(line)
        elif record.levelno >= logging.INFO:
            self._console.say(f"rvm: {line}", VERBOSE)
        else:
            self._console.say(f"rvm: {record.name}: {line}", DEBUG)


@contextmanager
def logging_to(console: Console) -> Iterator[None]:
    """Show on `console` what the library logs meanwhile."""
    logger = logging.getLogger("rvm")
    handler = _LogToConsole(console)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if console.level >= DEBUG else logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
