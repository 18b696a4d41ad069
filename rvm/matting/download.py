"""`rvm models pull`: fetch a pinned model, or keep nothing under its name.

The bytes go to NAME.part, which an interrupted download leaves behind and the next one continues.
Only when size and sha256 are the pinned ones does the file get its name, in one step. A lock file
lets two processes pull at the same time without harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rvm.errors import ModelError, ModelHashError
from rvm.matting.weights import by_path_only, verify

if TYPE_CHECKING:
    from rvm.matting.weights import ModelEntry

logger = logging.getLogger(__name__)

#: Called with (bytes so far, bytes in all).
Progress = Callable[[int, int], None]

_BLOCK = 1 << 16
_TIMEOUT_SECONDS = 30.0
_ATTEMPTS = 3
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def pull(entry: ModelEntry, progress: Progress | None = None) -> Path:
    """Download a model unless it is already here and right.

    Args:
        entry: a pinned model with a URL. One that ships is only verified.
        progress: told after each block.

    Returns:
        Where the verified file lies.

    Raises:
        ModelError: nothing is pinned, `RVM_OFFLINE` is set, or the server or the disk failed. What
            has come so far stays in the .part file.
        ModelHashError: the server gave another file; it was thrown away.
    """
    if entry.file is not None or _is_good(entry):
        verify(entry)
        return entry.path
    if not entry.pinned or entry.url is None:
        raise ModelError(by_path_only(entry))
    if os.environ.get("RVM_OFFLINE", "0") not in ("", "0"):
        raise ModelError(
            f"RVM_OFFLINE is set, so {entry.name} is not downloaded; unset it, or fetch "
            f"{entry.url} elsewhere and pass --model PATH"
        )
    try:
        entry.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(entry.path.with_name(entry.path.name + ".lock")):
            if not _is_good(entry):  # another process may have pulled it meanwhile
                _pull_locked(entry, progress or (lambda done, total: None))
    except OSError as error:
        raise ModelError(f"cannot store {entry.path}: {error.strerror or error}") from None
    return entry.path


def _is_good(entry: ModelEntry) -> bool:
    try:
        verify(entry)
    except ModelError:
        return False
    return True


def _pull_locked(entry: ModelEntry, progress: Progress) -> None:
    part = entry.path.with_name(entry.path.name + ".part")
    total = entry.bytes or 0
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            _fetch(entry, part, total, progress)
        except urllib.error.HTTPError as error:
            raise ModelError(f"cannot download {entry.url}: {error.code} {error.reason}") from None
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError) as error:
            if attempt == _ATTEMPTS:
                raise ModelError(
                    f"cannot download {entry.url}: {getattr(error, 'reason', error)}; "
                    "run the same command again to go on"
                ) from None
            logger.info("download of %s was interrupted, going on: %s", entry.name, error)
        if part.exists() and part.stat().st_size == total:
            break
    _keep_if_right(entry, part, total)


def _fetch(entry: ModelEntry, part: Path, total: int, progress: Progress) -> None:
    """Append to `part` what is missing, or begin anew if the server cannot continue."""
    have = part.stat().st_size if part.exists() else 0
    if have >= total:
        part.unlink(missing_ok=True)
        have = 0
    request = urllib.request.Request(_safe_url(entry.url or ""))  # noqa: S310 (checked)
    request.add_header("User-Agent", "rvm-matting")
    request.add_header("Accept-Encoding", "identity")
    if have:
        request.add_header("Range", f"bytes={have}-")
    opener = urllib.request.build_opener(_SafeRedirects)
    with opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
        resumed = have and response.status == HTTPStatus.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise ModelError(f"{entry.url}: the server continued at the wrong place")
        with part.open("ab" if resumed else "wb") as file:
            _copy(response, file, have if resumed else 0, total, progress)


def _copy(source: Any, file: IO[bytes], done: int, total: int, progress: Progress) -> None:
    """Copy at most one byte more than `total`, so that a longer file is noticed, not stored."""
    while done <= total and (block := source.read(min(_BLOCK, total + 1 - done))):
        file.write(block)
        done += len(block)
        progress(min(done, total), total)
    file.flush()
    os.fsync(file.fileno())


def _keep_if_right(entry: ModelEntry, part: Path, total: int) -> None:
    size = part.stat().st_size
    if size < total:
        raise ModelError(
            f"{entry.url} ended after {size} of {total} bytes; run the same command again to go on"
        )
    with part.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if size != total or digest != entry.sha256:
        part.unlink()
        raise ModelHashError(
            f"{entry.url} is not the published {entry.name} (sha256 {digest[:12]}..., expected "
            f"{(entry.sha256 or '')[:12]}...); it was thrown away"
        )
    part.replace(entry.path)
    _sync_folder(entry.path.parent)


def _safe_url(url: str) -> str:
    """`url`, if it is https (or http to this very machine).

    Raises:
        ModelError: it is not.
    """
    parts = urlsplit(url)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return url
    raise ModelError(f"refusing to download over {parts.scheme or 'nothing'}: {url}")


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https only."""

    def redirect_request(
        self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: str
    ) -> Any:
        return super().redirect_request(req, fp, code, msg, headers, _safe_url(newurl))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the system drops it if the process dies."""
    with path.open("a+b") as file:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power cut, where folders can be synchronised."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
