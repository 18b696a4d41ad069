"""Each background on its own: what is parsed, fitted, timed, blurred, and refused."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rvm.colour.rgb import from_srgb8, to_srgb8
from rvm.compositing import BACKGROUNDS, make_compositor, parse_background
from rvm.compositing.blur import Blur
from rvm.compositing.fit import cover_rect
from rvm.compositing.image import Image
from rvm.compositing.none import Unchanged
from rvm.compositing.solid import SolidColour, parse_colour
from rvm.compositing.transparent import Transparent
from rvm.compositing.video import Video
from rvm.compositing.words import background_words
from rvm.errors import InputError, UsageError
from rvm.frame import PIXEL_FORMATS, RGB24, SRGB, YUV420P, ColourTags, Frame, Matte
from rvm.sources.synthetic import read_number
from tests.synth_clips import truncate, write_clip

BLACK: tuple[int, int, int] = (0, 0, 0)


def rgb_frame(
    image: npt.NDArray[np.uint8], pts: int | None = 0, aspect: Fraction = Fraction(1)
) -> Frame:
    height, width = image.shape[:2]
    return Frame(
        (image,), RGB24, width, height, pts=pts, colour=SRGB, sample_aspect=aspect,
        time_base=Fraction(1, 1000),
    )  # fmt: skip


def plain(width: int, height: int, colour: tuple[int, int, int] = BLACK) -> npt.NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


def empty_matte(width: int, height: int) -> Matte:
    return Matte(np.zeros((height, width), np.uint8))


def yuv_frame(image: npt.NDArray[np.uint8], tags: ColourTags | None = None) -> Frame:
    height, width = image.shape[:2]
    shapes = YUV420P.plane_shapes(width, height)
    frame = Frame(
        tuple(np.zeros(shape, np.uint8) for shape in shapes), YUV420P, width, height, pts=0,
        colour=tags or ColourTags(),
    )  # fmt: skip
    return frame.with_picture(from_srgb8(image, frame))


# ── what a user may write ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "rgb"),
    [
        ("#00b140", (0, 177, 64)),
        ("#0F0", (0, 255, 0)),
        ("Red", (255, 0, 0)),
        ("rebeccapurple", (102, 51, 153)),
        ("solid:white", (255, 255, 255)),
    ],
)
def test_colours(text: str, rgb: tuple[int, int, int]) -> None:
    background = parse_background(text)
    assert isinstance(background, SolidColour)
    assert background.rgb == rgb


def test_names_with_and_without_arguments() -> None:
    assert isinstance(parse_background("transparent"), Transparent)
    assert isinstance(parse_background("none"), Unchanged)
    blur = parse_background("blur:0.25", blur_strength=0.9)
    assert isinstance(blur, Blur)
    assert blur.strength == 0.25
    plain_blur = parse_background("blur", blur_strength=0.9)
    assert isinstance(plain_blur, Blur)
    assert plain_blur.strength == 0.9


@pytest.mark.parametrize(
    ("spec", "hint"),
    [
        ("blurr", "did you mean blur?"),
        ("transparant", "did you mean transparent?"),
        ("grene", "did you mean green?"),
        ("#12345", "#rrggbb"),
        ("blur:much", "blur:0.5"),
        ("blur:1.5", "0..1"),
        ("none:1", "write just none"),
        ("image:", "after the colon"),
        ("solid:bleu", "did you mean blue?"),
        ("", "give #rrggbb"),
    ],
)
def test_what_means_nothing_says_what_to_write(spec: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_background(spec)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "spec", ["missing.png", "folder/missing", "image:gone.jpg", "video:no.mp4"]
)
def test_missing_files_are_input_errors_at_once(spec: str) -> None:
    with pytest.raises(InputError) as caught:
        make_compositor(spec)
    assert "\n" not in str(caught.value)


def test_bad_files_are_input_errors_at_once(tmp_path: Path) -> None:
    for name, data in (
        ("empty.png", b""),
        ("text.png", b"no picture at all"),
        ("cut.png", b"\x89PNG\r\n\x1a\n" + bytes(20)),
        ("cut.mp4", b"\0\0\0\x18ftypmp42" + bytes(40)),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(InputError) as caught:
            parse_background(str(tmp_path / name))
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="not a file"):
        parse_background(str(tmp_path))


def test_what_a_caller_may_give_instead_of_words() -> None:
    assert background_words((0, 255, 16)) == "#00ff10"
    assert background_words(Path("a") / "b.jpg") == str(Path("a/b.jpg"))
    assert background_words("blur:0.5") == "blur:0.5"
    for wrong in ((0, 256, 0), (0, 1), (0.5, 0, 0), (-1, 0, 0), "", " ", 7, [0, 0, 0]):
        with pytest.raises(UsageError, match=r"^background: got ") as caught:
            background_words(wrong)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_what_is_called_a_picture_and_is_none(tmp_path: Path) -> None:
    path = tmp_path / "text.jpg"
    path.write_text("no picture\n" * 20, encoding="utf-8")
    with pytest.raises(InputError, match=r"text\.jpg: not a picture that can be read"):
        parse_background(str(path))
    write_clip(tmp_path / "clip.mp4")
    misnamed = (tmp_path / "clip.mp4").rename(tmp_path / "clip.jpg")
    parse_background(str(misnamed)).close()


def test_css_names_are_all_there() -> None:
    from rvm.compositing.css_colours import CSS_COLOURS

    assert len(CSS_COLOURS) == 148
    assert CSS_COLOURS["cornflowerblue"] == (100, 149, 237)
    assert parse_colour("no colour") is None
    assert set(BACKGROUNDS) >= {"solid", "image", "video", "blur", "transparent", "none"}


# ── fitting ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("source", "target", "rect"),
    [
        ((1600, 900), (1920, 1080), (0, 0, 1600, 900)),
        ((1000, 1000), (1920, 1080), (0, 219, 1000, 562)),  # 1000 * 9 / 16 = 562.5
        ((4000, 1000), (500, 500), (1500, 0, 1000, 1000)),
        ((1920, 1080), (1080, 1920), (656, 0, 608, 1080)),
        ((1, 1), (1920, 1080), (0, 0, 1, 1)),
        ((3, 1000), (1000, 3), (0, 499, 3, 1)),
    ],
)
def test_cover_rect(
    source: tuple[int, int], target: tuple[int, int], rect: tuple[int, int, int, int]
) -> None:
    assert cover_rect(*source, *target) == rect


def test_cover_rect_heeds_pixel_shapes_and_chroma() -> None:
    # A 720x576 frame with 64:45 pixels shows 16:9, so a 16:9 picture fits whole.
    assert cover_rect(1600, 900, 720, 576, to_aspect=Fraction(64, 45)) == (0, 0, 1600, 900)
    assert cover_rect(720, 576, 1600, 900, Fraction(64, 45)) == (0, 0, 720, 576)
    assert cover_rect(101, 50, 50, 50, grid=(2, 2))[0] % 2 == 0


def test_an_image_covers_the_frame_from_its_middle(tmp_path: Path) -> None:
    picture = plain(300, 100, (0, 0, 255))
    picture[:, 100:200] = (255, 0, 0)  # the middle third
    path = tmp_path / "wide.png"
    cv2.imwrite(str(path), picture[..., ::-1])
    frame = rgb_frame(plain(50, 50))
    shown = Image(path).behind(frame, empty_matte(50, 50))
    np.testing.assert_array_equal(shown.planes[0], plain(50, 50, (255, 0, 0)))


def test_an_image_is_converted_once_for_each_kind_of_frame(tmp_path: Path) -> None:
    path = tmp_path / "any.png"
    cv2.imwrite(str(path), plain(8, 8, (10, 20, 30)))
    image = Image(path)
    first = image.behind(rgb_frame(plain(20, 10)), empty_matte(20, 10))
    assert image.behind(rgb_frame(plain(20, 10), pts=40), empty_matte(20, 10)) is first
    portrait = yuv_frame(plain(10, 20))
    other = image.behind(portrait, empty_matte(10, 20))
    assert (other.format, other.size, other.colour) == (YUV420P, (10, 20), portrait.colour)


def jpeg_with_orientation(path: Path, picture: npt.NDArray[np.uint8], orientation: int) -> None:
    """A JPEG with a minimal EXIF block (TIFF little-endian, tag 0x0112)."""
    ok, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert ok
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    path.write_bytes(data.tobytes()[:2] + segment + data.tobytes()[2:])


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    stored = plain(64, 32)
    stored[:, :32] = (255, 0, 0)  # red at the left of what is stored
    path = tmp_path / "phone.jpg"
    jpeg_with_orientation(path, stored, 6)  # turn clockwise: red comes to the top
    shown = Image(path).behind(rgb_frame(plain(32, 64)), empty_matte(32, 64)).planes[0]
    assert shown[8, 16, 0] > 240
    assert shown[56, 16, 0] < 15


def test_16_bit_and_transparent_pictures(tmp_path: Path) -> None:
    deep = np.full((4, 4, 3), 32896, np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    pixels = PIXEL_FORMATS["yuv444p12"]
    frame = Frame(tuple(np.zeros((4, 4), np.uint16) for _ in "yuv"), pixels, 4, 4)
    luma = Image(tmp_path / "deep.png").behind(frame, empty_matte(4, 4)).planes[0]
    assert luma[0, 0] == round(256 + 3504 * 32896 / 65535)
    clear = np.dstack([plain(4, 4, (0, 0, 200)), np.full((4, 4), 128, np.uint8)])
    cv2.imwrite(str(tmp_path / "clear.png"), clear)
    over_black = Image(tmp_path / "clear.png").behind(rgb_frame(plain(4, 4)), empty_matte(4, 4))
    assert over_black.planes[0][0, 0].tolist() == [100, 0, 0]  # 200 * 128 / 255


def test_gray_pictures(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "gray.png"), np.full((4, 4), 77, np.uint8))
    shown = parse_background(str(tmp_path / "gray.png"))
    picture = shown.behind(rgb_frame(plain(6, 6)), empty_matte(6, 6))
    assert picture is not None
    np.testing.assert_array_equal(picture.planes[0], plain(6, 6, (77, 77, 77)))


# ── video ─────────────────────────────────────────────────────────────────────────────────────


def at(seconds: float | None, like: Frame | None = None) -> Frame:
    frame = like or yuv_frame(plain(160, 96))
    pts = None if seconds is None else round(seconds * 90_000)
    return Frame(
        frame.planes, frame.format, frame.width, frame.height, pts=pts,
        time_base=Fraction(1, 90_000), colour=frame.colour,
    )  # fmt: skip


def shown_number(video: Video, frame: Frame) -> int:
    return read_number(video.behind(frame, empty_matte(*frame.size)))


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 frames at 30 a second: 0.4 s long."""
    path = tmp_path_factory.mktemp("clips") / "numbers.mp4"
    write_clip(path)
    return path


def test_a_video_runs_on_the_frames_clock_and_loops(clip_path: Path) -> None:
    video = Video(clip_path)
    start = 1000.0  # a live clock does not start at 0
    numbers = [shown_number(video, at(start + index / 60)) for index in range(40)]
    assert numbers == [index // 2 % 12 for index in range(40)]
    # half a second dropped, then a leap of many loops: 0.4 * 1000 + 5 / 30
    assert shown_number(video, at(start + 35.5 / 30)) == 35 % 12
    assert shown_number(video, at(start + 400 + 5.5 / 30)) == 5
    assert shown_number(video, at(start + 400 + 2.5 / 30)) == 2  # time going back
    video.close()
    video.close()


def test_a_leap_before_the_first_loop_ended(clip_path: Path) -> None:
    video = Video(clip_path)
    assert shown_number(video, at(0.0)) == 0
    assert shown_number(video, at(0.4 * 7 + 3.5 / 30)) == 3
    video.close()


def test_frames_without_time_take_the_next_picture(clip_path: Path) -> None:
    video = Video(clip_path)
    assert [shown_number(video, at(None)) for _ in range(15)] == [*range(12), 0, 1, 2]
    video.close()


def test_one_picture_is_converted_once(clip_path: Path) -> None:
    video = Video(clip_path)
    first = video.behind(at(0.0), empty_matte(160, 96))
    assert video.behind(at(0.01), empty_matte(160, 96)) is first
    video.close()


def test_a_video_of_another_shape_and_meaning_fits(tmp_path: Path) -> None:
    path = tmp_path / "hd.mp4"
    write_clip(path, width=192, height=64, matrix=1, range=2, primaries=1, transfer=1)
    for like in (
        yuv_frame(plain(90, 122), ColourTags("bt601")),
        rgb_frame(plain(33, 33)),
    ):
        video = Video(path)
        shown = video.behind(like, empty_matte(*like.size))
        assert (shown.format, shown.size, shown.colour) == (like.format, like.size, like.colour)
        gray = to_srgb8(shown).astype(int)
        assert np.ptp(gray, axis=2).max() <= 3  # still gray
        assert gray.std() > 3
        video.close()


def test_levels_survive_a_change_of_range(tmp_path: Path) -> None:
    path = tmp_path / "full.mkv"
    write_clip(path, suffix=".mkv", lossless=True, range=2, matrix=6)
    video = Video(path)
    shown = video.behind(at(0.0), empty_matte(160, 96))
    assert abs(int(to_srgb8(shown)[90, 10, 1]) - 225) <= 2  # the bright block
    video.close()


def test_a_gif_is_a_video(tmp_path: Path) -> None:
    import av

    path = tmp_path / "two.gif"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "rgb8"
        for colour in ((255, 0, 0), (0, 0, 255)):
            picture = av.VideoFrame.from_ndarray(plain(32, 32, colour), format="rgb24")
            container.mux(stream.encode(picture.reformat(format="rgb8")))
        container.mux(stream.encode())
    background = parse_background(str(path))
    assert isinstance(background, Video)
    one = to_srgb8(background.behind(at(0.0), empty_matte(160, 96)))
    two = to_srgb8(background.behind(at(0.15), empty_matte(160, 96)))
    assert one[40, 80].argmax() == 0
    assert two[40, 80].argmax() == 2
    background.close()


def test_a_video_cut_short_loops_as_far_as_it_goes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cut.mkv"
    write_clip(path, suffix=".mkv", frames=60)
    truncate(path, 0.6)
    video = Video(path)
    numbers = [shown_number(video, at(index / 30)) for index in range(90)]
    last = max(numbers)
    assert 5 < last < 59
    assert 0 in numbers[last : last + 8]
    assert "as far as it can be read" in caplog.text
    video.close()


def test_the_same_matte_again_spares_the_blur() -> None:
    blur = Blur(0.5)
    image = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
    frame, matte = yuv_frame(image), empty_matte(128, 96)
    first = blur.behind(frame, matte)
    later = Frame(frame.planes, YUV420P, 128, 96, pts=40, colour=frame.colour)
    again = blur.behind(later, matte)
    assert again.planes[0] is first.planes[0]
    assert again.pts == 40
    assert blur.behind(later, empty_matte(128, 96)).planes[0] is not first.planes[0]
    smaller = yuv_frame(np.ascontiguousarray(image[:48]))
    assert blur.behind(smaller, empty_matte(128, 48)).size == (128, 48)
