"""Frames to and from display-referred RGB.

"Display-referred RGB" is what a screen is sent: R'G'B' with the sRGB curve and BT.709 primaries,
0..1 or 0..255. An SDR picture's own R'G'B' is that already (see `rvm.colour.transfer`); HDR
pictures are brought there with diffuse white (203 cd/m2, ITU-R BT.2408) at 1.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rvm.colour import chroma, primaries, ranges, transfer
from rvm.frame import ByteImage, ColourTags, FloatImage, Frame, PixelFormat, Plane

#: Rows converted at a time: keeps the float copies of a 4K row block inside the L2/L3 cache.
_ROWS = 32
#: Light above this (1 is diffuse white) is rolled off smoothly for the network.
_KNEE = 0.8


def network_rgb(frame: Frame, width: int, height: int) -> FloatImage:
    """The picture as a network wants it, straight from the planes.

    Each plane is resampled first (see `chroma.resample`), then matrix and range are undone at the
    small size, exactly. HDR highlights are rolled off above 80 % of diffuse white; wide-gamut SDR
    is passed without converting its primaries, which the network does not notice.

    Args:
        frame: any CPU frame; rows may be padded.
        width, height: wanted size in pixels.

    Returns:
        (height, width, 3) float32, R'G'B' in 0..1, finite for any input.
    """
    planes = tuple(chroma.resample(plane, width, height) for plane in frame.planes)
    rgb = _affine(chroma.merge(planes), ranges.code_to_rgb(frame.format, frame.colour))
    if frame.colour.is_hdr:
        rgb = _light_to_display(_roll_off(_light_in_709(rgb, frame.colour)))
    elif frame.colour.transfer == "linear":
        rgb = transfer.from_light("srgb", rgb)
    return np.clip(rgb, 0, 1, out=rgb)


def to_srgb8(frame: Frame) -> ByteImage:
    """The picture as 8-bit sRGB at its own size, for stills and previews.

    Args:
        frame: any CPU frame.

    Returns:
        (height, width, 3) uint8. HDR light above diffuse white is clipped to white; everything
        up to it comes back from `from_srgb8` unchanged. May be the frame's own plane: do not
        write into it.
    """
    if (
        frame.format.name == "rgb24"
        and frame.colour.range == "full"
        and _is_srgb_signal(frame.colour)
    ):
        return np.asarray(frame.planes[0], np.uint8)
    return chroma.saturate(to_display(frame) * np.float32(255), cv2.CV_8U)


def to_display(frame: Frame) -> FloatImage:
    """As `to_srgb8`, but (height, width, 3) float32 in 0..1, not rounded."""
    code = full_size_code(frame)
    affine = ranges.code_to_rgb(frame.format, frame.colour)
    out = np.empty((frame.height, frame.width, 3), np.float32)
    for top in range(0, frame.height, _ROWS):
        rgb = _affine(code[top : top + _ROWS], affine)
        if not _is_srgb_signal(frame.colour):
            rgb = _light_to_display(_light_in_709(rgb, frame.colour))
        out[top : top + _ROWS] = rgb
    return np.clip(out, 0, 1, out=out)


def from_srgb8(image: npt.NDArray[Any], like: Frame) -> tuple[Plane, ...]:
    """An sRGB picture in the format, matrix, range, primaries and transfer of a frame.

    Args:
        image: (like.height, like.width, 3), sRGB; uint8, uint16 (0..65535) or float32 (0..1).
        like: says what the planes must mean; its samples are not looked at.

    Returns:
        planes as in `Frame.planes`. White becomes the format's diffuse white: 235 in limited
        8-bit BT.709, 203 cd/m2 in PQ and HLG.
    """
    if image.shape != (like.height, like.width, 3):
        raise ValueError(f"got image {image.shape}, expected {(like.height, like.width, 3)}")
    return planes_from_display(image, like.format, like.colour)


def planes_from_display(
    image: npt.NDArray[Any], pixels: PixelFormat, tags: ColourTags
) -> tuple[Plane, ...]:
    """`from_srgb8` for a format and tags instead of a frame; any (rows, columns, 3) image."""
    affine = ranges.rgb_to_code(pixels, tags)
    code = np.empty(image.shape, np.float32)
    for top in range(0, image.shape[0], _ROWS):
        rgb = _unit(image[top : top + _ROWS])
        if not _is_srgb_signal(tags):
            rgb = _display_to_signal(rgb, tags)
        code[top : top + _ROWS] = _affine(rgb, affine)
    return planes_from_code(code, pixels)


def planes_from_code(code: FloatImage, pixels: PixelFormat) -> tuple[Plane, ...]:
    """Round full-size code values (rows, columns, 3) to planes, subsampling the chroma."""
    if pixels.family == "rgb":
        return (chroma.round_to(code, pixels.dtype, pixels.max_value),)
    luma, blue, red = (np.asarray(part, np.float32) for part in cv2.split(code))
    shift = pixels.chroma_shift
    parts = (luma, chroma.downsample(blue, shift), chroma.downsample(red, shift))
    return tuple(chroma.round_to(part, pixels.dtype, pixels.max_value) for part in parts)


def full_size_code(frame: Frame) -> npt.NDArray[Any]:
    """The frame's code values as (height, width, 3), chroma upsampled; its own dtype."""
    if frame.format.family == "rgb":
        return np.asarray(frame.planes[0])
    luma, *rest = frame.planes
    shift = frame.format.chroma_shift
    wide = [chroma.upsample(plane, shift, frame.width, frame.height) for plane in rest]
    return chroma.merge((luma, *wide))


def _affine(samples: npt.NDArray[Any], matrix: npt.NDArray[np.float64]) -> FloatImage:
    floats = np.asarray(samples, np.float32)
    return np.asarray(cv2.transform(floats, matrix.astype(np.float32)), np.float32)


def _unit(image: npt.NDArray[Any]) -> FloatImage:
    if image.dtype == np.float32:
        return np.asarray(image)
    return image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)


def _is_srgb_signal(tags: ColourTags) -> bool:
    """True where R'G'B' already is display-referred sRGB."""
    return tags.transfer in ("bt709", "srgb") and tags.primaries == "bt709"


def _light_in_709(signal: FloatImage, tags: ColourTags) -> FloatImage:
    light = transfer.to_light(tags.transfer, signal)
    if tags.primaries == "bt709":
        return light
    return _affine(light, primaries.convert(tags.primaries, "bt709"))


def _light_to_display(light: FloatImage) -> FloatImage:
    return transfer.from_light("srgb", light)


def _display_to_signal(rgb: FloatImage, tags: ColourTags) -> FloatImage:
    light = transfer.to_light("srgb", rgb)
    if tags.primaries != "bt709":
        light = _affine(light, primaries.convert("bt709", tags.primaries))
    return transfer.from_light(tags.transfer, light)


def _roll_off(light: FloatImage) -> FloatImage:
    """Light 0..49 into 0..1: identity up to the knee, then an exponential shoulder."""
    room = np.float32(1 - _KNEE)
    over = np.maximum(light - np.float32(_KNEE), 0)
    rolled = np.minimum(light, np.float32(_KNEE)) + room * (1 - np.exp(-over / room))
    return np.asarray(rolled, np.float32)
