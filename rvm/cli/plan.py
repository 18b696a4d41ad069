"""`--print-config` and `--dry-run`: say what would be done, and leave everything as it is."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from rvm.cli.jobs import failure_as_json, for_each
from rvm.cli.progress import describe_engine, describe_source
from rvm.config_sources import to_toml

if TYPE_CHECKING:
    from collections.abc import Callable

    from rvm.cli.console import Console
    from rvm.cli.context import ConvertContext, Job, LiveContext
    from rvm.config_sources import Resolved
    from rvm.matting.base import EngineInfo
    from rvm.sources.base import SourceInfo
    from rvm.telemetry import Notice, Report


def show_settings(command: str, resolved: Resolved[Any], console: Console, *, json: bool) -> int:
    """Every setting with where its value comes from, as TOML or JSON on stdout."""
    if json:
        values = dataclasses.asdict(resolved.settings)
        console.json(
            {
                name: {"value": values[name], "from": origin}
                for name, origin in resolved.origins.items()
            }
        )
    else:
        console.data(to_toml(command, resolved))
    return 0


def plan_convert(context: ConvertContext, console: Console, *, json: bool) -> int:
    """Open what the run would open, say what it would do, and close it again.

    Outputs are opened too, under their temporary names, which are gone afterwards.

    Raises:
        RvmError: what the run itself would fail with at its start.
    """
    from rvm.api import convert

    def plan(job: Job) -> int:
        facts = _checked(convert, context.arguments(job), console)
        console.say(f"rvm: would write {', '.join(job.outputs)}")
        if json:
            console.json({"input": job.input, "outputs": job.outputs} | facts)
        return 0

    return for_each(context.jobs, plan, console, json=json)


def plan_live(context: LiveContext, console: Console, *, json: bool) -> int:
    """Check what can be checked with every device left alone, and say what would be done.

    Raises:
        RvmError: what the run itself would fail with at its start.
    """
    from rvm.api import live

    settings = context.settings
    with failure_as_json(context.name, console, json=json):
        facts = _checked(live, context.arguments(), console)
    console.say(f"rvm: would show {_of_camera(context.name)} on {settings.to}")
    if json:
        console.json({"input": context.name, "outputs": [settings.to]} | facts)
    return 0


def _of_camera(name: str) -> str:
    return f"camera {name}" if name.isdecimal() else name


def _checked(
    function: Callable[..., Report], arguments: dict[str, Any], console: Console
) -> dict[str, Any]:
    """Run the library's own checks; return what was found."""
    facts: dict[str, Any] = {}

    def started(source: SourceInfo, engine: EngineInfo) -> None:
        console.say(f"rvm: {describe_source(source)}")
        console.say(f"rvm: {describe_engine(engine)}")
        facts["frames_total"] = source.frame_count
        facts.update(width=source.width, height=source.height, **dataclasses.asdict(engine))

    def noticed(notice: Notice) -> None:
        console.say(f"rvm: {notice.text}")

    report = function(**arguments, dry_run=True, on_start=started, on_notice=noticed)
    for note in report.notes:
        console.say(f"rvm: note: {note}")
    return facts
