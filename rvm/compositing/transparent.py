"""Nothing behind: the picture keeps its transparency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rvm.compositing.base import Background

if TYPE_CHECKING:
    from rvm.frame import Frame, Matte


class Transparent(Background):
    """The composed picture holds the person's own colours and a straight `Frame.alpha`."""

    def behind(self, frame: Frame, matte: Matte) -> None:
        """None: nothing lies behind."""
        return
