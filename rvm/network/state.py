"""What the network remembers between two frames, as an explicit value.

The modules hold no memory of their own: a state goes in with a frame and a new one comes out, so
one network can serve many streams, and forgetting is replacing one value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rvm.errors import ModelError

Shape = tuple[int, ...]


class StateSizeError(ModelError, ValueError):
    """A recurrent state was made for another picture size, ratio, batch or network."""


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class RecurrentState:
    """Memories of the recurrent cells, finest level first.

    Attributes:
        levels: ``(r1, r2, r3, r4)`` for the reference network, each ``[B, C, H, W]`` in -1..1 at
            1/2, 1/4, 1/8 and 1/16 of the downsampled picture. Empty means nothing was seen yet,
            which counts as zeros.
    """

    levels: tuple[Tensor, ...] = ()

    @classmethod
    def fresh(cls) -> RecurrentState:
        """The state before the first frame."""
        return cls()

    def reset(self) -> RecurrentState:
        """Forget: the fresh state that replaces this one (a new stream, a new size, a cut)."""
        return RecurrentState()

    @property
    def is_fresh(self) -> bool:
        """True when nothing was seen yet."""
        return not self.levels

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """The shape of each level; empty for a fresh state."""
        return tuple(tuple(level.shape) for level in self.levels)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> RecurrentState:
        """The same memories on another device or in another precision."""
        return RecurrentState(tuple(level.to(device=device, dtype=dtype) for level in self.levels))

    def detach(self) -> RecurrentState:
        """The same memories cut from the autograd graph (truncated back-propagation)."""
        return RecurrentState(tuple(level.detach() for level in self.levels))

    def require(self, expected: Sequence[Shape]) -> None:
        """Check that this state belongs to frames whose memories have the ``expected`` shapes.

        A fresh state fits everything.

        Raises:
            StateSizeError: any level has another shape, or there are more or fewer levels.
        """
        if not self.is_fresh and self.shapes != tuple(tuple(shape) for shape in expected):
            raise StateSizeError(
                f"the recurrent state does not fit this frame: got {_list(self.shapes)}, expected "
                f"{_list(expected)}; reset it when the frame size, batch or downsample ratio change"
            )

    def for_levels(self, count: int) -> tuple[Tensor | None, ...]:
        """One entry per recurrent cell, finest first: None where the cell starts from zeros."""
        return self.levels or (None,) * count

    def __repr__(self) -> str:
        if self.is_fresh:
            return "RecurrentState(fresh)"
        first = self.levels[0]
        return f"RecurrentState({_list(self.shapes)}, {first.dtype}, {first.device})"


def _list(shapes: Sequence[Shape]) -> str:
    return " ".join("x".join(map(str, shape)) for shape in shapes)
