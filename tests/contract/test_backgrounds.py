"""The background and compositor contracts, over every background in the registry."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from rvm.compositing import BACKGROUNDS, make_compositor, parse_background
from rvm.compositing.cpu_compositor import plane_alphas
from rvm.frame import PIXEL_FORMATS, SRGB, ColourTags, Frame, Matte, PixelFormat
from tests.synth_clips import write_clip

TAGS = (
    ColourTags(),
    ColourTags("bt601", "full"),
    ColourTags("bt2020", "limited", "bt2020", "pq"),
)
SIZES = ((64, 36), (36, 64), (33, 17), (1, 1))


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One spec for each registered background. A new one must be added here."""
    folder = tmp_path_factory.mktemp("backgrounds")
    picture, clip = folder / "picture.png", folder / "clip.mp4"
    cv2.imwrite(str(picture), np.full((30, 50, 3), (30, 90, 200), np.uint8))
    write_clip(clip, frames=4)
    return {
        "solid": "#336699",
        "image": str(picture),
        "video": str(clip),
        "blur": "blur",
        "transparent": "transparent",
        "none": "none",
    }


def frame_of(pixels: PixelFormat, width: int, height: int, tags: ColourTags, index: int) -> Frame:
    rng = np.random.default_rng(index)
    planes = tuple(
        rng.integers(0, pixels.max_value + 1, shape).astype(pixels.dtype)
        for shape in pixels.plane_shapes(width, height)
    )
    return Frame(
        planes, pixels, width, height, pts=index * 40, time_base=Fraction(1, 1000), index=index,
        colour=SRGB if pixels.family == "rgb" else tags, duration=40,
        sample_aspect=Fraction(4, 3) if index else Fraction(1), captured_at_seconds=1.5,
    )  # fmt: skip


def matte_of(width: int, height: int) -> Matte:
    y, x = np.mgrid[:height, :width]
    ramp = np.hypot(x - width / 2, y - height / 2) / max(width, height)
    alpha = np.rint(np.clip((0.4 - ramp) * 6, 0, 1) * 255).astype(np.uint8)
    residual = np.random.default_rng(0).normal(0, 0.1, (5, 7, 3)).astype(np.float32)
    return Matte(alpha, residual)


@pytest.mark.parametrize("name", BACKGROUNDS)
@pytest.mark.parametrize("tags", TAGS, ids=lambda tags: f"{tags.matrix}-{tags.transfer}")
@pytest.mark.parametrize("format_name", PIXEL_FORMATS)
def test_behind_and_compose(
    name: str, tags: ColourTags, format_name: str, specs: dict[str, str]
) -> None:
    pixels = PIXEL_FORMATS[format_name]
    background = parse_background(specs[name])
    compositor = make_compositor(parse_background(specs[name]))
    for index, (width, height) in enumerate(SIZES):  # sizes change under its feet
        frame, matte = frame_of(pixels, width, height, tags, index), matte_of(width, height)
        behind = background.behind(frame, matte)
        composite = compositor.compose(frame, matte)
        picture = composite.picture
        assert composite.source is frame
        assert composite.matte is matte
        same = dataclasses.replace(picture, planes=frame.planes, alpha=None)
        assert same == frame  # time, tags, aspect, index
        assert all(plane.dtype == pixels.dtype for plane in picture.planes)
        assert all(int(plane.max()) <= pixels.max_value for plane in picture.planes)
        if behind is None:
            assert picture.alpha is not None
            np.testing.assert_array_equal(picture.alpha, matte.alpha)
            continue
        assert picture.alpha is None
        assert (behind.format, behind.size, behind.colour) == (pixels, frame.size, frame.colour)
        assert [plane.dtype for plane in behind.planes] == [p.dtype for p in frame.planes]
        for plane, front, back, alpha in zip(
            picture.planes, frame.planes, behind.planes, plane_alphas(frame, matte), strict=True
        ):
            np.testing.assert_array_equal(plane[alpha == 255], front[alpha == 255])
            np.testing.assert_array_equal(plane[alpha == 0], back[alpha == 0])
    for closing in (background, compositor, background, compositor):
        closing.close()


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_same_input_same_output(name: str, specs: dict[str, str]) -> None:
    pixels = PIXEL_FORMATS["yuv420p"]
    runs = []
    for _ in range(2):
        compositor = make_compositor(specs[name])
        pictures = [
            compositor.compose(frame_of(pixels, 64, 36, ColourTags(), index), matte_of(64, 36))
            for index in range(6)
        ]
        runs.append([plane for picture in pictures for plane in picture.picture.planes])
        compositor.close()
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_a_picture_that_is_kept_does_not_change(name: str, specs: dict[str, str]) -> None:
    """A sink may still hold a picture when the next ones are made."""
    pixels = PIXEL_FORMATS["yuv420p"]
    compositor = make_compositor(specs[name])
    kept = []
    for index in range(20):
        frame = frame_of(pixels, 64, 36, ColourTags(), index)
        picture = compositor.compose(frame, matte_of(64, 36)).picture
        kept.append((picture, [plane.copy() for plane in picture.planes]))
    for picture, copies in kept:
        for plane, copy in zip(picture.planes, copies, strict=True):
            np.testing.assert_array_equal(plane, copy)
    compositor.close()


def test_every_registered_background_has_its_spec(specs: dict[str, str]) -> None:
    assert set(specs) == set(BACKGROUNDS)
    assert all(Path(f"rvm/{entry}").suffix for entry in BACKGROUNDS.values())
