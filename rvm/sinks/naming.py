"""What the pictures of a sequence are called, and which files of a folder are such pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rvm.frame import Frame
    from rvm.media.numbered import NumberedName


class Naming(Protocol):
    """Names for one frame after the other."""

    def name(self, frame: Frame, written: int) -> str:
        """The name of `frame`, of which `written` came before."""

    def taken(self, folder: Path) -> list[str]:
        """The names it could give that are there already, in order."""

    def earlier(self, taken: Sequence[str]) -> list[str]:
        """Those of them that are an earlier sequence, which a new one replaces as a whole."""


class Numbers:
    """Numbers that count the written frames from 0."""

    def __init__(self, pattern: NumberedName) -> None:
        self._pattern = pattern

    def name(self, frame: Frame, written: int) -> str:
        """See `Naming.name`."""
        return self._pattern.name(written)

    def taken(self, folder: Path) -> list[str]:
        """See `Naming.taken`."""
        numbers = [self._pattern.number_of(path.name) for path in folder.iterdir()]
        return [
            self._pattern.name(number) for number in sorted(n for n in numbers if n is not None)
        ]

    def earlier(self, taken: Sequence[str]) -> list[str]:
        """What runs from 0 without a gap: a picture beyond a gap may be anybody's."""
        run = []
        for number, name in enumerate(taken):
            if name != self._pattern.name(number):
                break
            run.append(name)
        return run


class KeptNames:
    """The names of the pictures that the frames were read from; frame i has the i-th."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)

    def name(self, frame: Frame, written: int) -> str:
        """See `Naming.name`."""
        return self._names[frame.index]

    def taken(self, folder: Path) -> list[str]:
        """See `Naming.taken`."""
        return [name for name in self._names if (folder / name).exists()]

    def earlier(self, taken: Sequence[str]) -> list[str]:
        """None: such names tell nothing of who wrote a picture."""
        return []
