"""Frames to `av.VideoFrame`: exact where nothing is converted, one code value where it is."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rvm.colour.rgb import planes_from_display, to_display
from rvm.frame import PIXEL_FORMATS, SRGB, ColourTags, Frame
from rvm.media.encode import native_name, samples, tags_for, to_video_frame
from tests.composites import composite, matte_of, planes_of, shot

YUV_FORMATS = [name for name, pixels in PIXEL_FORMATS.items() if pixels.family == "yuv"]


@pytest.mark.parametrize("name", YUV_FORMATS)
@pytest.mark.parametrize("size", [(96, 64), (33, 17)])
def test_native_planes_arrive_bit_for_bit(name: str, size: tuple[int, int]) -> None:
    frame = composite(shot(format=name, width=size[0], height=size[1]), 0).picture
    picture = to_video_frame(frame, native_name(frame.format, alpha=False))
    got = planes_of(picture, frame.format.depth)
    assert [plane.shape for plane in got] == [plane.shape for plane in frame.planes]
    assert all((a == b).all() for a, b in zip(got, frame.planes, strict=True))


def address(plane: Any) -> int:
    return int(np.asarray(plane).__array_interface__["data"][0])


@pytest.mark.parametrize("name", YUV_FORMATS)
def test_planes_may_be_shared_and_are_let_go(name: str) -> None:
    frame = composite(shot(format=name, width=96, height=64), 0).picture
    before = [sys.getrefcount(plane) for plane in frame.planes]
    picture = to_video_frame(frame, native_name(frame.format, alpha=False), share=True)
    got = [samples(picture, index, frame.format.depth) for index in range(3)]
    assert list(map(address, got)) == list(map(address, frame.planes))
    assert all((a == b).all() for a, b in zip(got, frame.planes, strict=True))
    assert all(sys.getrefcount(p) > n for p, n in zip(frame.planes, before, strict=True))
    del picture, got
    assert [sys.getrefcount(plane) for plane in frame.planes] == before


def test_planes_are_copied_where_they_cannot_be_shared() -> None:
    def shares(frame: Frame, format_name: str = "yuv420p", **options: Any) -> bool:
        picture = to_video_frame(frame, format_name, share=True, **options)
        return address(picture.planes[0]) == address(frame.planes[0])

    frame = composite(shot(format="yuv420p", width=96, height=64), 0).picture
    assert shares(frame)
    assert not shares(frame, "yuv420p10le")
    assert not shares(frame, padded_size=(98, 64))
    assert not shares(frame, tags=dataclasses.replace(frame.colour, range="full"))
    mirrored = frame.with_picture(tuple(plane[::-1] for plane in frame.planes))
    assert not shares(mirrored)
    locked = frame.with_picture(tuple(np.copy(plane) for plane in frame.planes))
    locked.planes[0].flags.writeable = False
    assert not shares(locked)
    odd = composite(shot(format="yuv420p", width=33, height=17), 0).picture
    assert not shares(odd)


@pytest.mark.parametrize("name", ["rgb24", "rgb48"])
def test_rgb_arrives_bit_for_bit_with_alpha(name: str) -> None:
    frame = composite(shot(format=name, width=33, height=17, transparent=True), 0).picture
    picture = to_video_frame(frame, native_name(frame.format, alpha=True))
    packed = samples(picture, 0, frame.format.depth, 4)
    assert (packed[..., :3] == frame.planes[0]).all()
    assert frame.alpha is not None
    expected = frame.alpha.astype(int) * (1 if name == "rgb24" else 257)
    assert (packed[..., 3] == expected).all()


def test_time_and_tags_are_set() -> None:
    tags = ColourTags("bt2020", "full", "bt2020", "pq")
    frame = composite(shot(format="yuv420p10", colour=tags, pts=(7, 9)), 0).picture
    picture = to_video_frame(frame, "yuv420p10le")
    assert (picture.pts, picture.time_base, picture.duration) == (7, frame.time_base, 2)
    numbers = (picture.colorspace, picture.color_primaries, picture.color_trc, picture.color_range)
    assert numbers == (9, 9, 16, 2)


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("code_range", ["limited", "full"])
@pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "yuv422p10"])
def test_rgb_becomes_yuv_within_one_code_value(name: str, matrix: str, code_range: str) -> None:
    frame = composite(shot(format="rgb24"), 0).picture
    tags = ColourTags(matrix, code_range)  # type: ignore[arg-type]
    pixels = PIXEL_FORMATS[name]
    exact = planes_from_display(frame.planes[0], pixels, tags)
    got = planes_of(
        to_video_frame(frame, native_name(pixels, alpha=False), tags=tags), pixels.depth
    )
    for mine, theirs in zip(got, exact, strict=True):
        assert np.abs(mine.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize(("source", "target"), [("limited", "full"), ("full", "limited")])
def test_range_is_converted_within_one_code_value(source: str, target: str) -> None:
    tags = ColourTags("bt709", source)  # type: ignore[arg-type]
    frame = composite(shot(format="yuv444p", colour=tags), 0).picture
    wanted = dataclasses.replace(tags, range=target)  # type: ignore[arg-type]
    got = planes_of(to_video_frame(frame, "yuv444p", tags=wanted))
    scale = 255 / 219 if target == "full" else 219 / 255
    offset = -16 * scale if target == "full" else 16
    assert np.abs(got[0] - (frame.planes[0] * scale + offset)).max() <= 1


def test_yuv_becomes_rgb_as_the_exact_conversion() -> None:
    frame = composite(shot(format="yuv444p", colour=ColourTags("bt601", "full")), 0).picture
    got = samples(to_video_frame(frame, "rgb24"), 0, 8, 3)
    assert np.abs(got - to_display(frame) * 255).max() <= 1.5


@pytest.mark.parametrize("source", PIXEL_FORMATS)
@pytest.mark.parametrize("code_range", ["limited", "full"])
def test_every_conversion_shows_the_same_picture(source: str, code_range: str) -> None:
    """Within what 8-bit limited range resolves; swscale has paths that lose a whole channel."""
    rgb = PIXEL_FORMATS[source].family == "rgb"
    tags = None if rgb else ColourTags("bt709", code_range)  # type: ignore[arg-type]
    frame = composite(shot(format=source, colour=tags, width=98, height=66), 0).picture
    expected = to_display(frame)
    for name, pixels in PIXEL_FORMATS.items():
        meaning = tags_for(pixels, frame)
        picture = to_video_frame(frame, native_name(pixels, alpha=False), tags=meaning)
        count, channels = (1, 3) if pixels.family == "rgb" else (3, 1)
        planes = tuple(samples(picture, i, pixels.depth, channels) for i in range(count))
        shown = to_display(dataclasses.replace(frame, planes=planes, format=pixels, colour=meaning))
        error = np.abs(shown - expected)[2:-2, 2:-2]
        assert error.max() < 0.02, name
        assert error.mean() < 0.005, name


def test_deeper_alpha_keeps_both_ends_exact() -> None:
    frame = composite(shot(transparent=True), 0).picture
    assert frame.alpha is not None
    got = planes_of(to_video_frame(frame, "yuva444p10le"), 10)[3]
    assert got[frame.alpha == 255].min() == 1023
    assert got[frame.alpha == 0].max() == 0
    assert np.abs(got / 1023 - frame.alpha / 255).max() < 1 / 1023


def test_a_frame_without_alpha_is_opaque() -> None:
    for name, opaque in (("yuva420p", 255), ("yuva444p10le", 1023)):
        picture = to_video_frame(composite(shot(), 0).picture, name)
        assert planes_of(picture, 8 if opaque == 255 else 10)[3].min() == opaque


def test_padding_repeats_the_last_row_and_column() -> None:
    frame = composite(shot(width=33, height=17), 0).picture
    luma, blue, _ = planes_of(to_video_frame(frame, "yuv420p", padded_size=(34, 18)))
    assert (luma[:17, :33] == frame.planes[0]).all()
    assert (luma[:17, 33] == luma[:17, 32]).all()
    assert (luma[17] == luma[16]).all()
    assert (blue == frame.planes[1]).all()


def test_gray_takes_the_luma_as_it_is() -> None:
    alpha = matte_of(33, 17)
    frame = composite(shot(width=33, height=17), 0).picture
    frame = frame.with_picture((alpha, *frame.planes[1:]))
    assert (planes_of(to_video_frame(frame, "gray"))[0] == alpha).all()


class DevicePlane:
    """As much of a tensor on a device as anyone here touches."""

    def __init__(self, samples: npt.NDArray[Any]) -> None:
        self._samples = samples
        self.shape = samples.shape

    def detach(self) -> DevicePlane:
        return self

    def cpu(self) -> DevicePlane:
        return self

    def numpy(self) -> npt.NDArray[Any]:
        return self._samples


def test_planes_on_a_device_are_fetched() -> None:
    frame = composite(shot(), 0).picture
    tensors = frame.with_picture(tuple(DevicePlane(plane) for plane in frame.planes))
    got = planes_of(to_video_frame(tensors, "yuv420p"))
    assert all((a == b).all() for a, b in zip(got, frame.planes, strict=True))


def test_rgb_gets_the_customary_matrix_of_its_size() -> None:
    yuv = PIXEL_FORMATS["yuv420p"]

    def tags(height: int) -> ColourTags:
        plane = np.zeros((height, 64, 3), np.uint8)
        frame = Frame((plane,), PIXEL_FORMATS["rgb24"], 64, height, colour=SRGB)
        return tags_for(yuv, frame)

    assert tags(480) == ColourTags("bt601", "limited", "bt709", "srgb")
    assert tags(1080) == ColourTags("bt709", "limited", "bt709", "srgb")
