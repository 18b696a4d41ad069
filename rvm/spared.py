"""Imports that a dependency would make for nothing, at the price of start-up time and memory."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

_spared: list[str] = []


def spare_scipy() -> None:
    """Let numba think that there is no SciPy; only for programs that are ours alone.

    Where SciPy is installed numba imports its linear algebra, which no kernel needs and which
    took a quarter of a second of 1.4. It would be missing in other code that numba compiles in the
    same process.
    """
    _spared[:] = ["scipy"]


def spared() -> tuple[str, ...]:
    """The packages to hide from a dependency while it is imported."""
    return tuple(_spared)


@contextlib.contextmanager
def hidden(packages: tuple[str, ...]) -> Iterator[None]:
    """Importing these fails while the block runs; those that are imported already stay."""
    new = [name for name in packages if name not in sys.modules]
    for name in new:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in new:
            del sys.modules[name]
