"""How a model wants its frame and what it gives back: one class a contract.

    rvm                full-size RGB in; alpha and foreground colour at full size out; four ConvGRU
                       states; mostly a downsample ratio as one more input
    rvm-compact-core   small RGB in; guided-filter coefficients out; four ConvGRU states
    mask               small RGB in; a mask of that size out; no memory (small peers, to compare)

A contract knows nothing of the runtime that executes the graph: it deals in numpy arrays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import cv2
import numpy as np
import numpy.typing as npt

from rvm.colour.rgb import network_rgb
from rvm.errors import ModelError, UsageError
from rvm.frame import Matte
from rvm.matting.refine import alpha_to_bytes, finite, guided_alpha, luma_guide, match_luma

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import FloatImage, Frame
    from rvm.matting.weights import ModelEntry

Array = npt.NDArray[Any]
#: Long side of the network's picture that `downsample_ratio` auto aims at.
AUTO_LONG_SIDE = 512
#: No side of the network's picture gets smaller than this while the frame has the pixels.
AUTO_SHORT_SIDE = 16


@dataclass(frozen=True, slots=True)
class Port:
    """One input of a graph: its shape (None where it is free) and numpy dtype."""

    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]


Ports = Mapping[str, Port]


def auto_ratio(width: int, height: int) -> float:
    """Downsample ratio that brings the long side to 512, and never above 1.

    A very long strip keeps at least 16 pixels on its short side.
    """
    ratio = max(AUTO_LONG_SIDE / max(width, height), AUTO_SHORT_SIDE / min(width, height))
    return min(ratio, 1.0)


class Contract(ABC):
    """Feeds one loaded model.

    Args:
        ports: inputs of the graph.
        outputs: names of its outputs.
        ratio: the user's downsample ratio, or None for automatic.
        entry: the manifest's entry of the model, if there is one.
    """

    name: ClassVar[str]
    #: Names of the recurrent inputs and outputs, in one order.
    state_inputs: tuple[str, ...] = ()
    state_outputs: tuple[str, ...] = ()
    #: The other outputs that are needed.
    outputs: tuple[str, ...] = ()

    def __init__(
        self,
        ports: Ports,
        outputs: Sequence[str],
        ratio: float | None = None,
        entry: ModelEntry | None = None,
    ) -> None:
        if ratio is not None and not 0 < ratio <= 1:
            raise UsageError(f"downsample_ratio must be over 0 and at most 1, got {ratio}")
        self.ports = ports
        self.ratio = ratio
        self.entry = entry

    @classmethod
    @abstractmethod
    def fits(cls, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
        """True if a graph with these names follows this contract."""

    @abstractmethod
    def feeds(self, frame: Frame) -> dict[str, Array]:
        """Every input but the states; the arrays are valid until the next call."""

    @abstractmethod
    def matte(
        self, frame: Frame, feeds: Mapping[str, Array], outputs: Mapping[str, Array]
    ) -> Matte:
        """The matte, from the outputs; nothing in it refers to the arrays given."""

    def fresh_state(self, name: str) -> Array:
        """Zeros that start a sequence: of the declared shape, or [1, 1, 1, 1] where it is free."""
        port = self.ports[name]
        free = any(size is None for size in port.shape)
        shape = (1,) * len(port.shape) if free else tuple(size or 1 for size in port.shape)
        return np.zeros(shape, port.dtype)


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
        _to_planar(network_rgb(frame, frame.width, frame.height), self._src[0])
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


class CompactContract(Contract):
    """Our own compact network without its full-size part.

    `src_small` [1,3,h,w] RGB 0..1 and `r1i`..`r4i` -> `alpha_scale`, `alpha_offset` [1,1,h,w] (see
    `rvm.matting.refine`), `fgr_residual` [1,3,h',w'], `r1o`..`r4o`.
    """

    name = "rvm-compact-core"
    state_inputs = ("r1i", "r2i", "r3i", "r4i")
    state_outputs = ("r1o", "r2o", "r3o", "r4o")
    outputs = ("alpha_scale", "alpha_offset", "fgr_residual")
    default_multiple: ClassVar[int] = 32
    default_long_side: ClassVar[int] = 512

    def __init__(
        self,
        ports: Ports,
        outputs: Sequence[str],
        ratio: float | None = None,
        entry: ModelEntry | None = None,
    ) -> None:
        super().__init__(ports, outputs, ratio, entry)
        _, _, height, width = ports["src_small"].shape
        self._fixed = (width, height) if width and height else None
        if ratio is not None and self._fixed:
            raise UsageError("this model's input size is built in; leave downsample_ratio out")

    @classmethod
    def fits(cls, inputs: Sequence[str], outputs: Sequence[str]) -> bool:
        """See `Contract.fits`."""
        return {"src_small", *cls.state_inputs} <= set(inputs) and {
            *cls.outputs,
            *cls.state_outputs,
        } <= set(outputs)

    @classmethod
    def size_for(
        cls, frame: Frame, ratio: float | None, entry: ModelEntry | None
    ) -> tuple[int, int]:
        """(width, height) of the network's picture for a frame, where the model leaves it free."""
        long_side = (entry and entry.long_side) or cls.default_long_side
        multiple = (entry and entry.size_multiple) or cls.default_multiple
        return compact_size(*frame.size, ratio, long_side, multiple)

    def feeds(self, frame: Frame) -> dict[str, Array]:
        """See `Contract.feeds`."""
        width, height = self._fixed or self.size_for(frame, self.ratio, self.entry)
        small = np.empty((1, 3, height, width), self.ports["src_small"].dtype)
        _to_planar(network_rgb(frame, width, height), small[0])
        return {"src_small": small}

    def matte(
        self, frame: Frame, feeds: Mapping[str, Array], outputs: Mapping[str, Array]
    ) -> Matte:
        """See `Contract.matte`."""
        scale = np.asarray(outputs["alpha_scale"][0, 0], np.float32)
        offset = np.asarray(outputs["alpha_offset"][0, 0], np.float32)
        seen = np.ascontiguousarray(feeds["src_small"][0].transpose(1, 2, 0), np.float32)
        guide = luma_guide(frame)
        alpha = guided_alpha(guide, scale, match_luma(guide, frame, seen, scale, offset))
        residual = outputs["fgr_residual"][0].transpose(1, 2, 0)
        return Matte(alpha, finite(np.array(residual, np.float32, order="C")))


def compact_size(
    width: int,
    height: int,
    ratio: float | None,
    long_side: int = CompactContract.default_long_side,
    multiple: int = CompactContract.default_multiple,
) -> tuple[int, int]:
    """(width, height) of a compact network's picture, both multiples of `multiple`.

    Without a ratio: as many pixels as a 16:9 picture of that long side has, in the frame's own
    aspect, so that every aspect costs the same; and not more than the frame itself.
    """
    if ratio is None:
        ratio = min(1.0, long_side * (9 / 16 / (width * height)) ** 0.5)

    def to_multiple(side: int) -> int:
        return max(multiple, round(side * ratio / multiple) * multiple)

    return to_multiple(width), to_multiple(height)


class MaskContract(Contract):
    """The small segmentation networks of other projects, for comparison.

    Recognised by shape: NHWC with RGB/255 (MediaPipe Selfie: one probability; MediaPipe Meet: two
    logits, the second the person), NCHW with SINet's normalisation and two probabilities.
    """

    name = "mask"
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


#: name -> contract; detection tries them in this order.
CONTRACTS: Mapping[str, type[Contract]] = {
    contract.name: contract for contract in (RvmContract, CompactContract, MaskContract)
}


def choose_contract(
    entry: ModelEntry | None, inputs: Sequence[str], outputs: Sequence[str], name: str
) -> type[Contract]:
    """The contract that the manifest states, or the one that the graph's names show.

    Raises:
        ModelError: no contract fits; the message lists the graph's names.
    """
    if entry is not None and entry.contract not in CONTRACTS:
        raise ModelError(f"model {name} asks for contract {entry.contract!r}; update rvm")
    candidates = [CONTRACTS[entry.contract]] if entry else list(CONTRACTS.values())
    for contract in candidates:
        if contract.fits(inputs, outputs):
            return contract
    raise ModelError(
        f"{name} is no matting model that rvm knows: inputs {', '.join(inputs)}, "
        f"outputs {', '.join(outputs)}"
    )


def _to_planar(rgb: FloatImage, planar: Array) -> None:
    """Write (h, w, 3) float32 into (3, h, w) of float32 or float16."""
    if planar.dtype == np.float32 and min(planar.shape[1:]) > 1:
        cv2.split(rgb, [planar[0], planar[1], planar[2]])
    else:
        np.copyto(planar, rgb.transpose(2, 0, 1), casting="same_kind")


def _require_shape(port: Port, shape: tuple[int, ...], frame: Frame) -> None:
    for wanted, got in zip(port.shape, shape, strict=True):
        if wanted is not None and wanted != got:
            raise ModelError(
                f"this model is fixed to {port.shape[-1]}x{port.shape[-2]} frames, got "
                f"{frame.width}x{frame.height}; use an export with free sizes"
            )
