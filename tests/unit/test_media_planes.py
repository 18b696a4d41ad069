"""Planes of every layout FFmpeg knows, against the samples that were put in."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video import format as video_format
from av.video.format import VideoFormat

from rvm.frame import PIXEL_FORMATS
from rvm.media.planes import (
    UPRIGHT,
    Orientation,
    canonical_format,
    conversion_note,
    orientation_of,
    planes_of,
    turn,
    upright_format,
)

WIDTH, HEIGHT = 34, 26
#: Layouts for which FFmpeg has no reader.
NOT_READABLE = (
    "bgr4", "rgb4", "v30xbe", "x2bgr10be", "x2rgb10be", "xv30be", "y210be", "y212be", "y216be",
)  # fmt: skip


def picture(name: str, *, bits: int = 8, shift: int = 0, width: int = WIDTH) -> av.VideoFrame:
    """Random samples of `bits`, shifted left; everything else zero."""
    frame = av.VideoFrame(width, HEIGHT, name)
    random = np.random.default_rng(0)
    dtype = np.dtype(np.uint8 if bits == 8 else ">u2" if name.endswith("be") else "<u2")
    for plane in frame.planes:
        samples = np.frombuffer(plane, dtype)  # type: ignore[call-overload]
        samples[:] = random.integers(0, 1 << bits, samples.shape) << shift
    return frame


def stored(frame: av.VideoFrame, index: int, dtype: Any, plane: Any = None) -> npt.NDArray[Any]:
    """The memory of one plane as (rows, samples of a line)."""
    source: Any = frame.planes[index] if plane is None else plane
    return np.frombuffer(source, dtype).reshape(source.height, -1)


def software_formats() -> list[str]:
    usable = []
    names: set[str] = vars(video_format)["names"]  # PyAV's stubs do not have it
    for name in sorted(names):
        try:
            av.VideoFrame(WIDTH, HEIGHT, name)
        except (av.FFmpegError, ValueError):
            continue
        usable.append(name)
    return usable


@pytest.mark.parametrize("name", software_formats())
def test_every_layout_becomes_a_canonical_one(name: str) -> None:
    frame = av.VideoFrame(WIDTH, HEIGHT, name)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    if max(part.bits for part in VideoFormat(name).components) > 16:
        with pytest.raises(ValueError, match="16 bits"):
            planes_of(frame)
        return
    if name in NOT_READABLE:
        with pytest.raises(OSError, match="not supported"):
            planes_of(frame)
        return
    target = canonical_format(frame)
    assert target in PIXEL_FORMATS.values()
    shapes = target.plane_shapes(WIDTH, HEIGHT)
    assert tuple(plane.shape for plane in planes_of(frame)) == shapes
    components = VideoFormat(name).components
    if target.family == "yuv" and max(part.bits for part in components) <= 12:
        assert target.depth >= max(part.bits for part in components)


@pytest.mark.parametrize("width", [WIDTH, 35])
def test_nv12_is_only_taken_apart(width: int) -> None:
    frame = picture("nv12", width=width)
    luma, blue, red = planes_of(frame)
    half = (width + 1) // 2
    both = stored(frame, 1, np.uint8)
    assert np.array_equal(luma, stored(frame, 0, np.uint8)[:, :width])
    assert np.array_equal(blue, both[:, 0 : 2 * half : 2])
    assert np.array_equal(red, both[:, 1 : 2 * half : 2])


@pytest.mark.parametrize(("name", "bits", "shift"), [("p010le", 10, 6), ("p012le", 12, 4)])
def test_high_bits_move_to_the_low_ones(name: str, bits: int, shift: int) -> None:
    frame = picture(name, bits=bits, shift=shift)
    luma, blue, _ = planes_of(frame)
    assert np.array_equal(luma, stored(frame, 0, np.uint16)[:, :WIDTH] >> shift)
    assert np.array_equal(blue, stored(frame, 1, np.uint16)[:, :WIDTH:2] >> shift)


def test_packed_422_is_only_taken_apart() -> None:
    frame = picture("yuyv422")
    luma, blue, red = planes_of(frame)
    packed = stored(frame, 0, np.uint8)[:, : 2 * WIDTH]
    assert np.array_equal(luma, packed[:, 0::2])
    assert np.array_equal(blue, packed[:, 1::4])
    assert np.array_equal(red, packed[:, 3::4])


def test_planar_rgb_is_only_interleaved() -> None:
    frame = picture("gbrp")
    (rgb,) = planes_of(frame)
    for channel, plane in ((1, 0), (2, 1), (0, 2)):
        assert np.array_equal(rgb[..., channel], stored(frame, plane, np.uint8)[:, :WIDTH])


@pytest.mark.parametrize(("name", "bits"), [("gbrp10le", 10), ("gbrp12le", 12)])
def test_deep_rgb_is_widened_without_loss(name: str, bits: int) -> None:
    frame = picture(name, bits=bits)
    (rgb,) = planes_of(frame)
    assert canonical_format(frame).name == "rgb48"
    assert np.array_equal(rgb[..., 1] >> 16 - bits, stored(frame, 0, np.uint16)[:, :WIDTH])


@pytest.mark.parametrize(
    ("name", "order"), [("bgr24", 2), ("bgra", 2), ("bgr0", 2), ("rgba", 0), ("argb", 1)]
)
def test_packed_rgb_is_only_reordered(name: str, order: int) -> None:
    frame = picture(name)
    size = 3 if name == "bgr24" else 4
    (rgb,) = planes_of(frame)
    packed = stored(frame, 0, np.uint8)[:, : WIDTH * size]
    assert np.array_equal(rgb[..., 0], packed[:, order::size])


@pytest.mark.parametrize(
    ("name", "bits", "target"),
    [
        ("gray", 8, "yuv420p"), ("ya8", 8, "yuv420p"), ("gray10le", 10, "yuv420p10"),
        ("gray12be", 12, "yuv420p12"),
    ],
)  # fmt: skip
def test_gray_keeps_its_luma_and_gets_no_colour(name: str, bits: int, target: str) -> None:
    frame = picture(name, bits=bits)
    luma, blue, red = planes_of(frame)
    assert canonical_format(frame).name == target
    step = 2 if name == "ya8" else 1
    dtype = np.uint8 if bits == 8 else (">u2" if name.endswith("be") else "<u2")
    assert np.array_equal(luma, stored(frame, 0, dtype)[:, : WIDTH * step : step])
    neutral = 1 << bits - 1
    assert (blue.min(), blue.max(), red.min(), red.max()) == (neutral,) * 4


@pytest.mark.parametrize(
    ("name", "target", "note"),
    [
        ("yuv411p", "yuv422p", "yuv411p is converted to yuv422p"),
        ("yuv410p", "yuv420p", "yuv410p is converted to yuv420p"),
        ("yuv440p", "yuv444p", "yuv440p is converted to yuv444p"),
        ("yuv420p16le", "yuv420p12", "yuv420p16le is converted to yuv420p12"),
        ("yuva420p", "yuv420p", "the transparency of the input is ignored"),
        ("yuvj420p", "yuv420p", None),
        ("nv12", "yuv420p", None),
        ("uyvy422", "yuv422p", None),
        ("gray", "yuv420p", None),
        ("pal8", "rgb24", None),
        ("yuv420p9le", "yuv420p10", None),
    ],
)
def test_notes_say_what_was_changed(name: str, target: str, note: str | None) -> None:
    frame = av.VideoFrame(WIDTH, HEIGHT, name)
    assert canonical_format(frame).name == target
    assert conversion_note(frame) == note


@pytest.mark.parametrize("name", ["yuv411p", "yuv440p"])
def test_odd_chroma_layouts_keep_their_luma(name: str) -> None:
    frame = picture(name, width=36)
    assert np.array_equal(planes_of(frame)[0], stored(frame, 0, np.uint8)[:, :36])


def test_canonical_layouts_are_not_copied() -> None:
    frame = picture("yuv420p")
    luma = planes_of(frame)[0]
    before = int(luma[0, 0])
    stored(frame, 0, np.uint8)[0, 0] = before ^ 255
    assert luma[0, 0] == before ^ 255


@pytest.mark.parametrize("quarter", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_turning(quarter: Any, mirrored: bool, shape: tuple[int, ...], dtype: Any) -> None:
    plane = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    expected = np.rot90(plane[:, ::-1] if mirrored else plane, quarter)
    turned = turn(plane, Orientation(90 * quarter, mirrored))
    assert np.array_equal(turned, expected)
    assert turned.flags.c_contiguous


def test_only_sideways_422_changes_its_layout() -> None:
    assert upright_format(picture("yuv422p"), Orientation(90)).name == "yuv444p"
    assert upright_format(picture("yuv422p"), Orientation(180)).name == "yuv422p"
    assert upright_format(picture("yuv420p"), Orientation(270)).name == "yuv420p"


def test_without_a_display_matrix_it_is_upright() -> None:
    assert orientation_of(picture("yuv420p")) == UPRIGHT
