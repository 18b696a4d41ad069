"""A sequence of picture files in one folder.

It is written into a folder beside the wanted one (`shots` is written as `shots.part`) and moved
when it is complete.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from rvm.errors import OutputError, OutputExistsError
from rvm.media.stills import still_bytes
from rvm.sinks.hints import files_read
from rvm.sinks.partial import (
    kept_note,
    plain_reason,
    same_files,
    sync_folder,
    write_whole,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import Frame
    from rvm.sinks.hints import SourceHints
    from rvm.sinks.naming import Naming

_TRIES = 1000


class ImageSequence:
    """Pictures under the names that `naming` gives them.

    Overwriting replaces the pictures of these names and, where they are an earlier sequence of the
    same pattern, what it has beyond the new one's end. All other files stay.
    """

    def __init__(
        self,
        folder: Path,
        naming: Naming,
        *,
        info: SourceHints,
        gray: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.notes: list[str] = []
        self._folder = folder
        self._naming = naming
        self._gray = gray
        self._replaceable = self._check(info, overwrite=overwrite)
        self._part = self._claim()
        self._names: list[str] = []
        self._ended = False

    def takes_from_device(self, frame: Frame) -> bool:
        """Picture files are made in main memory."""
        return False

    def write(self, frame: Frame) -> None:
        """Write the next picture. Sizes may differ from picture to picture."""
        name = self._naming.name(frame, len(self._names))
        data = still_bytes(frame, Path(name).suffix.lower()[1:], gray=self._gray)
        advice = f"; the pictures so far are in {self._part}"
        write_whole(self._part / name, data, self._folder, advice)
        self._names.append(name)

    def close(self) -> None:
        """Move the pictures to their final place."""
        if self._ended:
            return
        self._ended = True
        try:
            if not self._names:
                self.notes.append(f"{self._folder}: no frames, nothing was written")
            elif not self._folder.exists():
                sync_folder(self._part)
                self._part.rename(self._folder)
                return
            else:
                self._move_each()
                self._remove_the_rest()
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
        if self._part.exists():
            self.notes.append(kept_note(self._folder, self._part))

    def _check(self, info: SourceHints, *, overwrite: bool) -> Sequence[str]:
        """Whether it may be written; the pictures that are there now and may be replaced."""
        folder = self._folder
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: this is a file, not a folder; choose another name")
        if not folder.absolute().parent.is_dir():
            raise OutputError(f"{folder}: there is no folder {folder.parent}; create it first")
        if not folder.is_dir():
            return []
        if Path(info.name).is_dir() and folder.samefile(info.name):
            raise OutputError(f"{folder}: this is the input itself; choose another output")
        taken = self._naming.taken(folder)
        if read := same_files([folder / name for name in taken], files_read(info)):
            raise OutputError(f"{read[0]}: this run reads that file; choose another output")
        if taken and not overwrite:
            raise OutputExistsError(
                f"{folder / taken[0]} exists; add -y to overwrite it or choose another folder"
            )
        return taken

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
        folder, names = self._folder, self._names
        others = set(names).difference(self._replaceable)
        if new := [name for name in others if (folder / name).exists()]:
            raise OutputExistsError(
                f"{folder / min(new)} appeared meanwhile and was left alone; "
                f"the finished pictures are in {self._part}"
            )
        for name in names:
            (self._part / name).replace(folder / name)
        sync_folder(folder)

    def _remove_the_rest(self) -> None:
        """Remove what a longer sequence left; say so, and which other pictures look like it."""
        written = set(self._names)
        earlier = self._naming.earlier(self._replaceable)
        stale = [name for name in earlier if name not in written]
        for name in stale:
            (self._folder / name).unlink(missing_ok=True)
        if stale:
            self.notes.append(
                f"{self._folder}: removed the rest of a longer sequence: {_few(stale)}"
            )
        if others := [name for name in self._naming.taken(self._folder) if name not in written]:
            self.notes.append(
                f"{self._folder}: pictures of the same kind of name were left: {_few(others)}"
            )


def _few(names: Sequence[str]) -> str:
    """`s02.png to s09.png`, or the one name."""
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
