"""Colour maths against numbers worked out by hand from the standards."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvm.colour import chroma, primaries, ranges, transfer
from rvm.colour.guess import guess_tags
from rvm.colour.matrices import rgb_to_yuv, yuv_to_rgb
from rvm.colour.recode import recode
from rvm.colour.rgb import from_srgb8, network_rgb, to_display, to_srgb8
from rvm.frame import PIXEL_FORMATS, RGB24, SRGB, YUV420P, ColourTags, Frame

YUV10 = PIXEL_FORMATS["yuv420p10"]
PQ = ColourTags("bt2020", "limited", "bt2020", "pq")
HLG = ColourTags("bt2020", "limited", "bt2020", "hlg")


def blank(name: str, width: int, height: int, tags: ColourTags) -> Frame:
    pixels = PIXEL_FORMATS[name]
    shapes = pixels.plane_shapes(width, height)
    return Frame(
        tuple(np.zeros(shape, pixels.dtype) for shape in shapes), pixels, width, height, colour=tags
    )


def colour_code(rgb: tuple[int, int, int], name: str, tags: ColourTags) -> tuple[int, ...]:
    """The code values of one sRGB colour."""
    frame = blank(name, 4, 4, tags)
    planes = from_srgb8(np.full((4, 4, 3), rgb, np.uint8), frame)
    return tuple(int(value) for plane in planes for value in np.atleast_1d(plane[0, 0]))


@pytest.mark.parametrize(
    ("matrix", "range_", "rgb", "code"),
    [
        ("bt709", "limited", (255, 255, 255), (235, 128, 128)),
        ("bt709", "limited", (0, 0, 0), (16, 128, 128)),
        ("bt709", "limited", (255, 0, 0), (63, 102, 240)),  # 16 + 219 * 0.2126 = 62.6
        ("bt709", "limited", (0, 255, 0), (173, 42, 26)),
        ("bt709", "limited", (0, 0, 255), (32, 240, 118)),
        ("bt601", "limited", (255, 0, 0), (81, 90, 240)),  # 16 + 219 * 0.299 = 81.5, to even: 81
        ("bt601", "limited", (0, 255, 0), (145, 54, 34)),
        ("bt601", "limited", (0, 0, 255), (41, 240, 110)),
        ("bt601", "full", (255, 0, 0), (76, 85, 255)),  # JPEG's red
        ("bt2020", "limited", (255, 0, 0), (74, 97, 240)),
    ],
)
def test_primary_colours_in_8_bit(
    matrix: str, range_: str, rgb: tuple[int, int, int], code: tuple[int, ...]
) -> None:
    tags = ColourTags(matrix, range_)  # type: ignore[arg-type]
    assert colour_code(rgb, "yuv420p", tags) == code


def test_white_and_black_in_10_bit_and_rgb() -> None:
    assert colour_code((255, 255, 255), "yuv420p10", ColourTags()) == (940, 512, 512)
    assert colour_code((0, 0, 0), "yuv422p12", ColourTags()) == (256, 2048, 2048)
    full = ColourTags("bt709", "full")
    assert colour_code((255, 255, 255), "yuv444p10", full) == (1023, 512, 512)
    assert colour_code((255, 128, 0), "rgb24", SRGB) == (255, 128, 0)
    assert colour_code((255, 128, 0), "rgb48", SRGB) == (65535, 128 * 257, 0)


def test_white_is_203_nits_in_hdr() -> None:
    # BT.2408: 58 % PQ and 75 % HLG; in 10-bit limited range 64 + 876 * signal.
    assert colour_code((255, 255, 255), "yuv420p10", PQ) == (573, 512, 512)
    assert colour_code((255, 255, 255), "yuv420p10", HLG) == (721, 512, 512)


@pytest.mark.parametrize(
    ("curve", "signal", "light"),
    [
        ("pq", 0.5081, 100 / 203),  # ST 2084: 100 cd/m2 is 50.81 %
        ("pq", 0.7518, 1000 / 203),
        ("pq", 1.0, 10000 / 203),
        ("hlg", 1.0, 1000 / 203),
        ("hlg", 0.5, 1000 / 203 * (1 / 12) ** 1.2),
        ("srgb", 0.5, 0.21404),
        ("bt709", 0.5, 0.21404),
        ("linear", 0.5, 0.5),
    ],
)
def test_transfer_curves_at_known_points(curve: str, signal: float, light: float) -> None:
    gray = np.full((1, 3), signal, np.float32)
    got = transfer.to_light(curve, gray)  # type: ignore[arg-type]
    np.testing.assert_allclose(got, light, rtol=2e-3)
    again = transfer.from_light(curve, got)  # type: ignore[arg-type]
    assert np.abs(again - gray).max() < 2e-5


@pytest.mark.parametrize("curve", ["bt709", "srgb", "linear", "pq", "hlg"])
def test_transfer_curves_are_finite_and_rise(curve: str) -> None:
    ramp = np.repeat(np.linspace(-0.5, 1.5, 400, dtype=np.float32)[:, None], 3, axis=1)
    light = transfer.to_light(curve, ramp)  # type: ignore[arg-type]
    signal = transfer.from_light(curve, light)  # type: ignore[arg-type]
    assert np.isfinite(light).all()
    assert np.isfinite(signal).all()
    assert (np.diff(light[:, 0]) >= 0).all()
    assert (np.diff(signal[:, 0]) >= 0).all()


def test_matrices_invert_each_other() -> None:
    for matrix in ("bt601", "bt709", "bt2020", "rgb"):
        product = yuv_to_rgb(matrix) @ rgb_to_yuv(matrix)
        np.testing.assert_allclose(product, np.eye(3), atol=1e-12)


def test_bt709_matrix_as_printed() -> None:
    # BT.709 item 3.3, and its usual inverse: R = Y + 1.5748 Cr, B = Y + 1.8556 Cb.
    np.testing.assert_allclose(rgb_to_yuv("bt709")[1], [-0.1146, -0.3854, 0.5], atol=1e-4)
    np.testing.assert_allclose(yuv_to_rgb("bt709")[0], [1, 0, 1.5748], atol=1e-4)
    np.testing.assert_allclose(yuv_to_rgb("bt709")[2], [1, 1.8556, 0], atol=1e-4)


def test_primaries_as_printed() -> None:
    # BT.2087 table: BT.709 to BT.2020.
    expected = [[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]
    np.testing.assert_allclose(primaries.convert("bt709", "bt2020"), expected, atol=1e-4)
    for one, other in itertools.permutations(primaries.CHROMATICITIES, 2):
        np.testing.assert_allclose(primaries.convert(one, other).sum(axis=1), 1, atol=1e-9)


@pytest.mark.parametrize(
    ("size", "matrix", "gamut"),
    [
        ((1920, 1080), "bt709", "bt709"),
        ((1280, 544), "bt709", "bt709"),
        ((720, 1280), "bt709", "bt709"),
        ((640, 480), "bt601", "bt709"),
        ((720, 576), "bt601", "bt601-625"),
        ((720, 480), "bt601", "bt601-525"),
    ],
)
def test_guesses(size: tuple[int, int], matrix: str, gamut: str) -> None:
    tags = guess_tags(*size)
    assert (tags.matrix, tags.primaries, tags.range, tags.guessed) == (
        matrix,
        gamut,
        "limited",
        True,
    )


def test_rgb_is_guessed_as_srgb() -> None:
    tags = guess_tags(640, 480, "rgb")
    assert (tags.matrix, tags.range, tags.transfer, tags.guessed) == ("rgb", "full", "srgb", True)


def all_tags() -> list[ColourTags]:
    sdr = [
        ColourTags(matrix, range_, gamut)
        for matrix in ("bt601", "bt709", "bt2020")
        for range_ in ("limited", "full")
        for gamut in ("bt709", "bt2020")
    ]
    return [
        *sdr,
        SRGB,
        ColourTags("rgb", "limited"),
        PQ,
        HLG,
        ColourTags("bt709", transfer="linear"),
    ]


def patches(levels: tuple[int, ...] = (4, 80, 170, 251)) -> npt.NDArray[np.uint8]:
    """64 colours in patches of 4x4 pixels, so that subsampling mixes none."""
    colours = np.array(list(itertools.product(levels, levels, levels)), np.uint8)
    return colours.reshape(8, 8, 3).repeat(4, axis=0).repeat(4, axis=1)


def worst_inside(got: npt.NDArray[np.uint8], wanted: npt.NDArray[np.uint8]) -> int:
    """Largest difference in the middle of the patches, clear of chroma interpolation."""
    inner = np.abs(got.astype(int) - wanted)[1::4, 1::4]
    return int(inner.max())


@pytest.mark.parametrize("name", PIXEL_FORMATS)
def test_srgb_survives_every_format_and_meaning(name: str) -> None:
    deep = PIXEL_FORMATS[name].depth > 8
    for tags in all_tags():
        if not deep and (tags.is_hdr or tags.transfer == "linear"):
            continue  # fewer codes than sRGB needs
        # A dark channel beside a bright one is lost to rounding once primaries are mixed.
        same_gamut = tags.primaries == "bt709" and tags.transfer != "linear"
        image = patches((4, 80, 170, 251) if same_gamut else (90, 140, 200, 250))
        image = np.pad(image, ((0, 1), (0, 3), (0, 0)), mode="edge")  # odd size
        frame = blank(name, image.shape[1], image.shape[0], tags)
        back = to_srgb8(frame.with_picture(from_srgb8(image, frame)))
        allowed = 2 if same_gamut else (3 if deep else 4)
        assert worst_inside(back[:32, :32], image[:32, :32]) <= allowed, tags


def test_deep_pictures_keep_their_depth() -> None:
    image = (np.arange(64 * 3, dtype=np.uint16) * 300).reshape(8, 8, 3)
    frame = blank("rgb48", 8, 8, SRGB)
    np.testing.assert_array_equal(from_srgb8(image, frame)[0], image)
    luma = from_srgb8(np.full((8, 8, 3), 32896, np.uint16), blank("yuv420p10", 8, 8, ColourTags()))[
        0
    ]
    assert luma[0, 0] == round(64 + 876 * 32896 / 65535)


def test_the_network_sees_exact_colours() -> None:
    frame = blank("yuv420p", 64, 48, ColourTags())
    red = frame.with_picture(from_srgb8(np.full((48, 64, 3), (255, 0, 0), np.uint8), frame))
    rgb = network_rgb(red, 16, 12)
    assert rgb.shape == (12, 16, 3)
    assert rgb.dtype == np.float32
    np.testing.assert_allclose(rgb, np.broadcast_to([1, 0, 0], rgb.shape), atol=0.006)


@pytest.mark.parametrize("name", PIXEL_FORMATS)
@pytest.mark.parametrize("size", [(64, 36), (13, 7), (130, 71), (65, 36), (1, 1), (130, 7)])
def test_the_network_picture_is_the_picture_made_small(name: str, size: tuple[int, int]) -> None:
    height, width = 71, 130
    y, x = np.mgrid[:height, :width]
    image = np.stack([y * 3, x * 1.5, 200 - y - x * 0.5], axis=2).clip(0, 255).astype(np.uint8)
    frame = blank(name, width, height, SRGB if name.startswith("rgb") else ColourTags("bt601"))
    frame = frame.with_picture(from_srgb8(image, frame))
    rgb = network_rgb(frame, *size)
    expected = chroma.resample(image, *size).reshape(size[1], size[0], 3) / 255
    assert np.abs(rgb - expected).max() < 0.035
    assert np.abs(rgb - expected).mean() < 0.01


def test_the_network_accepts_padded_rows() -> None:
    rng = np.random.default_rng(1)
    planes = [rng.integers(0, 256, shape, np.uint8) for shape in YUV420P.plane_shapes(50, 30)]
    padded = [np.pad(plane, ((0, 0), (0, 14)))[:, : plane.shape[1]] for plane in planes]
    one = network_rgb(Frame(tuple(planes), YUV420P, 50, 30), 25, 15)
    other = network_rgb(Frame(tuple(padded), YUV420P, 50, 30), 25, 15)
    np.testing.assert_array_equal(one, other)


@given(
    name=st.sampled_from(list(PIXEL_FORMATS)),
    tags=st.sampled_from(all_tags()),
    size=st.tuples(st.integers(1, 33), st.integers(1, 33)),
    small=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    seed=st.integers(0, 9),
)
@settings(max_examples=150, deadline=None)
def test_any_samples_give_finite_rgb(
    name: str, tags: ColourTags, size: tuple[int, int], small: tuple[int, int], seed: int
) -> None:
    pixels = PIXEL_FORMATS[name]
    rng = np.random.default_rng(seed)
    planes = tuple(
        rng.integers(0, pixels.max_value + 1, shape).astype(pixels.dtype)
        for shape in pixels.plane_shapes(*size)
    )
    frame = Frame(planes, pixels, *size, colour=tags)
    for picture in (network_rgb(frame, *small), to_display(frame)):
        assert np.isfinite(picture).all()
        assert picture.min() >= 0
        assert picture.max() <= 1
    image = to_srgb8(frame)
    assert image.shape == (size[1], size[0], 3)
    for plane, shape in zip(from_srgb8(image, frame), pixels.plane_shapes(*size), strict=True):
        assert plane.shape == shape
        assert plane.dtype == pixels.dtype
        assert plane.max() <= pixels.max_value


def test_highlights_keep_their_order_for_the_network() -> None:
    signal = np.linspace(0.3, 1, 64)
    luma = np.broadcast_to(np.round(64 + 876 * signal).astype(np.uint16), (4, 64))
    gray = np.full((2, 32), 512, np.uint16)
    rgb = network_rgb(Frame((luma, gray, gray), YUV10, 64, 4, colour=PQ), 64, 4)
    assert (np.diff(rgb[0, :, 1]) >= 0).all()
    assert rgb.max() <= 1


@pytest.mark.parametrize("target", [YUV420P, YUV10, PIXEL_FORMATS["yuv444p"], RGB24])
@pytest.mark.parametrize("tags", [ColourTags(), ColourTags("bt601", "full"), ColourTags("bt2020")])
def test_recode_shows_the_same_picture(target: object, tags: ColourTags) -> None:
    image = patches()
    frame = blank("yuv420p", 32, 32, ColourTags("bt601", "limited"))
    frame = frame.with_picture(from_srgb8(image, frame))
    meaning = SRGB if target is RGB24 else tags
    planes = recode(frame, target, meaning)  # type: ignore[arg-type]
    again = Frame(planes, target, 32, 32, colour=meaning)  # type: ignore[arg-type]
    assert worst_inside(to_srgb8(again), to_srgb8(frame)) <= 3


def test_recode_of_the_same_meaning_copies_nothing() -> None:
    frame = blank("yuv420p", 8, 8, ColourTags())
    assert recode(frame, YUV420P, ColourTags(guessed=True)) is frame.planes


@pytest.mark.parametrize("shift", [(0, 0), (1, 0), (1, 1)])
def test_subsampling_means_over_what_is_there(shift: tuple[int, int]) -> None:
    plane = np.array([[10, 20, 30], [50, 60, 70], [90, 100, 110]], np.uint8)
    expected = {
        (0, 0): plane,
        (1, 0): [[15, 30], [55, 70], [95, 110]],
        (1, 1): [[35, 50], [95, 110]],
    }[shift]
    np.testing.assert_array_equal(chroma.downsample(plane, shift), expected)


def test_offsets_cancel_out_of_code_maps() -> None:
    for name, tags in itertools.product(PIXEL_FORMATS, all_tags()):
        pixels = PIXEL_FORMATS[name]
        forth, back = ranges.rgb_to_code(pixels, tags), ranges.code_to_rgb(pixels, tags)
        rgb = np.array([0.2, 0.5, 0.9])
        code = forth[:, :3] @ rgb + forth[:, 3]
        np.testing.assert_allclose(back[:, :3] @ code + back[:, 3], rgb, atol=1e-9)
