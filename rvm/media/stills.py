"""One picture as the bytes of a PNG, JPEG or WebP file."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from rvm.errors import OutputError
from rvm.media.encode import as_array, set_tags, tags_for, to_video_frame

if TYPE_CHECKING:
    from rvm.frame import ColourTags, Frame

#: Extensions of still pictures that can be written, without the dot.
STILL_EXTENSIONS = ("png", "jpg", "jpeg", "webp")
#: Those of them that keep transparency.
ALPHA_EXTENSIONS = ("png", "webp")
_QUALITY = 95


def picture_name(original: str, *, alpha: bool = False, lossless: bool = False) -> str:
    """The name under which a picture is written that was read as `original`.

    The same where that type of file will do, else with the suffix `.png`.

    Args:
        original: name of the file that was read.
        alpha: it must keep transparency.
        lossless: it must keep every value.
    """
    stem, _, extension = original.rpartition(".")
    fitting = ("png",) if lossless else ALPHA_EXTENSIONS if alpha else STILL_EXTENSIONS
    return original if extension.lower() in fitting else f"{stem}.png"


def still_bytes(frame: Frame, extension: str, *, gray: bool = False) -> bytes:
    """A picture file of one frame.

    PNG is lossless RGB: 16-bit where the frame has more than 8 bits a sample, with alpha where
    the frame has it, its curve and primaries written into the file (HDR stays HDR). JPEG and
    WebP are 8-bit sRGB; WebP keeps alpha.

    Args:
        frame: any frame.
        extension: one of `STILL_EXTENSIONS`.
        gray: store the luma as gray.

    Raises:
        OutputError: the encoder refused the picture.
    """
    if extension == "png":
        return _png(frame, gray=gray)
    return _with_opencv(frame, extension, gray=gray)


def _png(frame: Frame, *, gray: bool) -> bytes:
    format_name = "gray" if gray else _png_format(frame)
    tags = _png_tags(frame)
    picture = to_video_frame(frame, format_name, tags=tags)
    context: Any = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = picture.width, picture.height, format_name
    context.framerate = 1
    context.thread_count = 1
    context.options = {"pred": "mixed", "compression_level": "3"}
    set_tags(context, tags)
    if frame.sample_aspect != 1:
        context.sample_aspect_ratio = frame.sample_aspect
    try:
        packets = [*context.encode(picture), *context.encode(None)]
    except (av.FFmpegError, ValueError) as error:
        raise OutputError(f"a {frame.width}x{frame.height} PNG cannot be made: {error}") from error
    return b"".join(bytes(packet) for packet in packets)


def _png_format(frame: Frame) -> str:
    names = {(8, False): "rgb24", (8, True): "rgba", (16, False): "rgb48be", (16, True): "rgba64be"}
    return names[8 if frame.format.depth == 8 else 16, frame.alpha is not None]


def _png_tags(frame: Frame) -> ColourTags:
    """RGB; an SDR signal is what a screen shows, which for pictures is called sRGB."""
    from rvm.frame import RGB24

    tags = tags_for(RGB24, frame)
    return dataclasses.replace(tags, transfer="srgb") if tags.transfer == "bt709" else tags


def _with_opencv(frame: Frame, extension: str, *, gray: bool) -> bytes:
    import cv2

    from rvm.colour.rgb import to_srgb8

    frame = frame.with_picture(tuple(as_array(plane) for plane in frame.planes), frame.alpha)
    if gray:
        image = np.ascontiguousarray(frame.planes[0])
    else:
        image = cv2.cvtColor(to_srgb8(frame), cv2.COLOR_RGB2BGR)
        if frame.alpha is not None and extension == "webp":
            image = np.dstack((image, as_array(frame.alpha)))
    quality = cv2.IMWRITE_WEBP_QUALITY if extension == "webp" else cv2.IMWRITE_JPEG_QUALITY
    try:
        done, encoded = cv2.imencode(f".{extension}", image, [quality, _QUALITY])
    except cv2.error as error:
        raise OutputError(f"a {frame.width}x{frame.height} {extension} cannot be made") from error
    if not done:
        raise OutputError(f"a {frame.width}x{frame.height} {extension} cannot be made")
    return encoded.tobytes()
