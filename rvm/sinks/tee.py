"""Several sinks as one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rvm.errors import OutputError
from rvm.sinks.base import Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rvm.frame import Composite

logger = logging.getLogger(__name__)


class TeeSink(Sink):
    """Writes each composite into every member, in order.

    If a member fails, the error goes up at once. `abort` after that aborts the one that failed
    and *closes* the others: nothing is wrong with what they hold, it only ends early. Without a
    failed member, `abort` aborts all.
    """

    def __init__(self, sinks: Sequence[Sink]) -> None:
        if not sinks:
            raise ValueError("a tee needs at least one sink")
        self.sinks = tuple(sinks)
        # An instance may be slower than its class says: one live member makes the tee live.
        self.live = any(sink.live for sink in self.sinks)  # type: ignore[misc]
        self._failed: Sink | None = None
        self._collect_notes()

    def takes_from_device(self, composite: Composite) -> bool:
        """If every member does: else it is fetched once for all."""
        return all(sink.takes_from_device(composite) for sink in self.sinks)

    def write(self, composite: Composite) -> None:
        """Write into every member; the first that fails ends it."""
        for sink in self.sinks:
            try:
                sink.write(composite)
            except BaseException:
                self._failed = sink
                raise
        self.frames_written += 1
        self._collect_notes()

    def close(self) -> None:
        """Close every member, even if one of them fails; then raise the first failure."""
        self._end(lambda sink: sink.close())

    def abort(self) -> None:
        """Give up; see the class for what happens to the members that did not fail."""
        failed = self._failed
        if failed is None:
            self._end(lambda sink: sink.abort())
        else:
            self._end(lambda sink: sink.abort() if sink is failed else sink.close())

    def _end(self, end: Callable[[Sink], None]) -> None:
        first: BaseException | None = None
        for sink in self.sinks:
            try:
                end(sink)
            except BaseException as error:
                if first is not None:
                    logger.warning("a second output failed too: %s", error)
                first = first or error
        self._collect_notes()
        if first is not None:
            raise first

    def _collect_notes(self) -> None:
        notes = (note for sink in self.sinks for note in sink.notes)
        self.notes = tuple(dict.fromkeys(notes))  # what is true of two outputs is said once


def open_all(openers: Sequence[Callable[[], Sink]]) -> Sink:
    """Open sinks one after the other; if one fails, those before it are aborted.

    Returns:
        the sink itself if there is one, else a `TeeSink`.
    """
    opened: list[Sink] = []
    try:
        for opener in openers:
            opened.append(opener())
    except BaseException:
        for sink in opened:
            sink.abort()
        raise
    if not opened:
        raise OutputError("there is nothing to write")
    return opened[0] if len(opened) == 1 else TeeSink(opened)
