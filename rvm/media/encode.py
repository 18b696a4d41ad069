"""From a `Frame` to what an encoder takes: planes, colour tags, timestamps.

Where the encoder takes the frame's own format, its samples go in exactly as they are, with one
copy. Everything else (chroma layout, depth, range, RGB to YUV) goes through one swscale
conversion with the accurate, area-averaging settings: at most one code value from exact.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation

from rvm.colour.guess import guess_tags
from rvm.colour.ranges import code_to_rgb
from rvm.colour.rgb import full_size_code
from rvm.frame import PIXEL_FORMATS, RGB24, YUV420P, ColourTags, PixelFormat
from rvm.media.tags import is_rgb, to_numbers

if TYPE_CHECKING:
    import numpy.typing as npt

    from rvm.frame import Frame, Plane

#: swscale's names for the matrices (SWS_CS_*).
_SWS_MATRIX = {"bt709": 1, "bt601": 5, "bt2020": 9}

RGB48 = PIXEL_FORMATS["rgb48"]
_ACCURATE = int(
    Interpolation.AREA
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)


def set_tags(target: Any, tags: ColourTags) -> None:
    """Write tags into an `av.VideoFrame` or a codec context."""
    for name, number in dataclasses.asdict(to_numbers(tags)).items():
        setattr(target, name, number)


def as_array(plane: Plane) -> npt.NDArray[Any]:
    """A plane as a numpy array; a tensor on a device is copied from there."""
    if isinstance(plane, np.ndarray):
        return plane
    return np.asarray(plane.detach().cpu().numpy())


def tags_for(pixels: PixelFormat, frame: Frame, *, limited_only: bool = False) -> ColourTags:
    """The tags of `frame` once it is stored as `pixels`.

    RGB stored as YUV gets the customary matrix of its size, limited range, and keeps its own
    primaries and transfer. `limited_only` is for codecs that cannot say "full range" (ProRes).
    """
    tags = dataclasses.replace(frame.colour, guessed=False)
    if pixels.family == "rgb":
        return dataclasses.replace(tags, matrix="rgb", range="full")
    if frame.format.family == "rgb" or tags.matrix == "rgb":
        matrix = guess_tags(frame.width, frame.height).matrix
        return dataclasses.replace(tags, matrix=matrix, range="limited")
    return dataclasses.replace(tags, range="limited") if limited_only else tags


def native_name(pixels: PixelFormat, *, alpha: bool) -> str:
    """FFmpeg's name of a `Frame`'s layout, little endian, with an alpha plane if asked for."""
    if pixels.family == "rgb":
        names = {8: ("rgb24", "rgba"), 16: ("rgb48le", "rgba64le")}
        return names[pixels.depth][alpha]
    depth = pixels.depth
    if alpha and depth == 12 and pixels.chroma_shift == (1, 1):
        depth = 16  # FFmpeg has no 12-bit 4:2:0 with alpha
    layout = pixels.name.split("p")[0].replace("yuv", "yuva" if alpha else "yuv")
    return f"{layout}p{'' if depth == 8 else f'{depth}le'}"


def to_video_frame(
    frame: Frame,
    format_name: str,
    *,
    padded_size: tuple[int, int] | None = None,
    tags: ColourTags | None = None,
    share: bool = False,
) -> av.VideoFrame:
    """A frame as PyAV encodes it: `format_name`, tags, pts, time base and duration set.

    Args:
        frame: any frame; planes on a device are fetched.
        format_name: FFmpeg pixel format. "gray" takes the luma (or nothing but it) as it is.
            Alpha is included exactly when the format has it (opaque where the frame has none).
        padded_size: (width, height) not below the frame's; the last column and row repeat.
        tags: what the result shall mean; default: see `tags_for`.
        share: where nothing is to be converted, the result may lie in the frame's own planes and
            keeps them alive. Only for who reads no sample beyond a plane, and for frames that
            nobody changes.

    Returns:
        A frame that, unless it may share, owns its samples; nothing points back into `frame`.
    """
    width, height = padded_size or frame.size
    if format_name == "gray":
        picture = av.VideoFrame(width, height, "gray")
        _fill(picture, 0, as_array(frame.planes[0]), 8, 8)
    else:
        if format_name.startswith(("rgb48", "rgba64", "gbrp16", "gbrap16")):
            frame = _as_rgb48(frame)
        if tags is None:
            tags = tags_for(RGB24 if is_rgb(format_name) else YUV420P, frame)
        fits = share and (width, height) == frame.size and _means_the_same(frame.colour, tags)
        shared = _shared(frame, format_name) if fits else None
        picture = shared or _native(frame, width, height, alpha=has_alpha(format_name))
        picture = _converted(picture, format_name, frame.colour, tags)
        if format_name.startswith("yuva"):
            # swscale widens alpha by shifting alone: 255 would become 1020 of 1023.
            depth = int(format_name.split("p")[1].removesuffix("le") or 8)
            _copy(samples(picture, 3, depth), _alpha(frame, depth))
    set_tags(picture, tags or frame.colour)
    picture.pts = frame.pts
    picture.time_base = frame.time_base
    picture.duration = frame.duration or 0
    return picture


def has_alpha(format_name: str) -> bool:
    """True for an FFmpeg pixel format with an alpha plane or channel."""
    return format_name.startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap"))


def samples(picture: av.VideoFrame, index: int, depth: int, channels: int = 1) -> npt.NDArray[Any]:
    """A writable view of one plane: (rows, columns) or (rows, columns, channels)."""
    plane = picture.planes[index]
    dtype = np.dtype(np.uint8 if depth == 8 else np.uint16)
    shape: tuple[int, ...] = (plane.height, plane.width)
    strides: tuple[int, ...] = (plane.line_size, dtype.itemsize * channels)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, dtype.itemsize)
    buffer: Any = plane
    return np.ndarray(shape, dtype, buffer=buffer, strides=strides)


def _native(frame: Frame, width: int, height: int, *, alpha: bool) -> av.VideoFrame:
    """The frame's samples, unconverted, in a fresh `av.VideoFrame`."""
    pixels = frame.format
    name = native_name(pixels, alpha=alpha)
    picture = av.VideoFrame(width, height, name)
    if pixels.family == "rgb":
        packed = samples(picture, 0, pixels.depth, 4 if alpha else 3)
        _copy(packed[..., :3], as_array(frame.planes[0]))
        if alpha:
            _copy(packed[..., 3], _alpha(frame, pixels.depth))
        return picture
    depth = 16 if name.endswith("16le") else pixels.depth
    for index, plane in enumerate(frame.planes):
        _fill(picture, index, as_array(plane), pixels.depth, depth)
    if alpha:
        _copy(samples(picture, 3, depth), _alpha(frame, depth))
    return picture


def _shared(frame: Frame, format_name: str) -> av.VideoFrame | None:
    """The frame's own planes as an `av.VideoFrame`; None where they cannot be one."""
    pixels = frame.format
    step_x, step_y = (1 << shift for shift in pixels.chroma_shift)
    even = frame.width % step_x == 0 and frame.height % step_y == 0
    if pixels.family != "yuv" or not even or native_name(pixels, alpha=False) != format_name:
        return None
    planes = frame.planes
    if not all(isinstance(plane, np.ndarray) and _is_lendable(plane) for plane in planes):
        return None
    return av.VideoFrame.from_dlpack(planes, format=format_name)


def _is_lendable(plane: npt.NDArray[Any]) -> bool:
    """Whether a plane's rows are as FFmpeg takes them, and DLPack lets it out."""
    return plane.flags.writeable and plane.strides[1] == plane.itemsize and plane.strides[0] > 0


def _as_rgb48(frame: Frame) -> Frame:
    """YUV as 16-bit RGB, exactly: swscale loses green on the way from 4:2:0 to rgb48."""
    if frame.format.family == "rgb":
        return frame
    planes = tuple(as_array(plane) for plane in frame.planes)
    code = full_size_code(frame.with_picture(planes)).astype(np.float32)
    rgb = cv2.transform(code, code_to_rgb(frame.format, frame.colour).astype(np.float32))
    deep = np.rint(np.clip(rgb, 0, 1) * np.float32(65535)).astype(np.uint16)
    colour = tags_for(RGB48, frame)
    return dataclasses.replace(frame, planes=(deep,), format=RGB48, colour=colour)


def _fill(
    picture: av.VideoFrame, index: int, plane: npt.NDArray[Any], depth: int, stored_depth: int
) -> None:
    source = plane if depth == stored_depth else plane << (stored_depth - depth)
    _copy(samples(picture, index, stored_depth), source)


def _copy(target: npt.NDArray[Any], source: npt.NDArray[Any]) -> None:
    """Copy into the top left of a target that may be larger; repeat the last row and column."""
    rows, columns = source.shape[:2]
    np.copyto(target[:rows, :columns], source)
    if target.shape[1] > columns:
        target[:rows, columns:] = target[:rows, columns - 1 : columns]
    if target.shape[0] > rows:
        target[rows:] = target[rows - 1 : rows]


def _alpha(frame: Frame, depth: int) -> npt.NDArray[Any]:
    """Alpha widened to `depth` bits, both ends exact (the high bits repeat below)."""
    if frame.alpha is None:
        return np.broadcast_to(np.uint16((1 << depth) - 1), (frame.height, frame.width))
    narrow = as_array(frame.alpha)
    if depth == 8:
        return narrow
    wide = narrow.astype(np.uint16)
    return wide * np.uint16(257) if depth == 16 else (wide << (depth - 8)) | (wide >> (16 - depth))


def _converted(
    picture: av.VideoFrame, format_name: str, colour: ColourTags, tags: ColourTags
) -> av.VideoFrame:
    """`picture` (meaning `colour`) as `format_name` (meaning `tags`)."""
    if picture.format.name == format_name and _means_the_same(colour, tags):
        return picture
    set_tags(picture, colour)
    matrix = colour.matrix if colour.matrix != "rgb" else tags.matrix
    target = tags.matrix if tags.matrix != "rgb" else matrix
    return picture.reformat(
        format=format_name,
        src_colorspace=_SWS_MATRIX.get(matrix),
        dst_colorspace=_SWS_MATRIX.get(target),
        src_color_range=_range(colour),
        dst_color_range=_range(tags),
        interpolation=_ACCURATE,
        threads=1,
    )


def _means_the_same(colour: ColourTags, tags: ColourTags) -> bool:
    return (colour.matrix, colour.range) == (tags.matrix, tags.range)


def _range(tags: ColourTags) -> int:
    return to_numbers(tags).color_range
