"""Paths in a configuration file: they begin where the file lies, and `~` is home."""

from __future__ import annotations

import re
from pathlib import Path

from rvm.path_like import looks_like_path

#: `blur:0.8`, `virtualcam:/dev/video2`, `rtsp://camera/1`: words of ours, and addresses. (One
#: letter before the colon is a drive of Windows.)
_NO_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
#: What names a background's kind and is followed by a path.
_KIND = re.compile(r"(?:image|video):", re.IGNORECASE)


def from_folder(text: str, folder: Path) -> str:
    """`text` as a path that begins in `folder`, if it is one; words stay as they are.

    A name without a folder and without a suffix (blur, green, compact, 0) counts as a word.
    """
    kind = _KIND.match(text)
    if kind is not None:
        return kind[0] + _joined(text[kind.end() :], folder)
    if _NO_PATH.match(text) or not looks_like_path(text):
        return text
    return _joined(text, folder)


def _joined(text: str, folder: Path) -> str:
    path = Path(text)
    if text.startswith("~"):
        try:
            path = path.expanduser()
        except RuntimeError:  # no such user
            return text
    slash = "/" if text.endswith(("/", "\\")) else ""  # a folder to write pictures into
    return f"{folder / path}{slash}"
