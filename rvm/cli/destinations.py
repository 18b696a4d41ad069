"""Where each of the inputs of `rvm convert` goes when the outputs are folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rvm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What comes out of an input: as many pictures, one, or a video.
Kind = Literal["pictures", "picture", "video"]


@dataclass(frozen=True, slots=True)
class Layer:
    """One of the three things that a run can write.

    Attributes:
        video_suffix: of a video of it in a folder.
        alpha: it is transparent.
        lossless: its pictures keep every value.
    """

    video_suffix: str
    alpha: bool = False
    lossless: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where one result goes, and the folder to make for it, if any."""

    path: str
    folder: Path | None = None


def places(given: str | None, inputs: Sequence[str], layer: Layer, *, held: bool) -> list[Place]:
    """The place of one layer of each input; empty where `given` is None.

    A folder gets files that are named after the inputs. Only the pictures of a sequence that is
    the only input go into the folder itself.

    Args:
        given: a file, a numbered name, or a folder (exists, ends in a slash, or has no suffix and
            there are several inputs).
        inputs: what is converted.
        layer: which layer it is.
        held: a single picture is shown for a while, as a video.

    Raises:
        UsageError: a file for several inputs.
    """
    if given is None:
        return []
    several = len(inputs) > 1
    if not _is_folder(given, several=several):
        if several:
            raise UsageError(
                f"{given} is for one input, but there are {len(inputs)}; give a folder: "
                f"{_folder_instead(Path(given))}/"
            )
        return [Place(given)]
    return [_inside(Path(given), one, layer, several=several, held=held) for one in inputs]


def result_of(name: str, *, held: bool) -> Kind:
    """What comes out of an input, by its name alone and whether it is a folder."""
    from rvm.sources import kind_of
    from rvm.sources.images import numbered_name

    if kind_of(name) != "images":
        return "video"
    path = Path(name)
    if path.is_dir() or numbered_name(path) is not None:
        return "pictures"
    return "video" if held else "picture"


def _is_folder(given: str, *, several: bool) -> bool:
    path = Path(given)
    return given.endswith(("/", os.sep)) or path.is_dir() or (several and not path.suffix)


def _folder_instead(path: Path) -> Path:
    """`out` for `out.mp4` and for `out/%06d.png`."""
    from rvm.media.numbered import NumberedName

    return path.parent if NumberedName.parse(path.name) is not None else path.with_suffix("")


def _inside(folder: Path, one: str, layer: Layer, *, several: bool, held: bool) -> Place:
    from rvm.media.stills import picture_name

    kind = result_of(one, held=held)
    if kind == "video":
        return Place(str(folder / f"{Path(one).stem}{layer.video_suffix}"), folder)
    if kind == "picture":
        name = picture_name(Path(one).name, alpha=layer.alpha, lossless=layer.lossless)
        return Place(str(folder / name), folder)
    if not several:
        return Place(f"{folder}/")  # made by the sink, under its name when it is complete
    return Place(f"{folder / _sequence_name(Path(one))}/", folder)


def _sequence_name(path: Path) -> str:
    """The folder's name; `shot` for `shot_%04d.png`."""
    from rvm.media.numbered import NumberedName

    pattern = None if path.is_dir() else NumberedName.parse(path.stem)
    if pattern is None:
        return path.resolve().name
    return f"{pattern.before}{pattern.after}".strip("_-. ") or path.resolve().parent.name
