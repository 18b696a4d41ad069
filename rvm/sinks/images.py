"""Pictures as image files: a sequence in a folder, or a single one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rvm.errors import UsageError
from rvm.media.numbered import NumberedName
from rvm.media.stills import (
    ALPHA_EXTENSIONS,
    STILL_EXTENSIONS,
    picture_name,
    still_bytes,
)
from rvm.sinks.codecs import NO_ALPHA_HELP
from rvm.sinks.hints import files_read
from rvm.sinks.layers import LayerSink, picture_layer
from rvm.sinks.naming import KeptNames, Numbers
from rvm.sinks.partial import PartialFile, check_target, kept_note, write_whole
from rvm.sinks.sequence import ImageSequence

if TYPE_CHECKING:
    from rvm.frame import Frame
    from rvm.sinks.hints import SourceHints
    from rvm.sinks.naming import Naming

_DEFAULT_NAME = NumberedName("", 6, ".png")


def is_images(spec: str | Path) -> bool:
    """True if an output means image files: a folder, a numbered pattern, or a picture's name."""
    text = os.fspath(spec)
    path = Path(text)
    numbered = NumberedName.parse(path.name) is not None
    return _is_folder(text) or numbered or _extension(path) in STILL_EXTENSIONS


def open_images(
    spec: str | Path,
    *,
    info: SourceHints,
    gray: bool = False,
    alpha: bool = False,
    overwrite: bool = False,
) -> ImageSequence | StillImage:
    """The writer for an output for which `is_images` is true.

    Raises:
        UsageError: a single picture was named, but the source has several frames; or a type of
            picture that cannot be written, or not with the frames' `alpha`.
        OutputError: the place cannot be written.
    """
    text = os.fspath(spec)
    path = Path(text)
    if _is_folder(text):
        naming = _naming_in_folder(info, alpha=alpha, gray=gray)
        sequence = ImageSequence(path, naming, info=info, gray=gray, overwrite=overwrite)
        if info.picture_names and not isinstance(naming, KeptNames):
            sequence.notes.append(f"{path}: numbered, as two pictures would have the same name")
        return sequence
    _check_type(path, alpha=alpha)
    pattern = NumberedName.parse(path.name)
    if pattern is not None:
        naming = Numbers(pattern)
        return ImageSequence(path.parent, naming, info=info, gray=gray, overwrite=overwrite)
    if (info.frame_count or 1) > 1:
        raise UsageError(several_frames(path))
    return StillImage(path, info=info, gray=gray, overwrite=overwrite)


def _naming_in_folder(info: SourceHints, *, alpha: bool, gray: bool) -> Naming:
    """Pictures keep their names if that gives each its own; all else is numbered."""
    names = [picture_name(name, alpha=alpha, lossless=gray) for name in info.picture_names]
    distinct = len({name.casefold() for name in names}) == len(names)  # on every file system
    return KeptNames(names) if names and distinct else Numbers(_DEFAULT_NAME)


def _check_type(path: Path, *, alpha: bool) -> None:
    extension = _extension(path)
    if extension not in STILL_EXTENSIONS:
        known = ", ".join(f".{known}" for known in STILL_EXTENSIONS)
        raise UsageError(f"{path.name}: picture files end in one of {known}")
    if alpha and extension not in ALPHA_EXTENSIONS:
        raise UsageError(f".{extension} cannot hold transparency; {NO_ALPHA_HELP}")


def several_frames(path: Path) -> str:
    """What to say when one picture was asked for and more come."""
    sequence = path.with_name(f"{path.stem}_%06d{path.suffix}")
    return f"{path}: the input has more than one picture; write a sequence as {sequence}"


class ImagesSink(LayerSink):
    """The composed picture as image files; transparency is kept in PNG and WebP."""

    def __init__(
        self, spec: str | Path, *, info: SourceHints, alpha: bool = False, overwrite: bool = False
    ) -> None:
        """Check everything that needs no frame.

        Args:
            spec: `folder/` (`000000.png` and so on; pictures that come from files keep their
                names), `folder/shot_%04d.png`, or one picture (`.png`, `.jpg`, `.webp`) for an
                input that is a single picture.
            info: of the source.
            alpha: the pictures are transparent, and the files must hold that.
            overwrite: replace what is there.
        """
        writer = open_images(spec, info=info, alpha=alpha, overwrite=overwrite)
        super().__init__(picture_layer, writer)


class StillImage:
    """One picture file."""

    def __init__(
        self, path: Path, *, info: SourceHints, gray: bool = False, overwrite: bool = False
    ) -> None:
        check_target(path, overwrite=overwrite, inputs=files_read(info))
        self.notes: list[str] = []
        self._path = path
        self._gray = gray
        self._partial = PartialFile(path, overwrite=overwrite)
        self._written = False
        self._ended = False

    def takes_from_device(self, frame: Frame) -> bool:
        """Picture files are made in main memory."""
        return False

    def write(self, frame: Frame) -> None:
        """Write the picture; a second one is a `UsageError`."""
        if self._written:
            raise UsageError(several_frames(self._path))
        data = still_bytes(frame, _extension(self._path), gray=self._gray)
        write_whole(self._partial.temporary, data, self._path)
        self._written = True

    def close(self) -> None:
        """Give the file its final name."""
        if self._ended:
            return
        self._ended = True
        if self._written:
            self._partial.commit()
        else:
            self._partial.discard()
            self.notes.append(f"{self._path}: no frames, nothing was written")

    def abort(self) -> None:
        """Leave the picture, if there is one, under its temporary name."""
        if not self._ended:
            self._ended = True
            kept = self._partial.keep()
            if kept is not None:
                self.notes.append(kept_note(self._path, kept))


def _is_folder(text: str) -> bool:
    try:
        return text.endswith(("/", os.sep)) or Path(text).is_dir()
    except OSError:
        return False  # a name the system refuses; whoever opens it says why


def _extension(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")
