"""`--print-config` and `--dry-run`: say what would be done, and touch nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvm.cli.progress import describe_engine, describe_source
from rvm.config_sources import to_toml
from rvm.errors import OutputError, OutputExistsError

if TYPE_CHECKING:
    from rvm.cli.console import Console
    from rvm.cli.context import ConvertContext
    from rvm.config_sources import Resolved


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
    """Open every input, load the model, read the background, look at the outputs; write nothing.

    Raises:
        RvmError: what the run itself would fail with at its start.
    """
    from rvm.compositing import make_compositor
    from rvm.matting import load_engine
    from rvm.sources import open_source

    settings = context.settings
    engine = load_engine(
        settings.model,
        engine=settings.engine,
        device=settings.device,
        downsample_ratio=settings.downsample_ratio,
    )
    info = engine.info
    engine.close()
    make_compositor(settings.background or "none").close()
    console.say(f"rvm: {describe_engine(info)}")
    for job in context.jobs:
        outputs = [path for path in (job.output, job.matte, job.foreground) if path is not None]
        for path in outputs:
            _check_output(path, settings.overwrite)
        with open_source(
            job.input,
            start_seconds=settings.start_seconds,
            duration_seconds=settings.duration_seconds,
        ) as source:
            console.say(f"rvm: {describe_source(source.info)}")
            for note in source.info.notes:
                console.say(f"rvm: note: {note}")
            plan = {
                "input": job.input,
                "outputs": [str(path) for path in outputs],
                "width": source.info.width,
                "height": source.info.height,
                "frames_total": source.info.frame_count,
                **dataclasses.asdict(info),
            }
        console.say(f"rvm: would write {', '.join(map(str, outputs))}")
        if json:
            console.json(plan)
    return 0


def _check_output(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists; add -y to replace it, or choose another name")
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: {folder} is not a folder")
