"""Background blur: no person in it, smooth, and the same look at every resolution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from rvm.colour.rgb import from_srgb8, to_srgb8
from rvm.compositing.blur import Blur, cells_and_sigma
from rvm.errors import UsageError
from rvm.frame import PIXEL_FORMATS, RGB24, SRGB, YUV420P, ColourTags, Frame, Matte


def rgb_frame(image: npt.NDArray[np.uint8]) -> Frame:
    height, width = image.shape[:2]
    return Frame((image,), RGB24, width, height, colour=SRGB)


def plain(
    width: int, height: int, colour: tuple[int, int, int] = (0, 0, 0)
) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


def empty_matte(width: int, height: int) -> Matte:
    return Matte(np.zeros((height, width), np.uint8))


def yuv_frame(image: npt.NDArray[np.uint8]) -> Frame:
    height, width = image.shape[:2]
    shapes = YUV420P.plane_shapes(width, height)
    frame = Frame(tuple(np.zeros(shape, np.uint8) for shape in shapes), YUV420P, width, height)
    return frame.with_picture(from_srgb8(image, frame))


def person(width: int, height: int) -> npt.NDArray[np.uint8]:
    """A soft-edged ellipse in the middle."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot((x - width / 2) / (width / 5), (y - height * 0.6) / (height / 3))
    return np.asarray(np.rint(np.clip((1.05 - distance) * 10, 0, 1) * 255), np.uint8)


@pytest.mark.parametrize("strength", [0.1, 0.6, 1.0])
@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10", "rgb24"])
def test_the_person_does_not_bleed_into_the_blur(name: str, strength: float) -> None:
    width, height = 322, 181
    alpha = person(width, height)
    green, red = np.array((40, 160, 60)), np.array((220, 30, 30))
    image = np.rint(green + alpha[..., None] / 255 * (red - green)).astype(np.uint8)
    pixels = PIXEL_FORMATS[name]
    shapes = pixels.plane_shapes(width, height)
    tags = SRGB if name == "rgb24" else ColourTags()
    frame = Frame(
        tuple(np.zeros(s, pixels.dtype) for s in shapes), pixels, width, height, colour=tags
    )
    frame = frame.with_picture(from_srgb8(image, frame))
    shown = to_srgb8(Blur(strength).behind(frame, Matte(alpha)))
    # What of the error is seen through the person's edge; the person differs by 180.
    seen = np.abs(shown.astype(int) - green).max(axis=2) * (1 - alpha / 255)
    assert seen.max() <= 10


def test_blur_looks_the_same_at_every_resolution() -> None:
    small = np.zeros((90, 160, 3), np.uint8)
    small[:, 80:] = 200
    profiles = []
    for scale in (1, 2, 4, 8):
        image = small.repeat(scale, axis=0).repeat(scale, axis=1)
        shown = Blur(0.8).behind(rgb_frame(image), empty_matte(160 * scale, 90 * scale))
        line = shown.planes[0][45 * scale, :, 0].astype(float)
        profiles.append(line.reshape(160, scale).mean(axis=1))
    for profile in profiles[1:]:
        assert np.abs(profile - profiles[-1]).max() < 8
    tall, wide = rgb_frame(plain(108, 192)), rgb_frame(plain(192, 108))
    assert cells_and_sigma(0.5, tall) == cells_and_sigma(0.5, wide)


def test_blur_is_smooth() -> None:
    """No blocks: neighbouring pixels differ by little, however coarse the inner picture is."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (45, 80, 3), np.uint8).repeat(8, axis=0).repeat(8, axis=1)
    shown = Blur(1.0).behind(rgb_frame(image), empty_matte(640, 360)).planes[0].astype(int)
    assert np.abs(np.diff(shown, axis=0)).max() <= 5
    assert np.abs(np.diff(shown, axis=1)).max() <= 5
    assert np.abs(np.diff(shown, n=2, axis=1)).max() <= 3


def test_a_stronger_blur_blurs_more() -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (90, 160, 3), np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    spread = [
        float(Blur(strength).behind(rgb_frame(image), empty_matte(320, 180)).planes[0].std())
        for strength in (0.0, 0.1, 0.4, 1.0)
    ]
    assert spread == sorted(spread, reverse=True)
    frame = rgb_frame(image)
    assert Blur(0).behind(frame, empty_matte(320, 180)) is frame


def test_blur_where_only_the_person_is() -> None:
    frame = yuv_frame(plain(64, 48, (200, 150, 120)))
    shown = Blur(0.5).behind(frame, Matte(np.full((48, 64), 255, np.uint8)))
    for plane, original in zip(shown.planes, frame.planes, strict=True):
        assert np.abs(plane.astype(int) - original).max() <= 1


def test_a_strength_that_is_no_number_is_refused() -> None:
    with pytest.raises(UsageError, match=r"0\.\.1"):
        Blur(float("nan"))
