"""Picture files: PNG exact, 16-bit and transparent; sequences; single pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from rvm.colour.rgb import to_display, to_srgb8
from rvm.errors import OutputError, OutputExistsError, UsageError
from rvm.frame import ColourTags
from rvm.media.stills import still_bytes
from rvm.sinks.images import ImagesSink, is_images
from rvm.sinks.matte_file import MatteFileSink
from tests.composites import Shot, composite, composites, info_of, shot


def read(data: bytes | Path) -> npt.NDArray[Any]:
    """A picture as RGB(A) or gray, in its own depth."""
    raw = data.read_bytes() if isinstance(data, Path) else data
    image = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    if image.ndim == 2:
        return np.asarray(image)
    order = [2, 1, 0, 3] if image.shape[2] == 4 else [2, 1, 0]
    return np.asarray(image[..., order])


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p", "rgb24"])
def test_png_of_8_bits(name: str) -> None:
    frame = composite(shot(format=name), 0).picture
    image = read(still_bytes(frame, "png"))
    assert image.dtype == np.uint8
    assert np.abs(image - to_display(frame) * 255).max() <= (0.51 if name == "rgb24" else 2)


@pytest.mark.parametrize("name", ["yuv420p10", "yuv444p12", "rgb48"])
def test_png_of_more_than_8_bits_has_16(name: str) -> None:
    frame = composite(shot(format=name), 0).picture
    image = read(still_bytes(frame, "png"))
    assert image.dtype == np.uint16
    assert np.abs(image / 65535 - to_display(frame)).max() <= 2 / 1023


@pytest.mark.parametrize(("name", "most"), [("yuv420p", 255), ("yuv420p10", 65535), ("rgb24", 255)])
def test_png_keeps_alpha_exactly(name: str, most: int) -> None:
    frame = composite(shot(format=name, transparent=True), 0).picture
    assert frame.alpha is not None
    image = read(still_bytes(frame, "png"))
    assert image.shape[2] == 4
    assert np.abs(image[..., 3] - frame.alpha * (most / 255)).max() <= most / 1023


def test_png_of_a_matte_is_gray_and_exact(tmp_path: Path) -> None:
    sink = MatteFileSink(f"{tmp_path}/m_%03d.png", info=info_of(shot()))
    for item in composites(shot()):
        sink.write(item)
    sink.close()
    for index, item in enumerate(composites(shot())):
        image = read(tmp_path / f"m_{index:03d}.png")
        assert image.ndim == 2
        assert (image == item.matte.alpha).all()


def test_png_says_what_its_values_mean() -> None:
    hdr = ColourTags("bt2020", "limited", "bt2020", "pq")
    data = still_bytes(composite(shot(format="yuv420p10", colour=hdr), 0).picture, "png")
    at = data.index(b"cICP")
    assert data[at + 4 : at + 8] == bytes([9, 16, 0, 1])  # BT.2020, PQ, RGB, full range
    data = still_bytes(composite(shot(), 0).picture, "png")
    assert b"sRGB" in data or data[data.index(b"cICP") + 5] == 13


@pytest.mark.parametrize("extension", ["jpg", "webp"])
def test_jpeg_and_webp_are_srgb(extension: str) -> None:
    frame = composite(shot(format="yuv444p", colour=ColourTags("bt601", "full")), 0).picture
    image = read(still_bytes(frame, extension))
    assert np.abs(image.astype(int) - to_srgb8(frame)).mean() < 3


def test_webp_keeps_alpha() -> None:
    frame = composite(shot(transparent=True), 0).picture
    assert frame.alpha is not None
    image = read(still_bytes(frame, "webp"))
    assert np.abs(image[..., 3].astype(int) - frame.alpha).max() <= 1


# ── where pictures go ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("shots/", True),
        ("a_%04d.png", True),
        ("one.PNG", True),
        ("one.webp", True),
        ("video.mp4", False),
        ("x" * 300, False),
    ],
)
def test_what_means_pictures(spec: str, expected: bool) -> None:
    assert is_images(spec) is expected


def run(spec: str, what: Shot, **options: Any) -> ImagesSink:
    info = options.pop("info", None) or info_of(what)
    sink = ImagesSink(spec, info=info, **options)
    for item in composites(what):
        sink.write(item)
    sink.close()
    return sink


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_is_filled_from_zero(tmp_path: Path) -> None:
    run(f"{tmp_path}/shots/", shot(count=3))
    assert names(tmp_path / "shots") == ["000000.png", "000001.png", "000002.png"]
    assert names(tmp_path) == ["shots"]


def test_a_pattern_goes_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("mine")
    run(f"{tmp_path}/s%02d.jpg", shot(count=2))
    assert names(tmp_path) == ["note.txt", "s00.jpg", "s01.jpg"]


def test_a_longer_sequence_of_before_leaves_no_tail(tmp_path: Path) -> None:
    run(f"{tmp_path}/s%02d.png", shot(count=5))
    (tmp_path / "s_mine.png").write_bytes(b"mine")
    run(f"{tmp_path}/s%02d.png", shot(count=2), overwrite=True)
    assert names(tmp_path) == ["s00.png", "s01.png", "s_mine.png"]


def test_any_picture_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s07.png").write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"s07\.png exists"):
        run(f"{tmp_path}/s%02d.png", shot())


def test_sizes_may_change_in_a_sequence(tmp_path: Path) -> None:
    sink = ImagesSink(f"{tmp_path}/s/", info=info_of(shot()))
    sink.write(composite(shot(), 0))
    sink.write(composite(shot(width=64, height=96), 1))
    sink.close()
    assert read(tmp_path / "s/000000.png").shape == (64, 96, 3)
    assert read(tmp_path / "s/000001.png").shape == (96, 64, 3)


def test_a_photo_becomes_one_picture(tmp_path: Path) -> None:
    one = shot(format="rgb24", count=1, transparent=True)
    run(f"{tmp_path}/out.png", one, info=info_of(one, frame_count=1))
    image = read(tmp_path / "out.png")
    assert (image[..., :3] == composite(one, 0).picture.planes[0]).all()
    assert names(tmp_path) == ["out.png"]


def test_one_picture_for_a_video_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"more than one picture; write a sequence as .*_%06d\.png"
    ):
        ImagesSink(tmp_path / "out.png", info=info_of(shot(), frame_count=9))
    sink = ImagesSink(tmp_path / "out.png", info=info_of(shot()))
    sink.write(composite(shot(), 0))
    with pytest.raises(UsageError, match="more than one picture"):
        sink.write(composite(shot(), 1))
    sink.abort()
    assert names(tmp_path) == ["out.part.png"]


def test_unknown_picture_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"picture files end in one of \.png"):
        ImagesSink(f"{tmp_path}/a_%d.bmp", info=info_of(shot()))


def test_the_input_folder_is_not_the_output(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="this is the input itself"):
        ImagesSink(f"{tmp_path}/", info=info_of(shot(), name=str(tmp_path)), overwrite=True)
