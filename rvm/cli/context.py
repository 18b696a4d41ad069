"""What a run was asked for, parsed and checked as far as that goes without opening anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from rvm.config import bits_per_second
from rvm.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

    from rvm.config import ConvertSettings, LiveSettings

_PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclass(frozen=True, slots=True)
class Job:
    """One input and where its results go."""

    input: str
    output: str | None
    matte: str | None
    foreground: str | None

    @property
    def outputs(self) -> tuple[str, ...]:
        """What it writes."""
        return tuple(
            path for path in (self.output, self.matte, self.foreground) if path is not None
        )


@dataclass(frozen=True, slots=True)
class ConvertContext:
    """Everything `rvm convert` needs."""

    jobs: tuple[Job, ...]
    settings: ConvertSettings

    def arguments(self, job: Job) -> dict[str, Any]:
        """Keyword arguments of `rvm.convert` for one of the jobs."""
        values = _arguments(self.settings)
        return {
            "input": job.input,
            "output": job.output,
            "matte": job.matte,
            "foreground": job.foreground,
        } | values


@dataclass(frozen=True, slots=True)
class LiveContext:
    """Everything `rvm live` needs."""

    settings: LiveSettings

    @property
    def name(self) -> str:
        """What the camera is called in messages and objects."""
        from rvm.sources import without_secrets

        return without_secrets(self.settings.camera)

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `rvm.live`."""
        values = _arguments(self.settings)
        camera = self.settings.camera
        return values | {"camera": int(camera) if camera.isdecimal() else camera}


def _arguments(settings: ConvertSettings | LiveSettings) -> dict[str, Any]:
    values = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    return values | {"bitrate": bits_per_second(settings.bitrate)}


def convert_context(
    inputs: Sequence[str],
    output: str | None,
    matte: str | None,
    foreground: str | None,
    settings: ConvertSettings,
) -> ConvertContext:
    """Decide what each input becomes.

    With several inputs, `output`, `matte` and `foreground` are folders.

    Raises:
        UsageError: nothing to write, two results under one name, or a result that is an input.
    """
    if output is matte is foreground is None:
        example = Path(inputs[0]).stem + ".out.mp4"
        raise UsageError(f"nothing to write: give -o FILE (for instance -o {example}) or --matte")
    if len(inputs) == 1:
        jobs = [Job(inputs[0], output, matte, foreground)]
    else:
        suffix = ".mov" if settings.background == "transparent" else ".mp4"
        jobs = [
            Job(
                one,
                _in_folder(output, one, suffix),
                _in_folder(matte, one, ".mkv"),
                _in_folder(foreground, one, ".mp4"),
            )
            for one in inputs
        ]
    _refuse_collisions(jobs)
    return ConvertContext(tuple(jobs), settings)


def _in_folder(folder: str | None, one: str, suffix: str) -> str | None:
    """`folder/talk.mp4` for `clips/talk.mov`; pictures stay pictures."""
    if folder is None:
        return None
    path = PurePath(one)
    name = path.stem + (".png" if path.suffix.lower() in _PICTURES else suffix)
    return str(Path(folder) / name)


def _refuse_collisions(jobs: Sequence[Job]) -> None:
    sources = {Path(job.input).resolve() for job in jobs}
    seen: set[Path] = set()
    for job in jobs:
        for path in job.outputs:
            where = Path(path).resolve()
            if where in sources:
                raise UsageError(f"{path} is an input; write the result somewhere else")
            if where in seen:
                raise UsageError(f"two results would be written to {path}; rename an input")
            seen.add(where)
