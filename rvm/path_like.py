"""Whether a word that a person wrote is meant as a path, where words and paths may both stand."""

from __future__ import annotations

import re

#: `~/sea`, `shots/`, `sea.jpg`, `clip.3gp`; not `blur`, `0.8` or `compact`.
_PATH = re.compile(r"^~|[/\\]|\.(?=[0-9]*[A-Za-z])[A-Za-z0-9]{2,12}$")


def looks_like_path(text: str) -> bool:
    """True for what has a folder, a home or a suffix; the file need not be there."""
    return _PATH.search(text) is not None
