"""A matte for the next frame without the network, from what it found on an earlier one.

Not the alpha is carried over but the coefficients it was made of (see `rvm.matting.refine`): moved
along with the picture and applied to the *new* frame's luma, they put the edges where the new
frame has them. That left about half the error of showing the old alpha again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from rvm.frame import Matte
from rvm.matting.guide import linear_fit
from rvm.matting.motion import follow
from rvm.matting.refine import Scratch, finite, guided_alpha, luma_guide

if TYPE_CHECKING:
    from rvm.frame import FloatImage, Frame

#: For mattes that came without coefficients: size and half window at which they are fitted.
_FIT_LONG_SIDE = 512
_FIT_WINDOW = (3, 3)
_FIT_EPSILON = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """What a full-size matte is made from: alpha = clamp(up(scale) * Y + up(offset), 0, 1).

    Attributes:
        scale, offset: (h, w) float32 on luma 0..1.
        residual: the matte's `foreground_residual`, or None.
    """

    scale: FloatImage
    offset: FloatImage
    residual: Any = None

    def moved(self, sources: FloatImage) -> Coefficients:
        """Everything along `sources` (see `rvm.matting.motion.MotionEstimator`)."""
        scale, offset = follow((self.scale, self.offset), sources)
        residual = self.residual
        if residual is not None:
            (residual,) = follow((np.asarray(residual, np.float32),), sources)
        return Coefficients(scale, offset, residual)

    def on(self, frame: Frame, scratch: Scratch) -> Matte:
        """The matte that they make of `frame`'s own luma."""
        return Matte(
            guided_alpha(luma_guide(frame), self.scale, self.offset, scratch), self.residual
        )


def fitted(frame: Frame, matte: Matte) -> Coefficients:
    """Coefficients that give `matte` on `frame`, nearly, for models that return only alpha.

    A guided filter (He et al., "Guided Image Filtering", TPAMI 2013) of 3x3 windows at 512 samples
    a side; larger windows lose hair and fingers.
    """
    scale = min(1.0, _FIT_LONG_SIDE / max(frame.size))
    size = (max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    luma = luma_guide(frame).small(*size)
    alpha = np.asarray(cv2.resize(matte.alpha, size, interpolation=cv2.INTER_AREA), np.float32)
    alpha /= 255
    gain, offset = linear_fit(luma, alpha, np.float32(_FIT_EPSILON), cv2.BORDER_DEFAULT)
    return Coefficients(finite(_mean(gain)), finite(_mean(offset)), matte.foreground_residual)


def _mean(plane: npt.NDArray[Any]) -> FloatImage:
    return np.asarray(cv2.blur(plane, _FIT_WINDOW), np.float32)
