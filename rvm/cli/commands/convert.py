"""`rvm convert`: a video, picture or sequence of pictures, from start to end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from rvm.cli.context import convert_context
from rvm.cli.controller import run_convert
from rvm.cli.idle_options import note_idle_options
from rvm.cli.options import Running, Talk, given, options_for
from rvm.cli.plan import plan_convert, show_settings
from rvm.config import ConvertSettings
from rvm.config_sources import resolve
from rvm.errors import UsageError

if TYPE_CHECKING:
    ConvertOptions = ConvertSettings
else:
    ConvertOptions = options_for(ConvertSettings)


def convert_command(
    *inputs: str,
    output: Annotated[str | None, Parameter(name=["--output", "-o"])] = None,
    matte: str | None = None,
    foreground: str | None = None,
    options: ConvertOptions = ConvertOptions(),  # noqa: B008 (frozen)
    running: Running = Running(),  # noqa: B008
    talk: Talk = Talk(),  # noqa: B008
) -> int:
    """Replace the background of a video, with sound, timing and colours kept.

    Args:
        inputs: videos, pictures, folders of pictures, or numbered pictures (shot_%04d.png).
        output: the result; by its suffix .mp4 .mov .mkv .webm, or a picture. FOLDER/ gets files
            named after the inputs, FOLDER/%06d.png a numbered picture for each frame.
        matte: write the matte, likewise; .mkv is lossless 8-bit gray.
        foreground: write the person's own colours, likewise: a fill to be multiplied with the
            matte. They go on for some pixels beyond the person; farther off it is black.
    """
    with talk.console(running.progress) as console:
        resolved = resolve(ConvertSettings, given(options), config=running.config)
        if running.print_config:
            return show_settings("convert", resolved, console, json=talk.json)
        if not inputs:
            raise UsageError("no INPUT was given; see rvm convert --help")
        context = convert_context(
            inputs, output, matte, foreground, resolved.settings, resolved.files
        )
        note_idle_options(resolved, console, context.encoder_outputs)
        if running.dry_run:
            return plan_convert(context, console, json=talk.json)
        return run_convert(context, console, progress=running.progress, json=talk.json)
