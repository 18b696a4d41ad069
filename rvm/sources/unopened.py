"""A camera that is not switched on: stands for the real one where a run is only checked."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from rvm.frame import RGB24, SRGB
from rvm.sources.base import Source, SourceInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rvm.frame import Frame

_USUAL_SIZE = (1280, 720)
_USUAL_FPS = 30


class UnopenedSource(Source):
    """Says of itself what was asked for, else what is usual, and yields no frame.

    Args:
        name: for messages.
        width, height, fps: what would be asked of the camera; None is what is usual.
    """

    def __init__(
        self,
        name: str,
        *,
        width: int | None = None,
        height: int | None = None,
        fps: float | Fraction | None = None,
    ) -> None:
        self.info = SourceInfo(
            name=name,
            width=width or _USUAL_SIZE[0],
            height=height or _USUAL_SIZE[1],
            format=RGB24,
            colour=SRGB,
            time_base=Fraction(1, 90_000),
            frame_rate=Fraction(fps or _USUAL_FPS).limit_denominator(1001),
            live=True,
            notes=(f"{name} was left alone; its size and rate are assumed",),
        )

    def __iter__(self) -> Iterator[Frame]:
        return iter(())

    def close(self) -> None:
        """Nothing is open."""
