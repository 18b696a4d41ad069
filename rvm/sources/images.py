"""Still pictures as a source: one image held for a while, or many of a folder in order."""

from __future__ import annotations

import math
import re
import threading
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rvm.clock_time import exact_seconds, exact_start
from rvm.errors import InputError, UsageError
from rvm.frame import PIXEL_FORMATS, SRGB, Frame
from rvm.media.numbered import NumberedName
from rvm.media.picture_files import PICTURE_SUFFIXES, decode_picture
from rvm.sources.base import Source, SourceInfo
from rvm.sources.quiet import quiet_opencv

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

DEFAULT_FPS = Fraction(30)


def read_image(path: str | os.PathLike[str]) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """An image file as RGB (rows, columns, 3), uint8 or uint16, turned as its EXIF data says.

    Alpha is dropped (a note says so); gray becomes RGB. The second value is notes for the user.

    Raises:
        InputError: missing, or not an image that can be decoded.
    """
    import cv2

    path = Path(path)
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be opened ({str(reason).lower()})") from error
    # IMREAD_UNCHANGED would keep alpha, but also ignore the EXIF orientation.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    with quiet_opencv():
        picture = decode_picture(data, flags)
    if picture is None:
        raise InputError(f"{path}: not an image that can be read")
    if picture.dtype not in (np.uint8, np.uint16):
        raise InputError(f"{path}: {picture.dtype} samples; only 8 and 16 bit images are read")
    notes = ("transparency of the image is ignored",) if _has_alpha(bytes(data[:64])) else ()
    return np.ascontiguousarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)), notes


def image_files(folder: Path) -> list[Path]:
    """The images of a folder in natural order (`2.png` before `10.png`).

    Raises:
        InputError: the folder cannot be read, or holds no image.
    """
    files = _listed(folder)
    if not files:
        raise InputError(f"{folder}: no images in this folder ({_suffix_list()})")
    return sorted(files, key=_natural_key)


def numbered_name(path: Path) -> NumberedName | None:
    """What `shot_%04d.png` means; None for all else, an image of just that name among it."""
    if path.suffix.lower() not in PICTURE_SUFFIXES or path.exists():
        return None
    return NumberedName.parse(path.name)


def numbered_files(path: Path) -> list[Path] | None:
    """The images that `shot_%04d.png` means, in order; None where it is no such pattern.

    Raises:
        InputError: the folder cannot be read, or holds no such image.
    """
    pattern = numbered_name(path)
    if pattern is None:
        return None
    files = _listed(path.parent)
    numbers = {file: pattern.number_of(file.name) for file in files}
    found = sorted((number, file) for file, number in numbers.items() if number is not None)
    if not found:
        raise InputError(f"{path}: no image in {path.parent} has such a name")
    return [file for _, file in found]


class ImagesSource(Source):
    """Images shown one after the other at `fps`, or a part of them; a single one is held.

    Frames are `rgb24` or `rgb48`, sRGB; frame i has pts i in units of 1/fps.

    Args:
        path: an image, a folder of images (natural order), or a numbered name (`shot_%04d.png`):
            all images that are called so, in the order of their numbers.
        fps: frames a second.
        start_seconds: of several images, those from this moment on.
        duration_seconds: of several images, those of so long; how long a single one is shown. None
            is all of them, and one frame of a single one.
        loop: start over at the end, for ever.

    Raises:
        InputError: nothing to read, or the first image cannot be read; from the iterator, if a
            later one cannot.
        UsageError: `fps` or `duration_seconds` is not positive, or there is no such part.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        fps: Fraction | float = DEFAULT_FPS,
        start_seconds: float = 0.0,
        duration_seconds: float | None = None,
        loop: bool = False,
    ) -> None:
        for value in (fps, duration_seconds):
            if value is not None and not 0 < value < math.inf:
                raise UsageError(
                    f"frames a second ({fps}) and seconds ({duration_seconds}) must be above 0"
                )
        path = Path(path)
        files = _files_of(path)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._repeats = 1
        if len(files) == 1 and duration_seconds is not None:
            self._repeats = max(1, round(duration_seconds * self._rate))
            duration_seconds = None
        self._files = _part(files, self._rate, start_seconds, duration_seconds)
        if not self._files:
            whole = f"{float(len(files) / self._rate):.2f} seconds"
            raise UsageError(f"{path}: no picture from second {start_seconds:g} on; it has {whole}")
        self._loop = loop
        self._closed = threading.Event()
        self._first, notes = read_image(self._files[0])
        self.info = self._describe(str(path), notes)

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while not self._closed.is_set():
            for path in self._files:
                image = self._first if path is self._files[0] else read_image(path)[0]
                for _ in range(self._repeats):
                    if self._closed.is_set():
                        return
                    yield self._frame(image, index)
                    index += 1
            if not self._loop:
                return

    def close(self) -> None:
        """End the iteration."""
        self._closed.set()

    def _frame(self, image: npt.NDArray[Any], index: int) -> Frame:
        return Frame(
            planes=(image,),
            format=_format_of(image),
            width=image.shape[1],
            height=image.shape[0],
            pts=index,
            time_base=1 / self._rate,
            index=index,
            colour=SRGB,
            duration=1,
        )

    def _describe(self, name: str, notes: tuple[str, ...]) -> SourceInfo:
        files = len(self._files)
        count = None if self._loop else files * self._repeats
        return SourceInfo(
            name=name,
            width=self._first.shape[1],
            height=self._first.shape[0],
            format=_format_of(self._first),
            colour=SRGB,
            time_base=1 / self._rate,
            frame_rate=self._rate,
            frame_count=count,
            duration_seconds=None if count is None else float(count / self._rate),
            files=tuple(self._files),
            picture_names=tuple(path.name for path in self._files) if count == files else (),
            notes=notes,
        )


def _files_of(path: Path) -> list[Path]:
    if path.is_dir():
        return image_files(path)
    return numbered_files(path) or [path]


def _part(
    files: list[Path], rate: Fraction, start_seconds: float, duration_seconds: float | None
) -> list[Path]:
    """Those whose time, counted from the first, lies in [start, start + duration)."""
    start = exact_start(start_seconds)
    if duration_seconds is None:
        return files[math.ceil(start * rate) :]
    end = start + exact_seconds(duration_seconds)
    return files[math.ceil(start * rate) : math.ceil(end * rate)]


def _listed(folder: Path) -> list[Path]:
    """The images of a folder, in no order."""
    try:
        files = [path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES]
    except OSError as error:
        raise InputError(f"{folder}: cannot be listed ({str(error.strerror).lower()})") from error
    return [path for path in files if path.is_file()]


def _format_of(image: npt.NDArray[Any]) -> Any:
    return PIXEL_FORMATS["rgb24" if image.dtype == np.uint8 else "rgb48"]


def _natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Runs of digits compare as numbers, the rest as lower-case text."""
    parts = re.split(r"(\d+)", path.name.lower())
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts if part]


def _has_alpha(head: bytes) -> bool:
    """Whether a PNG header declares an alpha channel (colour types 4 and 6)."""
    return head[:8] == b"\x89PNG\r\n\x1a\n" and len(head) > 25 and head[25] in (4, 6)


def _suffix_list() -> str:
    return ", ".join(sorted(suffix[1:] for suffix in PICTURE_SUFFIXES))
