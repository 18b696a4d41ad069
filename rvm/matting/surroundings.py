"""What happens around the window that the network looks at (see `rvm.matting.window`).

Somebody may walk into the frame while the network looks at somebody else. So all of the frame is
looked at now and again, and sooner where something outside of the window changed since then; and
after a cut at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from rvm.matting.motion import is_other

if TYPE_CHECKING:
    from rvm.frame import ByteImage, Frame
    from rvm.matting.window import Window

#: Frames from one look at everything to the next: at most, and at least.
_MOST_FRAMES, _LEAST_FRAMES = 12, 3
#: Samples across a sight, and along the long side of what they are averaged from.
_COLUMNS, _POINTS = 64, 512
#: A sample changed if it differs by so many codes; noise averages out below that.
_CHANGE = 10
#: Fewer changed samples are nobody: four are a square of a thirty-second of the frame's width.
_CHANGED = 4


def sight_of(frame: Frame) -> ByteImage:
    """Luma (green, for RGB) of a frame in codes 0..255, 64 samples across."""
    plane: npt.NDArray[Any] = np.asarray(frame.planes[0])
    if plane.ndim == 3:
        plane = plane[:, :, 1]
    step = max(1, max(frame.size) // _POINTS)
    points = np.ascontiguousarray(plane[::step, ::step])
    rows = max(1, round(_COLUMNS * frame.height / frame.width))
    small = np.asarray(cv2.resize(points, (_COLUMNS, rows), interpolation=cv2.INTER_AREA))
    return np.right_shift(small.astype(np.int32), frame.format.depth - 8).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class Surroundings:
    """What is known of them.

    Attributes:
        last: the frame before.
        known: the frame at the last look at everything.
        frames: since that look.
    """

    last: ByteImage
    known: ByteImage
    frames: int = 0

    def is_cut(self, now: ByteImage) -> bool:
        """Whether the frame that looks so begins another shot."""
        return is_other(self.last, now)

    def need_a_look(self, now: ByteImage, window: Window, size: tuple[int, int]) -> bool:
        """Whether all of the frame that looks so has to be looked at.

        Args:
            now: the frame.
            window: what is looked at anyway.
            size: (width, height) of the frame.
        """
        frames = self.frames + 1
        if frames < _LEAST_FRAMES or frames >= _MOST_FRAMES:
            return frames >= _MOST_FRAMES
        changed = cv2.absdiff(now, self.known) > _CHANGE
        down, across = changed.shape[0] / size[1], changed.shape[1] / size[0]
        rows = slice(int(window.top * down), int(np.ceil(window.bottom * down)))
        changed[rows, int(window.left * across) : int(np.ceil(window.right * across))] = False
        return int(np.count_nonzero(changed)) >= _CHANGED

    def after(self, now: ByteImage, *, looked: bool) -> Surroundings:
        """After the frame that looks so, all of which was looked at or not."""
        return Surroundings(now, now) if looked else Surroundings(now, self.known, self.frames + 1)
