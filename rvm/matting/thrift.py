"""A `Matter` that spares the network where the last matte will do: for live use.

Two reasons to spare it. Nothing in the picture moved, and then the last matte is returned as it is.
Or the governor asked for it (`set_level`), and then the last matte moves along with the picture
(see `rvm.matting.reuse`). Never for long: errors of a reused matte would stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rvm.matting.matter import Matter
from rvm.matting.motion import MotionEstimator, is_other, is_still, thumbnail
from rvm.matting.refine import Scratch
from rvm.matting.reuse import fitted

if TYPE_CHECKING:
    from rvm.frame import ByteImage, Frame, Matte
    from rvm.matting.reuse import Coefficients

#: Even if nothing moves, the network looks again after so many frames.
MOST_STILL_FRAMES = 15
#: A matte stands still once it changes by less than this from one run of the network to the next
#: (mean of its codes). Before, the network is still finding its way into the scene.
SETTLED_CHANGE = 0.5
#: After a gap this long (a suspended machine, a camera that was off) memory says nothing.
STALE_SECONDS = 2.0

Step = Literal["network", "moved", "still"]


@dataclass(slots=True)
class _Seen:
    """The last frame that went through the network, and what came of it."""

    frame: Frame
    thumbnail: ByteImage
    matte: Matte
    coefficients: Coefficients | None
    sparse_alpha: npt.NDArray[np.int16]

    def differs_by(self, other: _Seen) -> float:
        """Mean difference of the mattes; a full one if their sizes differ."""
        if self.sparse_alpha.shape != other.sparse_alpha.shape:
            return 255.0
        return float(np.mean(np.abs(self.sparse_alpha - other.sparse_alpha)))


def _sparse(matte: Matte) -> npt.NDArray[np.int16]:
    """One sample in 64 of alpha."""
    return np.asarray(matte.alpha[::8, ::8]).astype(np.int16)


class ThriftyMatter(Matter):
    """See the module; arguments and results as `Matter`'s.

    Args:
        spare_still: return the last matte while the picture stands still.
    """

    def __init__(self, *args: Any, spare_still: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        self._spare_still = spare_still
        self._network_every = 1
        self._motion = MotionEstimator()
        self._scratch = Scratch()
        self._since = 0
        self._settled = False
        self._captured_at_seconds = 0.0
        self._last: _Seen | None = None
        #: How the last matte came about, and how often each way was taken.
        self.last_step: Step = "network"
        self.steps: dict[Step, int] = {"network": 0, "moved": 0, "still": 0}

    @property
    def scales(self) -> tuple[float, ...]:
        """Sizes of the network's picture over its best one that `set_level` takes."""
        return self._engine.scales

    @property
    def can_move(self) -> bool:
        """Whether `set_level` can spare the network frames: not where they lie on a GPU."""
        return self.info.engine != "torch" or self.info.device == "cpu"

    def set_level(self, scale: float, network_every: int) -> None:
        """From the next frame on: the network's size, and on which frames it runs."""
        self._engine.rescale(scale)
        self._network_every = network_every

    def reset(self) -> None:
        """See `Matter.reset`."""
        super().reset()
        self._last = None
        self._settled = False

    def _step(self, frame: Frame) -> Matte:
        frame = self._engine.upload(frame)
        if not self._may_reuse(frame):
            return self._count("network", super()._step(frame))
        if self._is_stale(frame):
            self._resets += self._state is not None
            self.reset()
        now = thumbnail(frame)
        matte = None if self._last is None else self._reused(self._last, frame, now)
        if matte is not None:
            self._since += 1
            return matte
        matte = super()._step(frame)
        before, self._last = (
            self._last,
            _Seen(frame, now, matte, self._engine.coefficients(self._state), _sparse(matte)),
        )
        self._settled = before is not None and before.differs_by(self._last) < SETTLED_CHANGE
        self._since = 0
        return self._count("network", matte)

    def _reused(self, last: _Seen, frame: Frame, now: ByteImage) -> Matte | None:
        if last.frame.size != frame.size or is_other(last.thumbnail, now):
            return None
        rest = self._spare_still and self._settled and self._since < MOST_STILL_FRAMES
        if rest and is_still(last.thumbnail, now):
            return self._count("still", last.matte)
        if self._since + 1 >= self._network_every:
            return None
        if last.coefficients is None:  # fitted at most once for a frame
            last.coefficients = fitted(last.frame, last.matte)
        sources = self._motion.sources(last.thumbnail, now)
        return self._count("moved", last.coefficients.moved(sources).on(frame, self._scratch))

    def _may_reuse(self, frame: Frame) -> bool:
        """Frames on a GPU go their own way: looking at them costs more than the network."""
        asked = self._spare_still or self._network_every > 1
        return asked and isinstance(frame.planes[0], np.ndarray)

    def _is_stale(self, frame: Frame) -> bool:
        before, self._captured_at_seconds = self._captured_at_seconds, frame.captured_at_seconds
        return 0 < before < frame.captured_at_seconds - STALE_SECONDS

    def _count(self, step: Step, matte: Matte) -> Matte:
        self.last_step = step
        self.steps[step] += 1
        return matte
