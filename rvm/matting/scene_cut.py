"""Does this frame belong to another shot than the one before?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rvm.frame import Frame

#: Samples along the long side of the thumbnails that are compared.
_LONG_SIDE = 64


class SceneCut:
    """Compares tiny luma thumbnails of successive frames.

    The difference is the mean absolute change of luma, 0..1. Within 42 shots (talking, walking,
    jumping, hand-held) it never passed 0.065; of all pairs of those shots 80 % lie above 0.12, and
    the rest mostly show the same room. A missed cut costs little: the network forgets by itself
    within some frames.

    Args:
        threshold: difference from which a frame counts as a cut, over 0 and at most 1.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._last: np.ndarray[tuple[int, int], np.dtype[np.float32]] | None = None

    def forget(self) -> None:
        """Let the next frame begin a shot without being called a cut."""
        self._last = None

    def is_cut(self, frame: Frame) -> bool:
        """True if `frame` differs from the one given before; never true for the first."""
        now = _thumbnail(frame)
        before, self._last = self._last, now
        if before is None or before.shape != now.shape:
            return False
        return float(np.mean(np.abs(now - before))) >= self._threshold


def _thumbnail(frame: Frame) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Point samples of luma (of green, for RGB), 0..1, at most 64 on the long side."""
    step = max(1, -(-max(frame.size) // _LONG_SIDE))
    plane = frame.planes[0]
    samples = plane[::step, ::step] if plane.ndim == 2 else plane[::step, ::step, 1]
    if hasattr(samples, "cpu"):  # a torch tensor: the thumbnail alone leaves the device
        samples = samples.cpu()
    return np.asarray(samples).astype(np.float32) / np.float32(frame.format.max_value)
