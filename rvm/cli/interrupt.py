"""Ctrl-C and SIGTERM: the first one finishes the file, the second gives up, the third quits."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from rvm.errors import EXIT_INTERRUPTED, EXIT_TERMINATED

if TYPE_CHECKING:
    from rvm.pipeline import StopSignal

_EXIT_CODES = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}


class Interruptible:
    """While entered, turns signals into requests to `stop`.

    Only the main thread can have handlers; elsewhere (a test, an embedding) this does nothing.
    """

    def __init__(self, stop: StopSignal, *, events: bool = False) -> None:
        self._stop = stop
        self._tell = _tell_event if events else _tell
        self._previous: dict[signal.Signals, Any] = {}
        #: The exit code of the first signal, or None.
        self.exit_code: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _EXIT_CODES:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._stop.aborted:
            os._exit(self.exit_code or EXIT_INTERRUPTED)
        if self.exit_code is None:
            self.exit_code = _EXIT_CODES[signal.Signals(number)]
            self._stop.request()
            self._tell("stopping", "what is done is being finished (again: give up)")
        else:
            self._stop.abort()
            self._tell("giving up", "the unfinished output keeps its .part name")


def _tell(what: str, text: str) -> None:
    _write(f"\nrvm: {what}; {text}\n")


def _tell_event(what: str, text: str) -> None:
    _write(json.dumps({"event": "stop", "text": f"{what}; {text}"}) + "\n")


def _write(line: str) -> None:
    """Straight to the descriptor: a handler may have interrupted a write to `sys.stderr`."""
    with suppress(OSError):
        os.write(2, line.encode())
