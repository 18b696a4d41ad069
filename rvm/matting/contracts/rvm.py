"""Contract "rvm": full-size RGB in, full-size alpha and foreground colour out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import cv2
import numpy as np

from rvm.colour.rgb import network_rgb
from rvm.errors import ModelError, UsageError
from rvm.frame import Matte
from rvm.matting.contracts.base import Array, Contract, Port, Ports
from rvm.matting.picture import to_planar
from rvm.matting.refine import alpha_to_bytes, finite

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import FloatImage, Frame
    from rvm.matting.weights import ModelEntry

#: Long side of the network's picture that `downsample_ratio` auto aims at.
AUTO_LONG_SIDE = 512
#: No side of the network's picture gets smaller than this while the frame has the pixels.
AUTO_SHORT_SIDE = 16


def auto_ratio(width: int, height: int) -> float:
    """Downsample ratio that brings the long side to 512, and never above 1.

    A very long strip keeps at least 16 pixels on its short side.
    """
    ratio = max(AUTO_LONG_SIDE / max(width, height), AUTO_SHORT_SIDE / min(width, height))
    return min(ratio, 1.0)


class RvmContract(Contract):
    """The published ONNX files of Robust Video Matting, and our exports of that network.

    `src` [1,3,H,W] RGB 0..1, `r1i`..`r4i`, and `downsample_ratio` [1] float32 unless the ratio is
    built in -> `fgr` [1,3,H,W], `pha` [1,1,H,W], `r1o`..`r4o`.
    """

    name = "rvm"
    state_inputs = ("r1i", "r2i", "r3i", "r4i")
    state_outputs = ("r1o", "r2o", "r3o", "r4o")
    outputs = ("fgr", "pha")

    def __init__(
        self,
        ports: Ports,
        outputs: Sequence[str],
        ratio: float | None = None,
        entry: ModelEntry | None = None,
    ) -> None:
        super().__init__(ports, outputs, ratio, entry)
        self._dynamic = "downsample_ratio" in ports
        if ratio is not None and not self._dynamic:
            raise UsageError("this model's downsample ratio is built in; leave the option out")
        self._src: Array = np.empty((1, 3, 0, 0), ports["src"].dtype)

    @classmethod
    def fits(cls, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
        """See `Contract.fits`."""
        return {"src", *cls.state_inputs} <= set(inputs) and {
            *cls.outputs,
            *cls.state_outputs,
        } <= set(outputs)

    def feeds(self, frame: Frame) -> dict[str, Array]:
        """See `Contract.feeds`."""
        shape = (1, 3, frame.height, frame.width)
        _require_shape(self.ports["src"], shape, frame)
        if self._src.shape != shape:
            self._src = np.empty(shape, self._src.dtype)
        to_planar(network_rgb(frame, frame.width, frame.height), self._src[0])
        if not self._dynamic:
            return {"src": self._src}
        ratio = self._ratio_for(frame)
        return {"src": self._src, "downsample_ratio": np.array([ratio], np.float32)}

    def _ratio_for(self, frame: Frame) -> float:
        ratio = self.ratio or auto_ratio(*frame.size)
        if int(min(frame.size) * ratio) < 1:
            raise UsageError(
                f"downsample_ratio {ratio} leaves no pixel of {frame.width}x{frame.height}"
            )
        return ratio

    def matte(
        self, frame: Frame, feeds: Mapping[str, Array], outputs: Mapping[str, Array]
    ) -> Matte:
        """See `Contract.matte`."""
        alpha = np.asarray(outputs["pha"][0, 0], np.float32)
        ratio = self.ratio or auto_ratio(*frame.size)
        size = (max(1, int(frame.width * ratio)), max(1, int(frame.height * ratio)))
        residual = reduce_residual(outputs["fgr"][0], feeds["src"][0], alpha, size)
        return Matte(alpha_to_bytes(alpha), residual)


def reduce_residual(
    foreground: Array, source: Array, alpha: FloatImage, size: tuple[int, int]
) -> FloatImage:
    """Foreground minus source, both (3, H, W) and 0..1, by area to `size` (width, height).

    Pixels count by their alpha: where it is 0, a model's foreground means nothing. (Composites
    with the enlarged residual then differ from those with the full-size foreground by 1.2 code
    values on mixed pixels; without any foreground colour by 8: means over five clips.)

    Returns:
        (h, w, 3) float32; 0 where no pixel counted.
    """
    total = np.maximum(_shrink(alpha, size), np.float32(1e-6))
    channels = []
    for ours, theirs in zip(source, foreground, strict=True):
        residual = cv2.subtract(theirs.astype(np.float32), ours.astype(np.float32))
        channels.append(_shrink(cv2.multiply(residual, alpha, dst=residual), size) / total)
    merged = np.asarray(cv2.merge(channels), np.float32)
    return finite(merged.reshape(size[1], size[0], 3))


def _shrink(plane: Array, size: tuple[int, int]) -> Array:
    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA))


def _require_shape(port: Port, shape: tuple[int, ...], frame: Frame) -> None:
    for wanted, got in zip(port.shape, shape, strict=True):
        if wanted is not None and wanted != got:
            raise ModelError(
                f"this model is fixed to {port.shape[-1]}x{port.shape[-2]} frames, got "
                f"{frame.width}x{frame.height}; use an export with free sizes"
            )
