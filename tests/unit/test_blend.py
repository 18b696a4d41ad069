"""Blending on native planes: hand-worked sums, identities, and the RGB path as a reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvm.colour import chroma, ranges
from rvm.colour.rgb import full_size_code, to_display
from rvm.compositing import make_compositor
from rvm.compositing.base import Background
from rvm.compositing.blend import blend_plane, mixed_runs
from rvm.compositing.cpu_compositor import CpuCompositor, plane_alphas
from rvm.compositing.cut_out import near_mask
from rvm.compositing.pool import PlanePool
from rvm.frame import PIXEL_FORMATS, RGB24, SRGB, YUV420P, ColourTags, Frame, Matte, PixelFormat

SIZES = st.tuples(st.integers(1, 33), st.integers(1, 33))


class Given(Background):
    """A fixed picture, whatever the frame."""

    def __init__(self, picture: Frame) -> None:
        self.picture = picture

    def behind(self, frame: Frame, matte: Matte) -> Frame:
        return self.picture


def noise(pixels: PixelFormat, width: int, height: int, seed: int) -> Frame:
    rng = np.random.default_rng(seed)
    planes = tuple(
        rng.integers(0, pixels.max_value + 1, shape).astype(pixels.dtype)
        for shape in pixels.plane_shapes(width, height)
    )
    tags = SRGB if pixels.family == "rgb" else ColourTags()
    return Frame(planes, pixels, width, height, colour=tags)


def random_alpha(width: int, height: int, seed: int, mixed: float) -> npt.NDArray[np.uint8]:
    """Runs of 0 and 255 with a share of other values."""
    rng = np.random.default_rng(seed)
    alpha = np.repeat(rng.integers(0, 2, (height, width // 9 + 1)) * 255, 9, axis=1)[:, :width]
    scattered = rng.random((height, width)) < mixed
    return np.where(scattered, rng.integers(0, 256, alpha.shape), alpha).astype(np.uint8)


def blended(front: Any, back: Any, alpha: Any) -> npt.NDArray[np.int64]:
    """The definition, in exact integers: (front a + back (255 - a)) / 255, rounded to nearest."""
    weight = alpha.astype(np.int64)
    if front.ndim == 3:
        weight = weight[..., None]
    total = front.astype(np.int64) * weight + back.astype(np.int64) * (255 - weight)
    return np.asarray((2 * total + 255) // 510, np.int64)


@pytest.mark.parametrize(
    ("front", "back", "alpha", "result"),
    [
        (200, 100, 128, 150),  # 100 + 100 * 128 / 255 = 150.2
        (100, 200, 128, 150),  # 200 - 50.2 = 149.8
        (255, 0, 1, 1),
        (255, 0, 254, 254),
        (16, 235, 64, 180),  # 235 - 219 * 64 / 255 = 180.04
        (17, 99, 0, 99),
        (17, 99, 255, 17),
    ],
)
def test_hand_worked_blends(front: int, back: int, alpha: int, result: int) -> None:
    out = np.zeros((3, 11), np.uint8)
    over, under, weight = (np.full((3, 11), value, np.uint8) for value in (front, back, alpha))
    blend_plane(over, under, weight, out, 255)
    assert (out == result).all()


def test_hand_worked_10_bit_blend() -> None:
    out = np.zeros((2, 9), np.uint16)
    front, back = (np.full((2, 9), value, np.uint16) for value in (940, 64))
    blend_plane(front, back, np.full((2, 9), 100, np.uint8), out, 1023)
    assert (out == 408).all()  # 64 + 876 * 100 / 255 = 407.5..


def test_only_runs_with_a_mixed_alpha_are_found() -> None:
    alpha = np.zeros((4, 16), np.uint8)
    alpha[1] = 255
    alpha[2, 3] = 1
    alpha[3, 8:] = [255, 255, 255, 255, 254, 255, 255, 255]
    np.testing.assert_array_equal(mixed_runs(alpha), [4, 7])


@given(
    name=st.sampled_from(list(PIXEL_FORMATS)),
    size=SIZES,
    mixed=st.sampled_from([0.0, 0.02, 0.2, 1.0]),
    seed=st.integers(0, 99),
)
@settings(max_examples=250, deadline=None)
def test_every_sample_is_the_correctly_rounded_blend(
    name: str, size: tuple[int, int], mixed: float, seed: int
) -> None:
    pixels = PIXEL_FORMATS[name]
    frame, behind = noise(pixels, *size, seed), noise(pixels, *size, seed + 1)
    matte = Matte(random_alpha(*size, seed, mixed))
    picture = CpuCompositor(Given(behind)).compose(frame, matte).picture
    alphas = plane_alphas(frame, matte)
    for plane, front, back, alpha in zip(
        picture.planes, frame.planes, behind.planes, alphas, strict=True
    ):
        assert plane.dtype == pixels.dtype
        np.testing.assert_array_equal(plane, blended(front, back, alpha))


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10", "yuv444p"])
@pytest.mark.parametrize("width", [64, 130, 256, 331])
def test_solid_empty_and_mixed_stretches_of_long_rows(name: str, width: int) -> None:
    pixels = PIXEL_FORMATS[name]
    frame, behind = noise(pixels, width, 24, 1), noise(pixels, width, 24, 2)
    rng = np.random.default_rng(width)
    ramps = rng.integers(-300, 300, 24)[:, None] + rng.choice([-6, 6], 24)[:, None] * np.arange(
        width
    )
    matte = Matte(np.clip(ramps, 0, 255).astype(np.uint8))
    picture = CpuCompositor(Given(behind)).compose(frame, matte).picture
    for plane, front, back, alpha in zip(
        picture.planes, frame.planes, behind.planes, plane_alphas(frame, matte), strict=True
    ):
        np.testing.assert_array_equal(plane, blended(front, back, alpha))


@given(
    name=st.sampled_from(list(PIXEL_FORMATS)),
    size=SIZES,
    seed=st.integers(0, 99),
    linear=st.booleans(),
    colour=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_alpha_0_and_255_are_exact(
    name: str, size: tuple[int, int], seed: int, linear: bool, colour: bool
) -> None:
    pixels = PIXEL_FORMATS[name]
    frame, behind = noise(pixels, *size, seed), noise(pixels, *size, seed + 1)
    residual = np.random.default_rng(seed).normal(0, 0.4, (3, 5, 3)).astype(np.float32)
    matte = Matte(random_alpha(*size, seed, 0.2), residual if colour else None)
    picture = CpuCompositor(Given(behind), linear_light=linear).compose(frame, matte).picture
    for plane, front, back, alpha in zip(
        picture.planes, frame.planes, behind.planes, plane_alphas(frame, matte), strict=True
    ):
        np.testing.assert_array_equal(plane[alpha == 0], back[alpha == 0])
        np.testing.assert_array_equal(plane[alpha == 255], front[alpha == 255])
        assert plane.max(initial=0) <= pixels.max_value


def rgb_reference(frame: Frame, behind: Frame, alpha: npt.NDArray[np.uint8]) -> Any:
    """Both pictures to float64 RGB, blended there, 0..255."""
    affine = ranges.code_to_rgb(frame.format, frame.colour)
    front, back = (
        full_size_code(part).astype(np.float64) @ affine[:, :3].T + affine[:, 3]
        for part in (frame, behind)
    )
    weight = alpha[..., None] / 255
    return np.clip(back + weight * (front - back), 0, 1) * 255


@pytest.mark.parametrize("name", [name for name in PIXEL_FORMATS if name != "rgb48"])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_native_blending_agrees_with_float_rgb(name: str, matrix: Any) -> None:
    pixels = PIXEL_FORMATS[name]
    tags = SRGB if pixels.family == "rgb" else ColourTags(matrix)
    frame, behind = (
        Frame(flat(noise(pixels, 96, 64, seed)), pixels, 96, 64, colour=tags) for seed in (1, 2)
    )
    levels = np.array([0, 3, 64, 129, 200, 254, 255, 90, 31, 0, 170, 255], np.uint8)
    alpha = np.tile(levels.repeat(8), (64, 1))
    picture = CpuCompositor(Given(behind)).compose(frame, Matte(alpha)).picture
    error = np.abs(to_display(picture) * 255 - rgb_reference(frame, behind, alpha)).max(axis=(0, 2))
    for start, level in zip(range(0, 96, 8), levels, strict=True):
        middle = error[start + 3 : start + 5]  # clear of chroma interpolation between levels
        assert middle.max() <= (1 if level in (0, 255) else 2), level


def flat(frame: Frame) -> tuple[Any, ...]:
    """One colour for the whole picture, inside the legal range."""
    top = frame.format.max_value
    return tuple(
        np.full_like(plane, top * (5 + int(plane.flat[0]) % 3) // 12) for plane in frame.planes
    )


def test_chroma_takes_the_mean_alpha_of_its_pixels() -> None:
    frame, behind = (
        Frame(
            (np.full((2, 4), 100, np.uint8), *(np.full((1, 2), value, np.uint8) for _ in "uv")),
            YUV420P, 4, 2,
        )
        for value in (200, 100)
    )  # fmt: skip
    alpha = np.array([[255, 255, 0, 0], [255, 255, 255, 0]], np.uint8)
    _, blue, red = CpuCompositor(Given(behind)).compose(frame, Matte(alpha)).picture.planes
    np.testing.assert_array_equal(blue, [[200, 125]])
    np.testing.assert_array_equal(red, [[200, 125]])


def test_a_matte_without_subsampling_is_not_written_by_the_next_frame() -> None:
    """Its alpha has the size that chroma's has when 4:2:0 frames twice as large follow."""
    full, half = PIXEL_FORMATS["yuv444p"], PIXEL_FORMATS["yuv420p"]
    matte = Matte(random_alpha(64, 48, 1, 1.0))
    before = np.copy(matte.alpha)
    compositor = CpuCompositor(Given(noise(full, 64, 48, 2)))
    compositor.compose(noise(full, 64, 48, 1), matte)
    compositor._background = Given(noise(half, 128, 96, 2))
    compositor.compose(noise(half, 128, 96, 1), Matte(random_alpha(128, 96, 3, 1.0)))
    np.testing.assert_array_equal(matte.alpha, before)


def test_the_models_colour_is_added_where_alpha_is_mixed() -> None:
    frame = Frame((np.full((4, 16, 3), 100, np.uint8),), RGB24, 16, 4, colour=SRGB)
    behind = Frame((np.zeros((4, 16, 3), np.uint8),), RGB24, 16, 4, colour=SRGB)
    alpha = np.tile(np.array([0, 128, 255, 128], np.uint8), (4, 4))
    residual = np.full((2, 2, 3), 20 / 255, np.float32)
    picture = CpuCompositor(Given(behind)).compose(frame, Matte(alpha, residual)).picture
    # (100 + 20) * 128 / 255 = 60.2
    np.testing.assert_array_equal(picture.planes[0][0, :4, 1], [0, 60, 100, 60])


def test_the_models_colour_in_yuv_is_a_difference_without_offset() -> None:
    shapes = YUV420P.plane_shapes(16, 8)
    frame = Frame(tuple(np.full(shape, 100, np.uint8) for shape in shapes), YUV420P, 16, 8)
    behind = Frame(tuple(np.full(shape, 50, np.uint8) for shape in shapes), YUV420P, 16, 8)
    alpha = np.full((8, 16), 254, np.uint8)
    gray = np.full((2, 4, 3), 0.1, np.float32)  # gray: 219 * 0.1 = 21.9 in luma, none in chroma
    planes = CpuCompositor(Given(behind)).compose(frame, Matte(alpha, gray)).picture.planes
    assert [int(plane[3, 3]) for plane in planes] == [122, 100, 100]


def test_the_models_colour_is_left_out_of_hdr() -> None:
    pixels = PIXEL_FORMATS["yuv420p10"]
    tags = ColourTags("bt2020", "limited", "bt2020", "pq")
    frame, behind = (
        Frame(noise(pixels, 8, 8, seed).planes, pixels, 8, 8, colour=tags) for seed in (1, 2)
    )
    alpha = np.full((8, 8), 100, np.uint8)
    compositor = CpuCompositor(Given(behind))
    plain = compositor.compose(frame, Matte(alpha)).picture
    coloured = compositor.compose(frame, Matte(alpha, np.ones((2, 2, 3), np.float32))).picture
    for one, other in zip(plain.planes, coloured.planes, strict=True):
        np.testing.assert_array_equal(one, other)


def test_linear_light_blends_light() -> None:
    frame = Frame((np.full((4, 8, 3), 255, np.uint8),), RGB24, 8, 4, colour=SRGB)
    behind = frame.with_picture((np.zeros((4, 8, 3), np.uint8),))
    matte = Matte(np.full((4, 8), 128, np.uint8))
    picture = CpuCompositor(Given(behind), linear_light=True).compose(frame, matte).picture
    assert (picture.planes[0] == 188).all()  # sRGB of 50.2 % light is 0.7363


@pytest.mark.parametrize("name", PIXEL_FORMATS)
def test_linear_light_of_equal_pictures_changes_nothing(name: str) -> None:
    pixels = PIXEL_FORMATS[name]
    frame = noise(pixels, 21, 13, 3)  # near gray, so that no colour is outside RGB
    frame = frame.with_picture(
        tuple((plane // 8 + pixels.max_value * 7 // 16) for plane in frame.planes)
    )
    copy = frame.with_picture(tuple(plane.copy() for plane in frame.planes))
    matte = Matte(random_alpha(21, 13, 1, 0.5))
    picture = CpuCompositor(Given(copy), linear_light=True).compose(frame, matte).picture
    for plane, original in zip(picture.planes, frame.planes, strict=True):
        assert np.abs(plane.astype(int) - original).max() <= max(1, pixels.max_value >> 10)


def test_inputs_are_never_written() -> None:
    frame, behind = noise(YUV420P, 31, 17, 1), noise(YUV420P, 31, 17, 2)
    alpha = random_alpha(31, 17, 1, 0.3)
    for array in (*frame.planes, *behind.planes, alpha):
        array.flags.writeable = False
    for linear in (False, True):
        CpuCompositor(Given(behind), linear_light=linear).compose(frame, Matte(alpha))
    for spec in ("blur", "transparent", "none"):
        make_compositor(spec).compose(frame, Matte(alpha))


def test_a_matte_of_another_size_is_refused() -> None:
    frame = noise(YUV420P, 8, 8, 1)
    with pytest.raises(ValueError, match=r"got alpha \(8, 9\), expected \(8, 8\)"):
        make_compositor("red").compose(frame, Matte(np.zeros((8, 9), np.uint8)))


def test_padded_rows_and_size_changes() -> None:
    compositor = make_compositor("#102030")
    for width, height in ((50, 30), (50, 30), (23, 11)):
        frame = noise(YUV420P, width, height, 1)
        padded = tuple(np.pad(p, ((0, 0), (0, 14)))[:, : p.shape[1]] for p in frame.planes)
        matte = Matte(random_alpha(width, height, 1, 0.2))
        one = compositor.compose(frame, matte).picture
        other = compositor.compose(frame.with_picture(padded), matte).picture
        assert one.size == (width, height)
        for left, right in zip(one.planes, other.planes, strict=True):
            np.testing.assert_array_equal(left, right)


def test_planes_are_reused_only_when_nobody_holds_them() -> None:
    pool = PlanePool()
    first = pool.take(YUV420P, 64, 32)
    held = first[0][4:8]  # any view keeps the buffer
    address = first[0].ctypes.data
    del first
    assert pool.take(YUV420P, 64, 32)[0].ctypes.data != address
    del held
    assert pool.take(YUV420P, 64, 32)[0].ctypes.data == address


def test_the_pool_stays_small() -> None:
    pool = PlanePool()
    held = [pool.take(YUV420P, 32, 16) for _ in range(40)]
    assert len({planes[0].ctypes.data for planes in held}) == 40
    assert 0 < len(pool._buffers) < 20


@given(size=st.tuples(st.integers(1, 120), st.integers(1, 120)), seed=st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_no_visible_pixel_is_blacked_in_a_cut_out(size: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    alpha = np.zeros((size[1], size[0]), np.uint8)
    y, x = rng.integers(0, size[1]), rng.integers(0, size[0])
    alpha[y, x] = 1
    near = near_mask(alpha)
    assert near[max(0, y - 16) : y + 17, max(0, x - 16) : x + 17].all()
    assert not near[alpha == 0].all() or max(size) <= 64


def test_a_cut_out_keeps_the_person_and_hides_the_room() -> None:
    frame = noise(YUV420P, 160, 96, 1)
    alpha = np.zeros((96, 160), np.uint8)
    alpha[40:56, 64:80] = 255
    alpha[40:56, 80:84] = 100
    residual = np.full((6, 10, 3), 0.1, np.float32)
    picture = make_compositor("transparent").compose(frame, Matte(alpha, residual)).picture
    np.testing.assert_array_equal(picture.alpha, alpha)
    luma, blue, _ = picture.planes
    np.testing.assert_array_equal(luma[alpha == 255], frame.planes[0][alpha == 255])
    moved = np.clip(frame.planes[0].astype(int) + 22, 0, 255)
    np.testing.assert_array_equal(luma[40:56, 80:84], moved[40:56, 80:84])
    assert (luma[:16] == 16).all()
    assert (luma[:, 120:] == 16).all()
    assert (blue[:8] == 128).all()
    assert chroma.downsample(alpha, (1, 1)).shape == blue.shape
