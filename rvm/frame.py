"""Frame, Matte and Composite: the only things that stages hand to each other.

A frame keeps what the camera or file said: native planes, timestamps, colour tags, pixel aspect.
Nothing here converts; conversion lives in `rvm.colour` and `rvm.media`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Mapping


Matrix = Literal["bt601", "bt709", "bt2020", "rgb"]
Range = Literal["limited", "full"]
Primaries = Literal["bt709", "bt601-525", "bt601-625", "bt2020", "display-p3"]
Transfer = Literal["bt709", "srgb", "linear", "pq", "hlg"]

# A plane is a numpy array on the CPU, or a torch tensor on a device (the torch path).
Plane = Any
ByteImage = npt.NDArray[np.uint8]
FloatImage = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """How samples lie in memory.

    `yuv`: three planes Y, U, V of shape (rows, columns); chroma is smaller by
    `chroma_shift` = (x, y), the log2 of the subsampling (4:2:0 is (1, 1)), rounded up.
    `rgb`: one packed plane (rows, columns, 3).
    Samples are uint8 for `depth` 8, else uint16 with the value in the low `depth` bits.
    """

    name: str
    family: Literal["yuv", "rgb"]
    depth: int
    chroma_shift: tuple[int, int] = (0, 0)

    @property
    def dtype(self) -> np.dtype[Any]:
        """numpy dtype of one sample."""
        return np.dtype(np.uint8 if self.depth == 8 else np.uint16)

    @property
    def max_value(self) -> int:
        """Largest code value: 255, 1023, 4095 or 65535."""
        return (1 << self.depth) - 1

    def plane_shapes(self, width: int, height: int) -> tuple[tuple[int, ...], ...]:
        """Shape of every plane of a picture of `width` x `height` pixels."""
        if self.family == "rgb":
            return ((height, width, 3),)
        shift_x, shift_y = self.chroma_shift
        chroma = (-(-height >> shift_y), -(-width >> shift_x))
        return ((height, width), chroma, chroma)


def _formats() -> Mapping[str, PixelFormat]:
    table = {"rgb24": PixelFormat("rgb24", "rgb", 8), "rgb48": PixelFormat("rgb48", "rgb", 16)}
    for layout, shift in (("420", (1, 1)), ("422", (1, 0)), ("444", (0, 0))):
        for depth, suffix in ((8, ""), (10, "10"), (12, "12")):
            name = f"yuv{layout}p{suffix}"
            table[name] = PixelFormat(name, "yuv", depth, shift)
    return table


#: Every format a Frame may have. A source converts anything else to the nearest one, losslessly
#: where one exists (yuvj420p is yuv420p with full range; nv12 is yuv420p de-interleaved).
PIXEL_FORMATS: Mapping[str, PixelFormat] = _formats()
YUV420P = PIXEL_FORMATS["yuv420p"]
RGB24 = PIXEL_FORMATS["rgb24"]


@dataclass(frozen=True, slots=True)
class ColourTags:
    """What the code values mean (ITU-T H.273 names, reduced to those in use).

    An untagged source gets the customary guess (see `rvm.colour.guess`): BT.709 from 720 rows
    up, else BT.601, limited range for YUV; `guessed` then says so, and outputs are still tagged.
    """

    matrix: Matrix = "bt709"
    range: Range = "limited"
    primaries: Primaries = "bt709"
    transfer: Transfer = "bt709"
    guessed: bool = False
    #: The transfer's number in the source: one curve has several (H.273 table 3: 1, 6, 14, 15).
    transfer_number: int | None = dataclasses.field(default=None, compare=False)

    @property
    def is_display_referred(self) -> bool:
        """False for PQ, HLG and linear light, whose samples a screen is not sent as they are."""
        return not self.is_hdr and self.transfer != "linear"

    @property
    def is_hdr(self) -> bool:
        """True for the PQ and HLG transfer curves."""
        return self.transfer in ("pq", "hlg")


#: What an RGB picture from a camera, PNG or JPEG means.
SRGB = ColourTags(matrix="rgb", range="full", primaries="bt709", transfer="srgb")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture and everything that must survive with it.

    Attributes:
        planes: native planes, see `PixelFormat`. Rows may be padded (strided views are welcome),
            samples in a row are contiguous. Nobody writes into the planes of a frame they got.
        format: layout and depth of the planes.
        width, height: size in pixels, rotation already applied.
        pts: presentation time in units of `time_base` seconds, or None where there is none.
        time_base: seconds in one tick.
        index: number of the frame in its source, from 0, counting dropped ones too.
        colour: meaning of the code values.
        sample_aspect: width over height of one pixel (1 is square).
        duration: display time in ticks, or None if unknown.
        captured_at_seconds: `time.monotonic()` when the picture was grabbed; 0.0 if not live.
        alpha: straight alpha (height, width) uint8, only on a composed transparent frame.
    """

    planes: tuple[Plane, ...]
    format: PixelFormat
    width: int
    height: int
    pts: int | None = None
    time_base: Fraction = Fraction(1, 1000)
    index: int = 0
    colour: ColourTags = ColourTags()
    sample_aspect: Fraction = Fraction(1)
    duration: int | None = None
    captured_at_seconds: float = 0.0
    alpha: Plane | None = None

    def __post_init__(self) -> None:
        expected = self.format.plane_shapes(self.width, self.height)
        got = tuple(tuple(plane.shape) for plane in self.planes)
        if got != expected:
            raise ValueError(
                f"{self.format.name} {self.width}x{self.height}: got planes {got}, "
                f"expected {expected}"
            )
        if self.alpha is not None and tuple(self.alpha.shape) != (self.height, self.width):
            raise ValueError(
                f"got alpha {tuple(self.alpha.shape)}, expected {(self.height, self.width)}"
            )

    @property
    def pts_seconds(self) -> float | None:
        """Presentation time in seconds, or None."""
        return None if self.pts is None else float(self.pts * self.time_base)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height)."""
        return self.width, self.height

    def with_picture(self, planes: tuple[Plane, ...], alpha: Plane | None = None) -> Frame:
        """The same moment and format with other samples."""
        return dataclasses.replace(self, planes=planes, alpha=alpha)

    def __repr__(self) -> str:
        return (
            f"Frame(#{self.index} {self.format.name} {self.width}x{self.height} "
            f"pts={self.pts}*{self.time_base} {self.colour.matrix}/{self.colour.range}"
            f"{' +alpha' if self.alpha is not None else ''})"
        )


@dataclass(frozen=True, slots=True)
class Matte:
    """How much of each pixel is the person, and what colour that person has there.

    Attributes:
        alpha: (height, width) uint8, 0 background .. 255 foreground, at the frame's size.
        foreground_residual: (rows, columns, 3) float32, the pure foreground colour minus the
            picture's colour, in the display-referred RGB 0..1 the network sees, at any size not
            above the frame's; None where the model gives no colour. Whoever blends upsamples it.
    """

    alpha: Plane
    foreground_residual: Plane | None = None

    def __post_init__(self) -> None:
        if self.alpha.ndim != 2:
            raise ValueError(f"got alpha of shape {tuple(self.alpha.shape)}, expected (H, W)")

    def __repr__(self) -> str:
        return f"Matte({tuple(self.alpha.shape)} colour={self.foreground_residual is not None})"


@dataclass(frozen=True, slots=True)
class Composite:
    """What a sink gets: the picture to show, with the matte and the source it was made of."""

    picture: Frame
    matte: Matte
    source: Frame
