"""Numbered names: `shot_%04d.png` means shot_0000.png, shot_0001.png and so on."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"%0?(\d*)d")


@dataclass(frozen=True, slots=True)
class NumberedName:
    """A file name with a number in it, padded with zeros to `digits` digits."""

    before: str
    digits: int
    after: str

    @classmethod
    def parse(cls, name: str) -> NumberedName | None:
        """What `name` means; None where it has no `%d`, `%4d` or `%04d`."""
        found = _NUMBER.search(name)
        if found is None:
            return None
        return cls(name[: found.start()], int(found[1] or 1), name[found.end() :])

    def name(self, number: int) -> str:
        """The name with this number."""
        return f"{self.before}{number:0{self.digits}d}{self.after}"

    def number_of(self, name: str) -> int | None:
        """The number for which `name` is the name, to the last zero; None if there is none."""
        middle = name[len(self.before) : len(name) - len(self.after)]
        if not re.fullmatch(r"[0-9]+", middle):
            return None
        number = int(middle)
        return number if self.name(number) == name else None
