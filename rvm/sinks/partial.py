"""A file under construction: written beside its final name, and given that name when complete.

`talk.mp4` is written as `talk.part.mp4` in the same folder (the extension stays, so that a player
opens what a crash left behind). The final name appears at once and complete, or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rvm.errors import OutputError, OutputExistsError

if TYPE_CHECKING:
    from collections.abc import Iterable

logger = logging.getLogger(__name__)

_TRIES = 1000


def check_target(
    path: Path, *, overwrite: bool, inputs: Iterable[str | os.PathLike[str]] = ()
) -> None:
    """Check all that can be known about an output before anything is written.

    Raises:
        OutputExistsError: it exists and `overwrite` is False.
        OutputError: no such folder, it is a folder or device, it cannot be written, or it is
            one of `inputs`.
    """
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(f"{path}: there is no folder {folder}; create it first")
    try:
        path.lstat()
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # too long, or not a name at all
        raise OutputError(f"{str(path)[:200]}: {plain_reason(error)}") from error
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder; give the name of a file")
    if same_files([path], inputs):
        raise OutputError(f"{path}: this run reads that file; choose another output")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: this is not an ordinary file; choose another output")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path} exists; add -y to overwrite it or choose another name")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: no permission to write into {folder}")


def same_files(
    paths: Iterable[str | os.PathLike[str]], others: Iterable[str | os.PathLike[str]]
) -> list[str | os.PathLike[str]]:
    """Those of `paths` that are one of `others`, by whatever name."""
    known = {identity for other in others if (identity := _identity(other)) is not None}
    return [path for path in paths if _identity(path) in known]


def _identity(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """What tells a file from every other; None where there is none."""
    with contextlib.suppress(OSError, ValueError):
        status = Path(path).stat()
        return status.st_dev, status.st_ino
    return None


class PartialFile:
    """A claimed temporary file beside `path`; ends by `commit`, `keep` or `discard`."""

    def __init__(self, path: Path, *, overwrite: bool) -> None:
        """Create the temporary file.

        Raises:
            OutputError: it cannot be created.
        """
        self.path = path
        self._overwrite = overwrite
        self.temporary = self._claim()

    def _claim(self) -> Path:
        for number in itertools.count(1):
            label = "part" if number == 1 else f"part{number}"
            candidate = self.path.with_name(f"{self.path.stem}.{label}{self.path.suffix}")
            try:
                os.close(os.open(candidate, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            except FileExistsError:
                if number == _TRIES:
                    raise OutputError(
                        f"{candidate}: too many unfinished files; remove them"
                    ) from None
                continue
            except OSError as error:
                raise OutputError(f"{self.path}: {plain_reason(error)}") from error
            return candidate
        raise AssertionError("unreachable")

    def commit(self) -> None:
        """Bring everything to the disk, then give the file its final name, atomically.

        Raises:
            OutputExistsError: something took the final name meanwhile; the file keeps its
                temporary name.
            OutputError: the disk failed.
        """
        try:
            sync_file(self.temporary)
            if self._overwrite:
                self.temporary.replace(self.path)
            else:
                _rename_new(self.temporary, self.path)
            sync_folder(self.path.parent)
        except FileExistsError as error:
            raise OutputExistsError(
                f"{self.path} appeared meanwhile and was left alone; "
                f"the finished file is {self.temporary}"
            ) from error
        except OSError as error:
            raise OutputError(
                f"{self.path}: {plain_reason(error)}; see {self.temporary}"
            ) from error

    def keep(self) -> Path | None:
        """Leave the file under its temporary name; None (and no file) if it is empty."""
        with contextlib.suppress(OSError):
            if self.temporary.stat().st_size:
                return self.temporary
        self.discard()
        return None

    def discard(self) -> None:
        """Remove the temporary file."""
        self.temporary.unlink(missing_ok=True)


def _rename_new(source: Path, target: Path) -> None:
    """Rename without ever replacing: FileExistsError if the target is there."""
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: claim the name, then replace the claim
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        source.replace(target)
        return
    source.unlink()


def write_whole(path: Path, data: bytes, wanted: Path, advice: str = "") -> None:
    """Write a file and bring it to the disk, or leave none.

    Raises:
        OutputError: the disk failed; it names `wanted` and ends in `advice`.
    """
    try:
        path.write_bytes(data)
        sync_file(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            path.unlink()  # half a file is of no use
        raise OutputError(f"{wanted}: {plain_reason(error)}{advice}") from error


def kept_note(wanted: Path, kept: Path) -> str:
    """What to tell of an unfinished output; the log has it with the name that was wanted."""
    logger.warning("%s is unfinished: what was written so far is %s", wanted, kept)
    return f"unfinished: what was written so far is {kept}"


def sync_file(path: Path) -> None:
    """Wait until a file's contents are on the disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until a rename is on the disk, where the system can."""
    with contextlib.suppress(OSError):  # Windows cannot open folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file grew beyond the allowed size",
    errno.EIO: "the disk reported an error",
    errno.EACCES: "no permission to write there",
    errno.EPERM: "no permission to write there",
    errno.EROFS: "the disk is read-only",
    errno.ENAMETOOLONG: "the name is too long",
}


def plain_reason(error: BaseException) -> str:
    """Why writing failed, in a few words without numbers."""
    number = getattr(error, "errno", None)
    words = _REASONS.get(number or 0) or getattr(error, "strerror", None) or str(error)
    return " ".join(str(words or type(error).__name__).split()).lower()[:200]
