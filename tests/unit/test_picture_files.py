"""Pictures by their names: each that is named can be read, as an input and as a background."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rvm.compositing import parse_background
from rvm.compositing.image import Image, read_picture
from rvm.errors import InputError
from rvm.media.picture_files import CALLED_PICTURES, PICTURE_SUFFIXES
from rvm.path_like import looks_like_path
from rvm.sources import open_source
from rvm.sources.images import image_files, read_image

COLOUR = (40, 120, 200)


def flat(path: Path, top: int = 255, *options: int) -> Path:
    """A picture of one colour in samples from 0 to `top`."""
    dtype = np.uint8 if top < 256 else np.uint16
    shade = np.round(np.array(COLOUR[::-1]) / 255 * top).astype(dtype)
    assert cv2.imwrite(str(path), np.full((32, 48, 3), shade), list(options))
    return path


def assert_colour(pixels: Any) -> None:
    as_bytes = pixels.mean(axis=(0, 1)) / np.iinfo(pixels.dtype).max * 255
    assert np.abs(as_bytes - COLOUR).max() < 4


needs_avif = pytest.mark.skipif(not cv2.haveImageWriter("x.avif"), reason="this OpenCV has no AVIF")


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_each_suffix_is_a_picture_to_both_ends(suffix: str, tmp_path: Path) -> None:
    path = flat(tmp_path / f"flat{suffix}")
    assert_colour(read_image(path)[0])
    assert isinstance(parse_background(str(path)), Image)
    assert_colour(read_picture(path))
    assert image_files(tmp_path) == [path]


@needs_avif
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_an_avif_has_its_own_brightness_at_every_depth(bits: int, tmp_path: Path) -> None:
    path = flat(tmp_path / "flat.avif", (1 << bits) - 1, cv2.IMWRITE_AVIF_DEPTH, bits)
    assert isinstance(parse_background(str(path)), Image)
    assert_colour(read_picture(path))


@needs_avif
def test_an_avif_as_the_input_keeps_its_depth(tmp_path: Path) -> None:
    path = flat(tmp_path / "flat.avif", 1023, cv2.IMWRITE_AVIF_DEPTH, 10)
    with open_source(str(path)) as source:
        (frame,) = source
    assert frame.format.depth == 10


@pytest.mark.parametrize("white", [100, 255, 1023, 65535])
@pytest.mark.parametrize("binary", [True, False])
def test_a_ppm_says_itself_what_is_white(white: int, binary: bool, tmp_path: Path) -> None:
    shade = np.round(np.array(COLOUR) / 255 * white).astype(int)
    pixels = np.full((4, 6, 3), shade)
    body = pixels.astype("u1" if white < 256 else ">u2").tobytes()
    if not binary:
        body = " ".join(map(str, pixels.ravel())).encode() + b"\n"
    path = tmp_path / "flat.ppm"
    path.write_bytes(f"P{6 if binary else 3}\n# by hand\n6 4\n{white}\n".encode() + body)
    assert_colour(read_image(path)[0])
    assert_colour(read_picture(path))


@pytest.mark.parametrize("suffix", sorted(CALLED_PICTURES))
def test_what_is_only_called_a_picture_is_told_so(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"text{suffix}"
    path.write_text("no picture\n" * 20, encoding="utf-8")
    with pytest.raises(InputError, match=f"text\\{suffix}: not a picture that can be read; try"):
        parse_background(str(path))


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("sea.jpg", True), ("clip.3gp", True), ("~/sea", True), ("shots/", True),
        (r"C:\sea", True), ("weights.safetensors", True),
        ("blur", False), ("0", False), ("0.8", False), ("resnet-1.25", False), ("#00b140", False),
    ],
)  # fmt: skip
def test_what_looks_like_a_path(word: str, path: bool) -> None:
    assert looks_like_path(word) == path
