"""What the network's picture shows, and how large it is, by where the people are.

A network knows people best at the size at which it met them in training. Somebody far away is so
few pixels of its usual picture that hands and legs are lost, and a larger picture brings them back;
a face that fills the frame, on the other hand, is taken to pieces in a large picture. Over the
held-back composites (`tools/evaluate.py` with another `@SIDE`) people under a fifth of the frame
had a quarter less error on 512 pixels than on 352. On 416 for those of a fifth to a quarter the
mean over all composites went from 5.99 to 5.81, at 1.4 times the cost; 416 up to 0.35 brought 5.79.
(These with the weights of the ninth run, the other figures here with those of the eighth.) With
those of the thirteenth `compact_quality`, which may cost more, was best with 512 below 0.4 and 416
below a half (models/compact.md has the table), and so was torch, which a GPU runs; so both borders
are the manifest's to set.

People over half of the frame had 4 % less error on 288 pixels than on 352 over eight composites,
but more on the real clips of such people: 8.93 and 8.88 on two that are held back, 12.5 and 7.3 on
six that are not, where on 288 pieces of a striped shirt were lost. So there is no smaller picture.

Far people are looked at through a window (`rvm.matting.window`) wherever that shows them more
finely than a large picture of the whole frame, at half of that picture's cost. Measured against the
reference on a real clip of 720p (a woman and her dog) MAD was 7.8 so and 8.4 without, IoU 0.835 and
0.827; over 16 composites of 720p with people of an eighth of the frame at most, 2.60 and 2.68, but
IoU 0.924 and 0.935: legs that are left alone as people drift out of the frame get lost sooner.

People under a tenth of the frame gain by still larger pictures. With the weights of the eleventh
run seven composites of 512x288 with people under 0.06 had a MAD of 4.7 on 512 pixels, 4.1 on 608
and 3.9 on 704, six of 0.06 to 0.1 had 3.1, 2.7 and 2.6, and the woman with her dog at 252 rows 8.4,
6.5 and 6.5 (IoU 0.825, 0.860 and 0.861), though pictures larger than the frame show nothing more;
people of a sixth to a fifth had 4.5, 6.3 and 8.0. At 720p, where there is more to see, sixteen
composites had 3.1, 2.8 and 2.6, and 2.35 on 832. Such a picture costs a CPU three times the usual
one, so only `compact_quality` in 8 bits has one there (`distant_side`), and torch, as GPUs hardly
notice. It is come to by way of the 512 alone: of a headless body on a lawn 352 found a part, which
was taken for somebody distant. A window is taken then only where it shows people more finely than
that.

What a frame's matte covers decides for the next frame; in torch, which must not wait for a GPU, for
the one after that, but for a stream's first frames. (Over the same composites MAD was 10.8 with no
focus at all, 6.0 with that of the frame before, 5.9 with torch's.) Each size is left later than it
is entered, so that nobody who stands on the border makes the matte swing. With TensorRT, which
compiles for seconds, it stays.

Where nobody is found, a larger picture is tried at once and then now and again: somebody who is
overlooked in the usual one would otherwise stay so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from rvm.matting.window import Window, people_box, solid_samples, window_around

if TYPE_CHECKING:
    from rvm.frame import ByteImage

Focus = Literal["usual", "middle", "far", "distant"]
_Border = tuple[Focus, float, float]

#: Long sides of the network's 16:9 picture for people half way off and for far ones; the usual one
#: is the model's own. They are sizes and no factors, as people are of sizes.
MIDDLE_SIDE, FAR_SIDE = 416, 512

#: Shares of the frame at which a size is entered, and how much later it is left again.
#: People below these shares are half way off, and far, if the manifest says nothing else.
MIDDLE_SHARE, _MIDDLE_MARGIN = 0.25, 0.03
FAR_SHARE, _FAR_MARGIN = 0.2, 0.04
#: People below this share are distant, to a model or on a device that has a picture for them.
DISTANT_SHARE, _DISTANT_MARGIN = 0.1, 0.025
#: Less than this is nobody.
_SOMEBODY = 0.002
#: Of so many frames in a row without anybody, one is looked at closely, beginning with the first.
_LOOK_EVERY = 12
#: Frames that far people are looked at in all of the frame first. A window that was chosen by the
#: first mattes of a clip kept what they had missed out of mind for another twenty frames.
_SETTLED = 8
#: How much finer a window has to show people than the large picture does, and to go on doing so.
_FINER_FROM, _FINER_UNTIL = 1.2, 1.08
#: A pixel over the network's pixel, side by side, beyond which nothing is gained. Over 1 nothing
#: more is seen, but people are of a size that the network knows: on the woman with her dog at 252
#: rows MAD was 7.1 so and 7.7 with 1, and over far people's composites of 288 rows it stayed 3.8.
FINEST = 1.5
#: Of what is found in a window by looking at all of the frame, so much has to be found through it.
_HELD = 0.92


def covered_share(alpha: ByteImage) -> float:
    """How much of the frame is more person than not, 0..1; from a grid of samples."""
    solid, _, _ = solid_samples(alpha)
    return float(np.count_nonzero(solid)) / solid.size


def loses_people(seen: ByteImage, known: ByteImage) -> bool:
    """Whether a window shows less of the people than a look at all of the frame did.

    Args:
        seen: alpha of the window by itself.
        known: alpha of that place as part of the frame.
    """
    return covered_share(seen) < _HELD * covered_share(known)


@dataclass(frozen=True, slots=True)
class Gaze:
    """How the next frame is looked at.

    Attributes:
        focus: the size of the network's picture.
        alone: frames in a row in which nobody was found.
        window: the part of the frame that is looked at; None is all of it.
        far_frames: frames in a row in which everybody was far.
    """

    focus: Focus = "usual"
    alone: int = 0
    window: Window | None = None
    far_frames: int = 0


USUAL = Gaze()


@dataclass(frozen=True, slots=True)
class FocusRule:
    """How the picture of one model follows the people in it.

    Attributes:
        side: the usual long side of its 16:9 picture.
        far_share: what people have to stay below to be far.
        middle_share: what people have to stay below to be half way off.
        distant_side: long side of the picture for people below `DISTANT_SHARE`; 0 has none.
    """

    side: float
    far_share: float = FAR_SHARE
    middle_share: float = MIDDLE_SHARE
    distant_side: int = 0

    def scale(self, gaze: Gaze) -> float:
        """Side of the network's picture over the usual one."""
        return 1.0 if gaze.window else self._side_of(gaze.focus) / self.side

    @property
    def scales(self) -> tuple[float, ...]:
        """Every value of `scale`."""
        return tuple({self._side_of(focus) / self.side: None for focus in get_args(Focus)})

    def after_share(self, gaze: Gaze, share: float) -> Gaze:
        """The gaze for the next frame, without a window.

        Args:
            gaze: of this frame.
            share: what its matte covers, 0..1.
        """
        if share < _SOMEBODY:
            return Gaze("far" if gaze.alone % _LOOK_EVERY == 0 else "usual", gaze.alone + 1)
        for focus, entered, left in self._borders:
            if focus == "distant" and gaze.focus not in ("far", "distant"):
                continue  # a closer look first: who was found in parts may not be distant at all
            if share < (left if gaze.focus == focus else entered):
                return Gaze(focus)
        return USUAL

    def after(self, gaze: Gaze, alpha: ByteImage, *, windows: bool = False) -> Gaze:
        """The gaze for the next frame.

        Args:
            gaze: of this frame.
            alpha: (H, W) that came of it.
            windows: whether the engine can look through one.
        """
        then = self.after_share(gaze, covered_share(alpha))
        if not windows or then.focus not in ("far", "distant") or then.alone:
            return then
        frames = gaze.far_frames + 1
        window = self._window(gaze, then.focus, alpha) if frames > _SETTLED else None
        return replace(then, window=window, far_frames=frames)

    @property
    def _borders(self) -> tuple[_Border, ...]:
        """Of each size but the usual one: shares below which it is entered, and stays."""
        far: _Border = ("far", self.far_share, self.far_share + _FAR_MARGIN)
        middle: _Border = ("middle", self.middle_share, self.middle_share + _MIDDLE_MARGIN)
        if not self.distant_side:
            return far, middle
        return ("distant", DISTANT_SHARE, DISTANT_SHARE + _DISTANT_MARGIN), far, middle

    def _side_of(self, focus: Focus) -> float:
        """Long side of the network's 16:9 picture of all of the frame."""
        larger = {"middle": MIDDLE_SIDE, "far": FAR_SIDE, "distant": self.distant_side}
        return max(self.side, larger.get(focus, 0))

    def _window(self, gaze: Gaze, focus: Focus, alpha: ByteImage) -> Window | None:
        """The window for these far people; None where a picture of everything is as fine."""
        box, size = people_box(alpha), (alpha.shape[1], alpha.shape[0])
        if box is None:
            return None
        window = window_around(box, size, gaze.window)
        finer = _fineness(window.area, self.side) / _fineness(alpha.size, self._side_of(focus))
        return window if finer > (_FINER_UNTIL if gaze.window else _FINER_FROM) else None


def _fineness(pixels: int, long_side: float) -> float:
    """Side of a pixel over that of the network's pixel, which shows so many; see `FINEST`."""
    return min(FINEST, long_side * math.sqrt(9 / 16 / pixels))
