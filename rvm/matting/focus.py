"""How large the network's picture is, by how much of the frame the people in it fill.

A network knows people best at the size at which it met them in training. Somebody far away is so
few pixels of its usual picture that hands and legs are lost, and a larger picture brings them back;
a face that fills the frame, on the other hand, is taken to pieces in a large picture and held
together in a small one, which costs less as well. Over the held-back composites
(`tools/evaluate.py` with another `@SIDE`) people under a fifth of the frame had a quarter less
error on 512 pixels than on 352, and those over half of it had the least on 288.

What a frame's matte covers decides for the next frame. Each size is left later than it is
entered, so that nobody who stands on the border makes the matte swing. On engines that compile for
each size, and for frames on a GPU, where looking at the matte would be to wait for it, it stays.

Where nobody is found, a larger picture is tried at once and then now and again: somebody who is
overlooked in the usual one would otherwise stay so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from rvm.frame import ByteImage

Focus = Literal["near", "usual", "far"]

#: Long sides of the network's 16:9 picture for faces that fill the frame, and for far people; the
#: usual one is the model's own. They are sizes and no factors, as people are of sizes.
NEAR_SIDE, FAR_SIDE = 288, 512

#: Shares of the frame at which a size is entered, and at which it is left again.
_NEAR_FROM, _NEAR_UNTIL = 0.55, 0.45
#: People below this share are far, if the manifest says nothing else.
FAR_SHARE = 0.2
_FAR_MARGIN = 0.04
#: Less than this is nobody.
_SOMEBODY = 0.002
#: Of so many frames in a row without anybody, one is looked at closely, beginning with the first.
_LOOK_EVERY = 12
#: Samples across and down; enough to see a five hundredth of the frame.
_SAMPLES = 96
_OPAQUE = 128


def covered_share(alpha: ByteImage) -> float:
    """How much of the frame is more person than not, 0..1; from a grid of samples."""
    rows, columns = alpha.shape
    grid = alpha[:: max(1, rows // _SAMPLES), :: max(1, columns // _SAMPLES)]
    return float(np.count_nonzero(grid >= _OPAQUE)) / grid.size


@dataclass(frozen=True, slots=True)
class Gaze:
    """How the next frame is looked at.

    Attributes:
        focus: the size of the network's picture.
        alone: frames in a row in which nobody was found.
    """

    focus: Focus = "usual"
    alone: int = 0


USUAL = Gaze()


def gaze_after(now: Gaze, share: float, far_share: float = FAR_SHARE) -> Gaze:
    """The gaze for the next frame.

    Args:
        now: the one of this frame.
        share: what its matte covers, 0..1.
        far_share: what people have to stay below to be far.
    """
    if share < _SOMEBODY:
        return Gaze("far" if now.alone % _LOOK_EVERY == 0 else "usual", now.alone + 1)
    if share > (_NEAR_UNTIL if now.focus == "near" else _NEAR_FROM):
        return Gaze("near")
    if share < far_share + (_FAR_MARGIN if now.focus == "far" else 0.0):
        return Gaze("far")
    return USUAL


def focus_scale(focus: Focus, long_side: float) -> float:
    """Side of the network's picture over the usual one, whose long side is `long_side`."""
    if focus == "near":
        return min(1.0, NEAR_SIDE / long_side)
    return max(1.0, FAR_SIDE / long_side) if focus == "far" else 1.0


@dataclass(frozen=True, slots=True)
class FocusRule:
    """How the picture of one model follows the people in it.

    Attributes:
        side: the usual long side of its 16:9 picture.
        far_share: what people have to stay below to be far.
    """

    side: float
    far_share: float = FAR_SHARE

    def scale(self, gaze: Gaze) -> float:
        """Side of the network's picture over the usual one."""
        return focus_scale(gaze.focus, self.side)

    def after(self, gaze: Gaze, alpha: ByteImage) -> Gaze:
        """The gaze for the next frame, after one that was looked at so and gave this alpha."""
        return gaze_after(gaze, covered_share(alpha), self.far_share)
