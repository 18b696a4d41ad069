"""Contract "mask": the small segmentation networks of other projects, to compare with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import cv2
import numpy as np

from rvm.colour.rgb import network_rgb
from rvm.errors import ModelError, UsageError
from rvm.frame import Matte
from rvm.matting.contracts.base import Array, Contract, Ports
from rvm.matting.refine import alpha_to_bytes, finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import Frame
    from rvm.matting.weights import ModelEntry


class MaskContract(Contract):
    """The small segmentation networks of other projects, for comparison.

    Recognised by shape: NHWC with RGB/255 (MediaPipe Selfie: one probability; MediaPipe Meet: two
    logits, the second the person), NCHW with SINet's normalisation and two probabilities.
    """

    name = "mask"
    is_light = True
    _SINET_MEAN = np.array([102.890434, 111.25247, 126.91212], np.float32)
    _SINET_SCALE = np.array([62.93292, 62.82138, 66.355705], np.float32) * 255

    def __init__(
        self,
        ports: Ports,
        outputs: Sequence[str],
        ratio: float | None = None,
        entry: ModelEntry | None = None,
    ) -> None:
        super().__init__(ports, outputs, ratio, entry)
        if ratio is not None:
            raise UsageError("this model's input size is built in; leave downsample_ratio out")
        self._input, port = next(iter(ports.items()))
        self.outputs = (outputs[0],)
        shape = port.shape
        if len(shape) != 4 or None in shape or 3 not in (shape[1], shape[3]):
            raise ModelError(f"input {self._input} {shape} is no fixed-size RGB picture")
        self._planar = shape[1] == 3
        height, width = shape[2:] if self._planar else shape[1:3]
        self._size = (width or 0, height or 0)

    @classmethod
    def fits(cls, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
        """See `Contract.fits`."""
        return len(inputs) == 1 and len(outputs) == 1

    def feeds(self, frame: Frame) -> dict[str, Array]:
        """See `Contract.feeds`."""
        rgb = network_rgb(frame, *self._size)
        if not self._planar:
            return {self._input: np.ascontiguousarray(rgb[None])}
        normalised = (rgb * np.float32(255) - self._SINET_MEAN) / self._SINET_SCALE
        return {self._input: np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])}

    def matte(
        self, frame: Frame, feeds: Mapping[str, Array], outputs: Mapping[str, Array]
    ) -> Matte:
        """See `Contract.matte`."""
        result = outputs[self.outputs[0]][0].astype(np.float32)
        if self._planar:
            mask = result[-1]
        elif result.shape[-1] == 2:
            mask = 1 / (1 + np.exp(np.clip(result[..., 0] - result[..., 1], -80, 80)))
        else:
            mask = result[..., 0]
        clipped = np.clip(finite(mask), 0, 1)
        full = cv2.resize(clipped, frame.size, interpolation=cv2.INTER_LINEAR)
        return Matte(alpha_to_bytes(np.asarray(full, np.float32)))
