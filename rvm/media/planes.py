"""Decoded pictures to the planes of a `Frame`: views where the layout allows it, else one copy.

`av.VideoFrame` memory is viewed by numpy without copying; the view keeps the picture alive. Other
layouts are converted by FFmpeg to the nearest canonical format, losslessly where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rvm.frame import PIXEL_FORMATS, PixelFormat
from rvm.media.side_data import side_data_of
from rvm.media.tags import is_rgb

if TYPE_CHECKING:
    import av

    from rvm.frame import Plane

Samples = npt.NDArray[Any]

#: FFmpeg layouts whose first planes are those of a canonical format, so that no copy is needed.
_VIEWED = {
    **{f"yuv{layout}p": f"yuv{layout}p" for layout in ("420", "422", "444")},
    **{f"yuvj{layout}p": f"yuv{layout}p" for layout in ("420", "422", "444")},
    **{f"yuva{layout}p": f"yuv{layout}p" for layout in ("420", "422", "444")},
    **{f"yuv{x}p{d}le": f"yuv{x}p{d}" for x in ("420", "422", "444") for d in (10, 12)},
    **{f"yuva{x}p{d}le": f"yuv{x}p{d}" for x in ("420", "422", "444") for d in (10, 12)},
    "rgb24": "rgb24",
    "rgb48le": "rgb48",
}
#: FFmpeg's gray layout of each depth; chroma without colour is added to it.
_GRAY_NAMES = {8: "gray", 10: "gray10le", 12: "gray12le"}
_FFMPEG_NAMES = {**{name: name for name in PIXEL_FORMATS}, "rgb48": "rgb48le"} | {
    f"yuv{x}p{d}": f"yuv{x}p{d}le" for x in ("420", "422", "444") for d in (10, 12)
}

#: A quarter turn counter-clockwise, or a mirror image: what makes a stored picture upright.
Turn = Literal[0, 90, 180, 270]


@dataclass(frozen=True, slots=True)
class Orientation:
    """First mirror left-right if `mirrored`, then turn counter-clockwise by `turn` degrees."""

    turn: Turn = 0
    mirrored: bool = False

    @property
    def swaps_axes(self) -> bool:
        """Whether width and height change places."""
        return self.turn in (90, 270)


UPRIGHT = Orientation()


#: FFmpeg's converter, given several threads, now and then spoils samples where two slices meet
#: (seen with P010 in 1 of 200 pictures).
CONVERTER_THREADS = 1


def ffmpeg_name(format: PixelFormat) -> str:
    """FFmpeg's name of a canonical format (`yuv420p10` is `yuv420p10le`)."""
    return _FFMPEG_NAMES[format.name]


def canonical_format(picture: av.VideoFrame) -> PixelFormat:
    """The nearest format a `Frame` may have for what was decoded."""
    source = picture.format
    if source.name in _VIEWED:
        return PIXEL_FORMATS[_VIEWED[source.name]]
    depth = _depth(source)
    if is_rgb(source.name) or source.is_rgb:
        return PIXEL_FORMATS["rgb24" if depth <= 8 else "rgb48"]
    suffix = "" if depth <= 8 else "10" if depth <= 10 else "12"
    return PIXEL_FORMATS[f"yuv{_layout(source)}p{suffix}"]


def conversion_note(picture: av.VideoFrame, orientation: Orientation = UPRIGHT) -> str | None:
    """One line for the user if the conversion changes samples or drops something, else None."""
    source, target = picture.format, upright_format(picture, orientation)
    if any(component.is_alpha for component in source.components):
        return "the transparency of the input is ignored"
    same_chroma = target.family == "rgb" or _layout(source, exact=True) == target.name[3:6]
    if _depth(source) > target.depth or not same_chroma:
        return f"{source.name} is converted to {target.name}"
    return None


def upright_format(picture: av.VideoFrame, orientation: Orientation) -> PixelFormat:
    """The format after turning: 4:2:2 on its side would be 4:4:0, so it becomes 4:4:4."""
    format = canonical_format(picture)
    if orientation.swaps_axes and format.chroma_shift == (1, 0):
        return PIXEL_FORMATS[format.name.replace("422", "444")]
    return format


def planes_of(picture: av.VideoFrame, orientation: Orientation = UPRIGHT) -> tuple[Plane, ...]:
    """Upright planes of a decoded picture in its `upright_format`.

    Views into the picture's memory where the layout is canonical and it lies upright already,
    else new arrays. uint8, or uint16 with the value in the low bits.

    Raises:
        ValueError: samples of more than 16 bits, on some of which FFmpeg's converter aborts.
    """
    if _depth(picture.format) > 16:
        raise ValueError("samples of more than 16 bits")
    format = upright_format(picture, orientation)
    if _is_gray(picture.format.name):
        gray = _GRAY_NAMES[format.depth]
        if picture.format.name != gray or _bottom_up(picture):
            picture = _convert(picture, gray)
        planes = _gray_planes(picture, format)
    else:
        if _VIEWED.get(picture.format.name) != format.name or _bottom_up(picture):
            picture = _convert(picture, ffmpeg_name(format))
        planes = tuple(_view(picture, plane, format) for plane in range(_plane_count(format)))
    return tuple(turn(plane, orientation) for plane in planes)


def turn(plane: Samples, orientation: Orientation) -> Samples:
    """`plane` made upright; contiguous rows, `plane` itself if it is upright."""
    if orientation == UPRIGHT:
        return plane
    import cv2

    if orientation.mirrored:
        plane = cv2.flip(plane, 1)
    codes = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}
    return cv2.rotate(plane, codes[orientation.turn]) if orientation.turn else plane


def orientation_of(picture: av.VideoFrame) -> Orientation:
    """How to make the picture upright, from its display matrix.

    The matrix maps a stored pixel (p, q) to (a p + c q, b p + d q), x to the right and y down
    (`libavutil/display.h`). Only its quarter turns and mirror images are honoured.
    """
    matrix = side_data_of(picture).get("DISPLAYMATRIX")
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = np.frombuffer(matrix, "<i4")[:5].tolist()
    return _orientation(_sign(a), _sign(b), _sign(c), _sign(d))


def _orientation(a: int, b: int, c: int, d: int) -> Orientation:
    turns: dict[tuple[int, int, int, int], Turn] = {
        (1, 0, 0, 1): 0, (0, -1, 1, 0): 90, (-1, 0, 0, -1): 180, (0, 1, -1, 0): 270,
    }  # fmt: skip
    if (a, b, c, d) in turns:
        return Orientation(turns[a, b, c, d])
    # Mirrored first: the matrix is a turn after (p -> -p), which negates the first column pair.
    if (-a, -b, c, d) in turns:
        return Orientation(turns[-a, -b, c, d], mirrored=True)
    return UPRIGHT


def _sign(fixed_point: int) -> int:
    """-1, 0 or 1 for a 16.16 number of at least a half in size."""
    return (fixed_point >= 1 << 15) - (fixed_point <= -(1 << 15))


def _view(picture: av.VideoFrame, index: int, format: PixelFormat) -> Samples:
    """(rows, columns[, 3]) view of one plane, rows padded as FFmpeg laid them out."""
    plane: Any = picture.planes[index]
    shape = format.plane_shapes(picture.width, picture.height)[index]
    samples: Samples = np.frombuffer(plane, format.dtype)
    stride = plane.line_size // format.dtype.itemsize
    row = shape[1] * (shape[2] if len(shape) == 3 else 1)
    rows = samples[: stride * shape[0]].reshape(shape[0], stride)[:, :row]
    return rows if len(shape) == 2 else rows.reshape(shape)


def _gray_planes(picture: av.VideoFrame, format: PixelFormat) -> tuple[Samples, ...]:
    """Luma as a view, and chroma without colour."""
    chroma = format.plane_shapes(picture.width, picture.height)[1]
    neutral = np.full(chroma, 1 << (format.depth - 1), format.dtype)
    return _view(picture, 0, format), neutral, neutral


def _convert(picture: av.VideoFrame, name: str) -> av.VideoFrame:
    """Another layout of the same code values: range and matrix stay as they are."""
    return picture.reformat(
        format=name, src_color_range="JPEG", dst_color_range="JPEG",
        src_colorspace="ITU709", dst_colorspace="ITU709", threads=CONVERTER_THREADS,
    )  # fmt: skip


def _plane_count(format: PixelFormat) -> int:
    return 1 if format.family == "rgb" else 3


def _bottom_up(picture: av.VideoFrame) -> bool:
    return any(plane.line_size < 0 for plane in picture.planes)


def _is_gray(name: str) -> bool:
    return name.startswith(("gray", "ya8", "ya16", "yaf", "mono"))


def _depth(source: Any) -> int:
    """Bits of the deepest component."""
    return max((component.bits for component in source.components), default=8)


def _layout(source: Any, exact: bool = False) -> str:
    """`420`, `422` or `444` for a YUV format, the next finer one if it is none of them.

    With `exact`, a layout that is none of them is named by its sampling instead.
    """
    if _is_gray(source.name):
        return "420"
    across, down = 64 // source.chroma_width(64), 64 // source.chroma_height(64)
    known = {(2, 2): "420", (2, 1): "422", (1, 1): "444"}
    if (across, down) in known:
        return known[across, down]
    if exact:
        return f"{across}x{down}"
    return {(4, 1): "422", (4, 4): "420", (1, 2): "444", (4, 2): "420"}.get((across, down), "444")
