"""No background at all: the picture stays the source, for when only the matte is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rvm.compositing.base import Background

if TYPE_CHECKING:
    from rvm.frame import Frame, Matte


class Unchanged(Background):
    """The frame lies behind itself; compositors hand it on without blending."""

    def behind(self, frame: Frame, matte: Matte) -> Frame:
        """The frame itself."""
        return frame
