"""A still picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from rvm.colour import rgb
from rvm.compositing import fit
from rvm.compositing.base import Background
from rvm.compositing.solid import same_shape
from rvm.errors import InputError
from rvm.media.picture_files import decode_picture

if TYPE_CHECKING:
    import os

    from rvm.frame import Frame, Matte

_MAX_BYTES = 512 << 20


class Image(Background):
    """A picture file, covering the frame: scaled to fill it, cut from the middle.

    EXIF orientation is applied; 16-bit PNG and TIFF keep their depth; transparent parts show
    black. Pixels are taken as sRGB (an embedded ICC profile is not looked at). The conversion is
    done once for each frame size, format and meaning.

    Args:
        path: PNG, JPEG, WebP, TIFF, BMP, AVIF, ...

    Raises:
        InputError: no such file, or not a picture.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._pixels = read_picture(Path(path))
        self._picture: Frame | None = None

    def behind(self, frame: Frame, matte: Matte) -> Frame:
        """See `Background.behind`."""
        if self._picture is None or not same_shape(self._picture, frame):
            self._picture = self._fitted(frame)
        return self._picture

    def _fitted(self, frame: Frame) -> Frame:
        height, width = self._pixels.shape[:2]
        rect = fit.cover_rect(
            width, height, frame.width, frame.height, to_aspect=frame.sample_aspect
        )
        pixels = fit.scale(fit.crop(self._pixels, rect), frame.width, frame.height)
        return frame.with_picture(rgb.from_srgb8(np.ascontiguousarray(pixels), frame))


def read_picture(path: Path) -> npt.NDArray[Any]:
    """A picture file as (rows, columns, 3) sRGB, uint8 or uint16, upright.

    Raises:
        InputError: no such file, or not a picture.
    """
    data = _read_bytes(path)
    pixels = decode_picture(data, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise InputError(f"{path}: not a picture that can be read; try PNG or JPEG")
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        return _over_black(pixels)
    # This applies the EXIF orientation, too.
    upright = decode_picture(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if upright is None or upright.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: pictures of this kind are not supported; save it as PNG or JPEG")
    return cv2.cvtColor(upright, cv2.COLOR_BGR2RGB)


def _read_bytes(path: Path) -> npt.NDArray[np.uint8]:
    if not path.exists():
        raise InputError(f"{path}: no such background file; check the path")
    if not path.is_file():
        raise InputError(f"{path}: is not a file; give a picture or a video as the background")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path}: larger than {_MAX_BYTES >> 20} MB; give a smaller picture")
        return np.fromfile(path, np.uint8)
    except OSError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _over_black(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """BGRA, straight alpha, as RGB over black."""
    colour = cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGB)
    top = float(np.iinfo(pixels.dtype).max)
    alpha = pixels[..., 3:].astype(np.float32) / np.float32(top)
    return np.rint(colour * alpha).astype(pixels.dtype)
