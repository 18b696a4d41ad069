"""From small guided-filter coefficients to full-size alpha."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rvm.colour.rgb import network_rgb, to_srgb8
from rvm.frame import PIXEL_FORMATS, SRGB, ColourTags, Frame
from rvm.matting.refine import (
    LUMA_709,
    LumaGuide,
    Scratch,
    alpha_to_bytes,
    finite,
    guided_alpha,
    luma_guide,
    match_luma,
)

Floats = npt.NDArray[np.float32]


def yuv_frame(width: int, height: int, name: str, colour: ColourTags, seed: int = 0) -> Frame:
    layout = PIXEL_FORMATS[name]
    random = np.random.default_rng(seed)
    step = 1 << (layout.depth - 8)
    planes = tuple(
        random.integers(16 * step, 235 * step, shape).astype(layout.dtype)
        for shape in layout.plane_shapes(width, height)
    )
    return Frame(planes, layout, width, height, colour=colour)


def test_bytes_are_rounded_not_cut() -> None:
    alpha = np.array([[0.0, 0.49 / 255, 0.51 / 255, 127.4 / 255, 127.6 / 255, 1.0]], np.float32)
    assert alpha_to_bytes(alpha).tolist() == [[0, 0, 1, 127, 128, 255]]


def test_what_is_no_number_becomes_nothing() -> None:
    bad = np.array([[np.nan, np.inf, -np.inf, 0.5]] * 9, np.float32)
    assert finite(bad).tolist() == [[0, 0, 0, 0.5]] * 9
    assert alpha_to_bytes(bad)[:, 0].max() == 0
    good = np.ones((3, 3), np.float32)
    assert finite(good) is good
    guide = LumaGuide(np.full((18, 8), 100, np.uint8), 1 / 255, 0.0)
    assert guided_alpha(guide, bad, bad).dtype == np.uint8


@pytest.mark.parametrize(("name", "depth"), [("yuv420p", 8), ("yuv420p10", 10), ("yuv444p12", 12)])
def test_alpha_is_scale_times_luma_plus_offset(name: str, depth: int) -> None:
    frame = yuv_frame(97, 150, name, ColourTags())
    random = np.random.default_rng(1)
    scale: Floats = random.normal(0.5, 0.5, (32, 24)).astype(np.float32)
    offset: Floats = random.normal(0.1, 0.3, (32, 24)).astype(np.float32)
    step = 1 << (depth - 8)
    luma = (frame.planes[0].astype(np.float64) - 16 * step) / (219 * step)
    up = [cv2.resize(plane.astype(np.float64), (97, 150)) for plane in (scale, offset)]
    expected = np.clip(up[0] * luma + up[1], 0, 1) * 255
    alpha = guided_alpha(luma_guide(frame), scale, offset)
    assert np.abs(alpha - expected).max() < 0.51  # rounding, and float32


def test_the_y_plane_is_used_as_it_is() -> None:
    frame = yuv_frame(64, 48, "yuv420p", ColourTags())
    assert luma_guide(frame).plane is frame.planes[0]


@pytest.mark.parametrize("range_", ["limited", "full"])
def test_luma_of_bt709_is_the_luma_of_the_networks_rgb(range_: str) -> None:
    colour = ColourTags(range=range_)  # type: ignore[arg-type]
    frame = yuv_frame(64, 48, "yuv444p", colour)
    grey = np.full((48, 64), 128, np.uint8)
    frame = frame.with_picture((frame.planes[0], grey, grey))
    seen = cv2.transform(network_rgb(frame, 64, 48), LUMA_709)
    np.testing.assert_allclose(luma_guide(frame).small(64, 48), seen, atol=2e-3)


def test_luma_of_rgb_frames() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    frame = Frame((picture,), PIXEL_FORMATS["rgb24"], 64, 48, colour=SRGB)
    expected = picture @ LUMA_709[0]
    assert np.abs(luma_guide(frame).plane - expected).max() < 0.51


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_luma_of_hdr_is_display_referred(transfer: str) -> None:
    colour = ColourTags("bt2020", "limited", "bt2020", transfer)  # type: ignore[arg-type]
    ramp = np.tile(np.linspace(64, 940, 64).astype(np.uint16), (8, 1))
    grey = np.full((8, 64), 512, np.uint16)
    frame = Frame((ramp, grey, grey), PIXEL_FORMATS["yuv444p10"], 64, 8, colour=colour)
    seen = cv2.transform(network_rgb(frame, 64, 8), LUMA_709)
    np.testing.assert_allclose(luma_guide(frame).small(64, 8), seen, atol=1.1 / 255)


def test_other_matrices_are_corrected_at_the_small_size() -> None:
    """A BT.601 and a BT.709 frame of the same picture give the same alpha."""
    height, width = 96, 128
    picture = np.empty((height, width, 3), np.uint8)
    picture[:, : width // 2] = (220, 30, 40)  # red and blue: BT.601 luma is .09 and .03 higher
    picture[:, width // 2 :] = (30, 60, 210)
    alphas = []
    for matrix in ("bt709", "bt601"):
        frame = _as_yuv(picture, ColourTags(matrix))
        assert np.abs(to_srgb8(frame).astype(int) - picture).max() <= 3
        seen = network_rgb(frame, 32, 24).transpose(2, 0, 1)
        scale = np.full((24, 32), 2.0, np.float32)
        offset = np.full((24, 32), -0.1, np.float32)
        guide = luma_guide(frame)
        alphas.append(guided_alpha(guide, scale, match_luma(guide, frame, seen, scale, offset)))
    flat = np.r_[: width // 2 - 8, width // 2 + 8 : width]
    difference = np.abs(alphas[0].astype(int) - alphas[1])[:, flat]
    assert difference.max() <= 4  # two code values of luma, doubled; uncorrected it would be 47


def _as_yuv(picture: npt.NDArray[np.uint8], colour: ColourTags) -> Frame:
    from rvm.colour.rgb import from_srgb8

    height, width, _ = picture.shape
    layout = PIXEL_FORMATS["yuv444p"]
    blank = tuple(np.zeros(shape, np.uint8) for shape in layout.plane_shapes(width, height))
    frame = Frame(blank, layout, width, height, colour=colour)
    return frame.with_picture(from_srgb8(picture, frame))


def test_an_alpha_that_is_looked_at_is_not_written_again() -> None:
    scratch = Scratch()
    first = scratch.alpha(4, 8)
    row = first[2]  # any view holds it
    address = first.ctypes.data
    del first
    assert scratch.alpha(4, 8).ctypes.data != address
    del row
    assert scratch.alpha(4, 8).ctypes.data == address
    assert scratch.floats(0, 2, 3) is scratch.floats(0, 2, 3)
    assert scratch.floats(0, 2, 3) is not scratch.floats(1, 2, 3)
