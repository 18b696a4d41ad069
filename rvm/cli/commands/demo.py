"""`rvm demo`: a small film that shows what the package does, without any input."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from rvm.cli.controller import run_pipeline
from rvm.cli.jobs import failure_as_json
from rvm.cli.options import ProgressMode, Talk
from rvm.config import Rule, check_value

_LENGTH = Rule("length of the film", above=0.0, high=60.0, takes_clock=True)


def demo_command(
    *,
    output: Annotated[str, Parameter(name=["--output", "-o"])] = ".",
    seconds: str = "4",
    background: str | None = None,
    model: Annotated[str | None, Parameter(name=["--model", "-m"])] = None,
    device: str = "auto",
    engine: str = "auto",
    overwrite: Annotated[bool, Parameter(name=["--overwrite", "-y"], negative=())] = False,
    progress: ProgressMode = "auto",
    talk: Talk = Talk(),  # noqa: B008 (frozen)
) -> int:
    """Matte a portrait that moves like a hand-held shot; write rvm-demo.mp4 and rvm-demo.png.

    Args:
        output: folder to write into.
        seconds: length of the film: seconds, MM:SS or HH:MM:SS (above 0 to 60).
        background: as for rvm convert; without it, an evening street is drawn.
        model: model name or file.
        device: auto, cpu, cuda, cuda:N or mps.
        engine: auto or an engine's name.
        overwrite: replace a demo that is there.
        progress: auto, bar, json or none.
    """
    from rvm.demo import DemoOptions, make_demo

    options = DemoOptions(
        model=model,
        device=device,
        engine=engine,
        background=background,
        seconds=check_value(float, _LENGTH, seconds, "--seconds"),
        overwrite=overwrite,
    )
    with talk.console(progress) as console:
        arguments = {"folder": output, "options": options}
        with failure_as_json(None, console, json=talk.json):
            return run_pipeline(make_demo, arguments, console, progress, talk.json)
