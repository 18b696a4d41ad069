"""What a run of the command line gave, and what lies in the files it wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from rvm.media.decode import VideoReader
from rvm.sources.synthetic import read_number


class Outcome(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """stdout as JSON lines; fails if anything else is there."""
        return [json.loads(line) for line in self.out.splitlines()]

    def one_error(self) -> str:
        """The only line on stderr that is an error, without its label."""
        lines = [line for line in self.err.splitlines() if line.startswith("rvm: error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0].removeprefix("rvm: error: ")


Run = Callable[..., Outcome]


def numbers(path: Path) -> list[int]:
    reader = VideoReader(path)
    try:
        return [read_number(frame) for frame in reader]
    finally:
        reader.close()
