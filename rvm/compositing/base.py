"""The contract of a background, and of the compositor that uses it.

* `Background.behind(frame)` returns a frame of the *same* format, size and colour tags as
  `frame`, showing what lies behind it at that moment. It may return the same object each time;
  nobody writes into it.
* A background with its own clock (video) is driven by the frames' presentation time, so that a
  dropped frame does not slow it down and an offline run is reproducible.
* `None` from `behind` means: nothing lies behind; the picture stays transparent.
* A compositor turns frame + matte into a picture of the frame's own format, on the device where
  both lie. Where alpha is 0 or 255 the sample is the background's or the frame's own, exactly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rvm.frame import Composite, Frame, Matte


class Background(ABC):
    """What is put behind the person."""

    @abstractmethod
    def behind(self, frame: Frame, matte: Matte) -> Frame | None:
        """The background picture for this frame.

        Args:
            frame: the picture being composited (blur looks at it).
            matte: its matte (blur keeps the person from bleeding into the background).

        Raises:
            InputError: a background file cannot be read (at construction where possible).
        """

    def close(self) -> None:
        """Free what was opened. Idempotent."""


class Compositor(ABC):
    """Puts the person of a frame before a background."""

    @abstractmethod
    def compose(self, frame: Frame, matte: Matte) -> Composite:
        """Blend one frame; the result's picture has the frame's format, time and tags."""

    def close(self) -> None:
        """Free the background. Idempotent."""
