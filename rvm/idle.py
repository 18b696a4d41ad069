"""Puts a camera on demand, where the system can tell whether anybody looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rvm.readers import ReaderWatch, watch_readers
from rvm.sources.on_demand import OnDemandSource
from rvm.telemetry import Notice

if TYPE_CHECKING:
    from collections.abc import Callable

    from rvm.sinks.base import Sink
    from rvm.sources.base import Source


def on_demand(
    source: Source,
    reopen: Callable[[], Source],
    sink: Sink,
    on_notice: Callable[[Notice], None],
    watch_for: Callable[[str], ReaderWatch | None] = watch_readers,
) -> Source:
    """`source`, open only while somebody reads `sink`; `source` itself where that is unknown.

    Args:
        source: the camera, open.
        reopen: opens it again.
        sink: the virtual webcam.
        on_notice: told why it stays on, and of every change.
        watch_for: from the webcam's device to a watch; replaced in tests.
    """
    watch = watch_for(sink.device) if sink.device else None
    if watch is None:
        what = "cannot tell who reads it here" if sink.device else "the output is no virtual webcam"
        on_notice(Notice("idle", f"on demand: {what}, so the camera stays on"))
        return source

    def changed(idle: bool) -> None:
        text = "nobody looks: the camera is off" if idle else "somebody looks: the camera is on"
        on_notice(Notice("idle", text))

    return OnDemandSource(source, reopen, watch, changed)
