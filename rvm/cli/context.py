"""What a run was asked for, parsed and checked as far as that goes without opening anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rvm.cli.destinations import Layer, Place, places
from rvm.config import bits_per_second
from rvm.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

    from rvm.config import ConvertSettings, LiveSettings


@dataclass(frozen=True, slots=True)
class Job:
    """One input and where its results go."""

    input: str
    output: Place | None
    matte: Place | None
    foreground: Place | None

    @property
    def outputs(self) -> tuple[str, ...]:
        """What it writes."""
        return tuple(place.path for place in self._places)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Folders to make before, if they are not there."""
        return tuple(place.folder for place in self._places if place.folder is not None)

    @property
    def _places(self) -> tuple[Place, ...]:
        return tuple(
            place for place in (self.output, self.matte, self.foreground) if place is not None
        )


@dataclass(frozen=True, slots=True)
class ConvertContext:
    """Everything `rvm convert` needs."""

    jobs: tuple[Job, ...]
    settings: ConvertSettings

    @property
    def encoder_outputs(self) -> tuple[str, ...]:
        """What the encoder's options are for: the results, or the layers where there are none."""
        return tuple(
            path for job in self.jobs for path in ([job.output.path] if job.output else job.outputs)
        )

    def arguments(self, job: Job) -> dict[str, Any]:
        """Keyword arguments of `rvm.convert` for one of the jobs."""
        values = _arguments(self.settings)
        return {
            "input": job.input,
            "output": job.output and job.output.path,
            "matte": job.matte and job.matte.path,
            "foreground": job.foreground and job.foreground.path,
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
    configs: Sequence[Path] = (),
) -> ConvertContext:
    """Decide what each input becomes; see `rvm.cli.destinations.places`.

    Args:
        inputs: what is converted.
        output, matte, foreground: files, numbered names or folders.
        settings: of the run.
        configs: files that the settings come from.

    Raises:
        UsageError: nothing to write, one file for several inputs, two results under one name, or
            a result in the place of a file that is read.
    """
    from rvm.compositing import background_file, is_transparent

    if output is matte is foreground is None:
        example = Path(inputs[0]).stem + ".out.mp4"
        raise UsageError(f"nothing to write: give -o FILE (for instance -o {example}) or --matte")
    background = settings.background or ""
    alpha = is_transparent(background)
    layers = (
        (output, Layer(".mov" if alpha else ".mp4", alpha=alpha)),
        (matte, Layer(".mkv", lossless=True)),
        (foreground, Layer(".mp4")),
    )
    held = settings.duration_seconds is not None
    columns = [places(given, inputs, layer, held=held) for given, layer in layers]
    jobs = [
        Job(one, *(column[number] if column else None for column in columns))
        for number, one in enumerate(inputs)
    ]
    read = {Path(one).resolve(): "an input" for one in inputs}
    read |= {path.resolve(): "the configuration" for path in configs}
    if (behind := background_file(background)) is not None:
        read[behind.resolve()] = "the background"
    _refuse_collisions(jobs, read)
    return ConvertContext(tuple(jobs), settings)


def _refuse_collisions(jobs: Sequence[Job], read: Mapping[Path, str]) -> None:
    from rvm.media.picture_files import PICTURE_SUFFIXES

    seen: set[Path] = set()
    for path in (path for job in jobs for path in job.outputs):
        where = Path(path).resolve()
        if where in read:
            raise UsageError(f"{path} is {read[where]}; write the result somewhere else")
        picture = where.suffix.lower() in PICTURE_SUFFIXES and where.exists()
        if picture and where.parent in read:  # of an input that is a folder of pictures
            raise UsageError(f"{path} is an input; write the result somewhere else")
        if where in seen:
            raise UsageError(
                f"two results would be written to {path}; rename an input or give another folder"
            )
        seen.add(where)
