"""Pictures as image files: a numbered sequence, or a single one.

A sequence is written into a folder beside the wanted one (`shots` is written as `shots.part`) and
moved when it is complete. Numbers count the written frames from 0.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from rvm.errors import OutputError, OutputExistsError, UsageError
from rvm.media.stills import STILL_EXTENSIONS, still_bytes
from rvm.sinks.layers import LayerSink, picture_layer
from rvm.sinks.partial import PartialFile, check_target, plain_reason, sync_file, sync_folder

if TYPE_CHECKING:
    from rvm.frame import Frame
    from rvm.sinks.hints import SourceHints

logger = logging.getLogger(__name__)

_NUMBER = re.compile(r"%0?(\d*)d")
_DEFAULT_NAME = "%06d.png"
_TRIES = 1000


def is_images(spec: str | Path) -> bool:
    """True if an output means image files: a folder, a numbered pattern, or a picture's name."""
    text = os.fspath(spec)
    path = Path(text)
    return (
        _is_folder(text) or bool(_NUMBER.search(path.name)) or _extension(path) in STILL_EXTENSIONS
    )


def open_images(
    spec: str | Path, *, info: SourceHints, gray: bool = False, overwrite: bool = False
) -> ImageSequence | StillImage:
    """The writer for an output for which `is_images` is true.

    Raises:
        UsageError: a single picture was named, but the source has several frames.
        OutputError: the place cannot be written.
    """
    text = os.fspath(spec)
    path = Path(text)
    if _is_folder(text):
        return ImageSequence(path, _DEFAULT_NAME, info=info, gray=gray, overwrite=overwrite)
    if _NUMBER.search(path.name):
        return ImageSequence(path.parent, path.name, info=info, gray=gray, overwrite=overwrite)
    if (info.frame_count or 1) > 1:
        raise UsageError(several_frames(path))
    return StillImage(path, info=info, gray=gray, overwrite=overwrite)


def several_frames(path: Path) -> str:
    """What to say when one picture was asked for and more come."""
    sequence = path.with_name(f"{path.stem}_%06d{path.suffix}")
    return f"{path}: the input has more than one picture; write a sequence as {sequence}"


class ImagesSink(LayerSink):
    """The composed picture as image files; transparency is kept in PNG and WebP."""

    def __init__(self, spec: str | Path, *, info: SourceHints, overwrite: bool = False) -> None:
        """Check everything that needs no frame.

        Args:
            spec: `folder/` (writes `000000.png` and so on), `folder/shot_%04d.png`, or one
                picture (`.png`, `.jpg`, `.webp`) for an input that is a single picture.
            info: of the source.
            overwrite: replace what is there.
        """
        super().__init__(picture_layer, open_images(spec, info=info, overwrite=overwrite))


class StillImage:
    """One picture file."""

    def __init__(
        self, path: Path, *, info: SourceHints, gray: bool = False, overwrite: bool = False
    ) -> None:
        check_target(path, overwrite=overwrite, inputs=[info.name])
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
        _write_bytes(self._partial.temporary, data, self._path)
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
            _note_kept(self.notes, self._path, self._partial.keep())


class ImageSequence:
    """A numbered sequence of picture files."""

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        info: SourceHints,
        gray: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.notes: list[str] = []
        self._folder = folder
        self._name = name
        self._extension = _extension(Path(name))
        self._gray = gray
        self._overwrite = overwrite
        if self._extension not in STILL_EXTENSIONS:
            known = ", ".join(f".{known}" for known in STILL_EXTENSIONS)
            raise UsageError(f"{name}: picture files end in one of {known}")
        self._check(info)
        self._part = self._claim()
        self._count = 0
        self._ended = False

    def takes_from_device(self, frame: Frame) -> bool:
        """Picture files are made in main memory."""
        return False

    def write(self, frame: Frame) -> None:
        """Write the next picture. Sizes may differ from picture to picture."""
        path = self._part / _numbered(self._name, self._count)
        data = still_bytes(frame, self._extension, gray=self._gray)
        _write_bytes(path, data, self._folder, f"; the pictures so far are in {self._part}")
        self._count += 1

    def close(self) -> None:
        """Move the pictures to their final place."""
        if self._ended:
            return
        self._ended = True
        try:
            if self._count == 0:
                self.notes.append(f"{self._folder}: no frames, nothing was written")
            elif not self._folder.exists():
                sync_folder(self._part)
                self._part.rename(self._folder)
                return
            else:
                self._move_each()
            self._part.rmdir()
        except FileExistsError:
            raise
        except OSError as error:
            raise OutputError(
                f"{self._folder}: {plain_reason(error)}; the pictures are in {self._part}"
            ) from error

    def abort(self) -> None:
        """Leave the pictures in the temporary folder."""
        if self._ended:
            return
        self._ended = True
        with contextlib.suppress(OSError):
            self._part.rmdir()  # only if it is empty
        _note_kept(self.notes, self._folder, self._part if self._part.exists() else None)

    def _check(self, info: SourceHints) -> None:
        folder = self._folder
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: this is a file, not a folder; choose another name")
        if not folder.absolute().parent.is_dir():
            raise OutputError(f"{folder}: there is no folder {folder.parent}; create it first")
        if Path(info.name).is_dir() and folder.is_dir() and folder.samefile(info.name):
            raise OutputError(f"{folder}: this is the input itself; choose another output")
        existing = self._existing()
        if existing and not self._overwrite:
            raise OutputExistsError(
                f"{existing[0]} exists; add -y to overwrite it or choose another folder"
            )

    def _existing(self) -> list[Path]:
        """Files in the folder that this sequence could write."""
        if not self._folder.is_dir():
            return []
        before, after = _NUMBER.split(self._name)[0], _NUMBER.split(self._name)[-1]
        shape = re.compile(re.escape(before) + r"\d+" + re.escape(after))
        return sorted(path for path in self._folder.iterdir() if shape.fullmatch(path.name))

    def _claim(self) -> Path:
        base = self._folder.absolute()
        for number in range(1, _TRIES):
            part = base.with_name(f"{base.name}.part{'' if number == 1 else number}")
            try:
                part.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise OutputError(f"{self._folder}: {plain_reason(error)}") from error
            return part
        raise OutputError(f"{base}.part: too many unfinished folders; remove them")

    def _move_each(self) -> None:
        names = [_numbered(self._name, number) for number in range(self._count)]
        if not self._overwrite and (taken := [n for n in names if (self._folder / n).exists()]):
            raise OutputExistsError(
                f"{self._folder / taken[0]} appeared meanwhile and was left alone; "
                f"the finished pictures are in {self._part}"
            )
        for stale in set(self._existing()) - {self._folder / name for name in names}:
            stale.unlink()  # the rest of a longer sequence that -y allowed to replace
        for name in names:
            (self._part / name).replace(self._folder / name)
        sync_folder(self._folder)


def _is_folder(text: str) -> bool:
    try:
        return text.endswith(("/", os.sep)) or Path(text).is_dir()
    except OSError:
        return False  # a name the system refuses; whoever opens it says why


def _extension(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def _numbered(name: str, number: int) -> str:
    return _NUMBER.sub(lambda match: f"{number:0{match[1] or 1}d}", name, count=1)


def _write_bytes(path: Path, data: bytes, wanted: Path, advice: str = "") -> None:
    try:
        path.write_bytes(data)
        sync_file(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()  # half a picture is of no use
        raise OutputError(f"{wanted}: {plain_reason(error)}{advice}") from error


def _note_kept(notes: list[str], wanted: Path, kept: Path | None) -> None:
    if kept is not None:
        notes.append(f"unfinished: what was written so far is {kept}")
        logger.warning("%s is unfinished: what was written so far is %s", wanted, kept)
