"""How a run shows that it goes on: a live line, a line now and then, or JSON, all on stderr."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Literal

from rvm.cli.console import QUIET, Console, is_terminal, printable

if TYPE_CHECKING:
    from rvm.matting.base import EngineInfo
    from rvm.sources.base import SourceInfo
    from rvm.telemetry import Notice, Progress

_PLAIN_SECONDS = 5.0
_LEAST_MS = 0.1  # stages faster than this do not matter
_BAR_WIDTH = 16


class Reporter(ABC):
    """Shows one run. `start` and `update` have the signatures the library calls back with."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def start(self, source: SourceInfo, engine: EngineInfo) -> None:
        """Say what comes in and what automatic choice took, and why."""
        self._console.say(f"rvm: {describe_source(source)}")
        self._console.say(f"rvm: {describe_engine(engine)}")

    @abstractmethod
    def update(self, progress: Progress) -> None:
        """Show how far it is."""

    def notice(self, notice: Notice) -> None:
        """Say what the run did by itself; may come from any thread."""
        self._console.say(f"rvm: {notice.text}")

    def close(self) -> None:
        """Leave the terminal as it was. Idempotent."""


class SilentReporter(Reporter):
    """Shows no progress."""

    def update(self, progress: Progress) -> None:
        """Nothing."""


class PlainReporter(Reporter):
    """One line every few seconds, for logs."""

    _next_line = 0.0

    def update(self, progress: Progress) -> None:
        """Write a line if it is time for one."""
        now = time.monotonic()
        if not self._next_line:
            self._next_line = now + _PLAIN_SECONDS
        if now >= self._next_line:
            self._next_line = now + _PLAIN_SECONDS
            self._console.say(f"rvm: {describe_progress(progress)}")


class JsonReporter(Reporter):
    """One JSON object a line; the console then says nothing else."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        console.events = True

    def start(self, source: SourceInfo, engine: EngineInfo) -> None:
        """Write the event `start`."""
        import dataclasses

        self._console.event(
            "start",
            input=source.name,
            width=source.width,
            height=source.height,
            frames_total=source.frame_count,
            **dataclasses.asdict(engine),
        )

    def update(self, progress: Progress) -> None:
        """Write the event `progress`."""
        import dataclasses

        self._console.event("progress", **dataclasses.asdict(progress))

    def notice(self, notice: Notice) -> None:
        """Write an event of the notice's kind."""
        self._console.event(notice.kind, text=notice.text)


class BarReporter(Reporter):
    """A bar on the terminal's last line, redrawn in place."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        self._bar = RichProgress(
            BarColumn(bar_width=_BAR_WIDTH),
            TextColumn("{task.description}", markup=False),
            console=RichConsole(stderr=True, no_color=not console.color, highlight=False),
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)
        self._running = False

    def update(self, progress: Progress) -> None:
        """Redraw."""
        room = self._bar.console.width - _BAR_WIDTH - 2
        self._bar.update(
            self._task,
            completed=progress.frames_done,
            total=progress.frames_total,
            description=describe_progress(progress, room),
        )
        if not self._running:
            self._bar.start()
            self._running = True
        self._bar.refresh()

    def notice(self, notice: Notice) -> None:
        """Print above the bar."""
        if self._running:
            self._bar.console.print(printable(f"rvm: {notice.text}"), markup=False)
        else:
            super().notice(notice)

    def close(self) -> None:
        """Remove the bar."""
        if self._running:
            self._bar.stop()
            self._running = False


def make_reporter(mode: Literal["auto", "bar", "json", "none"], console: Console) -> Reporter:
    """The reporter for `--progress`; a bar needs a terminal and is plain lines elsewhere."""
    if mode == "json":
        return JsonReporter(console)
    if mode == "none" or console.level <= QUIET:
        return SilentReporter(console)
    return BarReporter(console) if is_terminal() else PlainReporter(console)


def describe_source(source: SourceInfo) -> str:
    """`talk.mp4: 1280x720 yuv420p, 29.97 frames a second, 12.3 seconds`."""
    parts = [f"{source.width}x{source.height} {source.format.name}"]
    if source.frame_count == 1:
        return f"{source.name}: {parts[0]}, one picture"
    if source.frame_rate:
        parts.append(f"{float(source.frame_rate):.5g} frames a second")
    if source.duration_seconds:
        seconds = source.duration_seconds
        parts.append(f"{seconds:.1f} seconds" if seconds < 60 else clock_time(seconds))
    return f"{source.name}: {', '.join(parts)}"


def describe_engine(engine: EngineInfo) -> str:
    """What automatic choice took, and why."""
    return (
        f"{engine.model} by {engine.engine} on {engine.device} "
        f"({engine.provider}, {engine.precision}): {engine.reason}"
    )


def describe_progress(progress: Progress, width: int | None = None) -> str:
    """`120/266 frames  19.5/s  0:07 left  2 dropped  matting 42 ms  sink 3 ms`.

    Slow stages come first; what does not fit into `width` columns is left out.
    """
    done = f"{progress.frames_done}"
    if progress.frames_total:
        done += f"/{progress.frames_total}"
    parts = [f"{done} frames", f"{progress.fps:.1f}/s"]
    if progress.seconds_left is not None:
        parts.append(f"{clock_time(progress.seconds_left)} left")
    if progress.dropped:
        parts.append(f"{progress.dropped} dropped")
    by_time = sorted(progress.stages.items(), key=lambda stage: -stage[1])
    parts += [f"{name} {value:.3g} ms" for name, value in by_time if value >= _LEAST_MS]
    while width is not None and len(parts) > 2 and len("  ".join(parts)) > width:
        parts.pop()
    return "  ".join(parts)


def clock_time(seconds: float) -> str:
    """`0:07`, `12:34` or `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
