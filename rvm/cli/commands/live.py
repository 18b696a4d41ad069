"""`rvm live`: a camera, at its own pace, into a virtual webcam."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rvm.cli.context import LiveContext
from rvm.cli.controller import run_live
from rvm.cli.idle_options import note_idle_options
from rvm.cli.options import Running, Talk, given, options_for
from rvm.cli.plan import plan_live, show_settings
from rvm.config import LiveSettings
from rvm.config_sources import resolve

if TYPE_CHECKING:
    LiveOptions = LiveSettings
else:
    LiveOptions = options_for(LiveSettings)


def live_command(
    *,
    options: LiveOptions = LiveOptions(),  # noqa: B008 (frozen)
    running: Running = Running(),  # noqa: B008
    talk: Talk = Talk(),  # noqa: B008
) -> int:
    """Put a camera's person before another background, into a virtual webcam, live.

    The newest frame wins and every dropped one is counted. Ctrl-C ends it.
    """
    with talk.console(running.progress) as console:
        resolved = resolve(LiveSettings, given(options), config=running.config)
        if running.print_config:
            return show_settings("live", resolved, console, json=talk.json)
        context = LiveContext(resolved.settings)
        note_idle_options(resolved, console, [resolved.settings.to])
        if running.dry_run:
            return plan_live(context, console, json=talk.json)
        return run_live(context, console, progress=running.progress, json=talk.json)
