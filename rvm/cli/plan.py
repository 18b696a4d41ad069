"""`--print-config` and `--dry-run`: say what would be done, and touch nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rvm.cli.progress import describe_engine, describe_source
from rvm.config_sources import to_toml
from rvm.errors import OutputError, OutputExistsError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.cli.console import Console
    from rvm.cli.context import ConvertContext, LiveContext
    from rvm.config import ConvertSettings, LiveSettings
    from rvm.config_sources import Resolved
    from rvm.matting.base import EngineInfo


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
    """Load the model, read the background, open every input, look at the outputs; write nothing.

    Raises:
        RvmError: what the run itself would fail with at its start.
    """
    from rvm.sources import open_source

    settings = context.settings
    engine = _try_matting(settings, console)
    for job in context.jobs:
        for path in job.outputs:
            _check_output(path, settings.overwrite, job.folders)
        with open_source(
            job.input,
            start_seconds=settings.start_seconds,
            duration_seconds=settings.duration_seconds,
            fps=settings.fps,
        ) as source:
            info = source.info
        console.say(f"rvm: {describe_source(info)}")
        for note in info.notes:
            console.say(f"rvm: note: {note}")
        console.say(f"rvm: would write {', '.join(job.outputs)}")
        if json:
            plan = {"input": job.input, "outputs": job.outputs, "frames_total": info.frame_count}
            plan |= {"width": info.width, "height": info.height}
            console.json(plan | dataclasses.asdict(engine))
    return 0


def plan_live(context: LiveContext, console: Console, *, json: bool) -> int:
    """Load the model, read the background, look at the output; no camera is switched on.

    Raises:
        RvmError: what the run itself would fail with, the camera and the webcam apart.
    """
    settings = context.settings
    engine = _try_matting(settings, console)
    if settings.to.partition(":")[0] not in ("virtualcam", "null"):
        _check_output(settings.to, settings.overwrite)
    console.say(f"rvm: would show camera {settings.camera} on {settings.to}")
    if json:
        plan = {"input": settings.camera, "outputs": [settings.to]}
        console.json(plan | dataclasses.asdict(engine))
    return 0


def _try_matting(settings: ConvertSettings | LiveSettings, console: Console) -> EngineInfo:
    from rvm.compositing import make_compositor
    from rvm.matting import load_engine

    make_compositor(settings.background or "none").close()
    engine = load_engine(
        settings.model,
        engine=settings.engine,
        device=settings.device,
        downsample_ratio=settings.downsample_ratio,
    )
    engine.close()
    console.say(f"rvm: {describe_engine(engine.info)}")
    return engine.info


def _check_output(name: str, overwrite: bool, to_make: Sequence[Path] = ()) -> None:
    path = Path(name)
    if path.is_file() and not overwrite:
        raise OutputExistsError(f"{path} exists; add -y to replace it, or choose another name")
    if not path.parent.is_dir() and path.parent not in to_make:
        raise OutputError(f"{path}: the folder {path.parent} does not exist; make it first")
