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
from rvm.sinks import open_sinks
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


def test_overwriting_leaves_pictures_that_the_pattern_does_not_write(tmp_path: Path) -> None:
    mine = ["7.png", "123.png", "2024.png", "holiday.png", "000000.jpg", "0000002.png"]
    for name in mine:
        (tmp_path / name).write_bytes(name.encode())
    run(f"{tmp_path}/", shot(count=2))
    sink = run(f"{tmp_path}/", shot(count=1), overwrite=True)
    assert names(tmp_path) == sorted([*mine, "000000.png"])
    assert all((tmp_path / name).read_bytes() == name.encode() for name in mine)
    assert sink.notes == (f"{tmp_path}: removed the rest of a longer sequence: 000001.png",)


def test_a_picture_beyond_a_gap_is_of_no_earlier_sequence_and_is_named(tmp_path: Path) -> None:
    for number in (0, 1, 2, 2024, 2025):
        (tmp_path / f"{number}.png").write_bytes(b"mine")
    sink = run(f"{tmp_path}/%d.png", shot(count=2), overwrite=True)
    assert names(tmp_path) == ["0.png", "1.png", "2024.png", "2025.png"]
    removed, left = sink.notes
    assert removed.endswith("removed the rest of a longer sequence: 2.png")
    assert left.endswith("were left: 2024.png to 2025.png")


def test_what_appears_while_a_sequence_is_written_is_left(tmp_path: Path) -> None:
    run(f"{tmp_path}/%d.png", shot(count=2))
    sink = ImagesSink(f"{tmp_path}/%d.png", info=info_of(shot()), overwrite=True)
    (tmp_path / "2.png").write_bytes(b"mine")
    sink.write(composite(shot(), 0))
    sink.close()
    assert names(tmp_path) == ["0.png", "2.png"]
    assert (tmp_path / "2.png").read_bytes() == b"mine"


def test_two_sequences_of_one_run_do_not_replace_each_other(tmp_path: Path) -> None:
    sink = open_sinks(
        f"{tmp_path}/s/%06d.png", f"{tmp_path}/s/", info=info_of(shot()), overwrite=True
    )
    sink.write(composite(shot(), 0))
    with pytest.raises(OutputExistsError, match=r"000000\.png appeared meanwhile.*s\.part2"):
        sink.close()
    assert read(tmp_path / "s/000000.png").shape == (64, 96, 3)
    assert read(tmp_path / "s.part2/000000.png").shape == (64, 96)


@pytest.mark.parametrize("through", ["itself", "a symlink"])
def test_what_the_run_reads_is_not_overwritten(through: str, tmp_path: Path) -> None:
    read = tmp_path / "in.png"
    read.write_bytes(b"mine")
    if through == "itself":
        read = read.rename(tmp_path / "0003.png")
    else:
        (tmp_path / "0003.png").symlink_to(read)
    with pytest.raises(OutputError, match=r"0003\.png: this run reads that file"):
        run(f"{tmp_path}/%04d.png", shot(), info=info_of(shot(), files=(read,)), overwrite=True)
    assert read.read_bytes() == b"mine"
    run(f"{tmp_path}/%03d.png", shot(), info=info_of(shot(), files=(read,)), overwrite=True)


def test_pictures_keep_their_names_where_they_are_unique(tmp_path: Path) -> None:
    photos = ("IMG_1.JPG", "b.bmp", "c.webp")
    info = info_of(shot(), picture_names=photos)
    run(f"{tmp_path}/a/", shot(count=3), info=info)
    assert names(tmp_path / "a") == ["IMG_1.JPG", "b.png", "c.webp"]
    assert read(tmp_path / "a/IMG_1.JPG").shape == (64, 96, 3)
    run(f"{tmp_path}/t/", shot(count=3, transparent=True), info=info, alpha=True)
    assert names(tmp_path / "t") == ["IMG_1.png", "b.png", "c.webp"]
    assert read(tmp_path / "t/IMG_1.png").shape == (64, 96, 4)
    matte = MatteFileSink(f"{tmp_path}/m/", info=info)
    for item in composites(shot(count=3)):
        matte.write(item)
    matte.close()
    assert names(tmp_path / "m") == ["IMG_1.png", "b.png", "c.png"]
    twice = info_of(shot(), picture_names=("a.bmp", "A.png"))
    sink = run(f"{tmp_path}/n/", shot(count=2), info=twice)
    assert names(tmp_path / "n") == ["000000.png", "000001.png"]
    assert "numbered" in sink.notes[0]


def test_pictures_that_keep_their_names_replace_only_those(tmp_path: Path) -> None:
    for name in ("a.png", "other.png"):
        (tmp_path / name).write_bytes(b"mine")
    info = info_of(shot(), picture_names=("a.png", "b.png"))
    with pytest.raises(OutputExistsError, match=r"a\.png exists"):
        run(f"{tmp_path}/", shot(count=2), info=info)
    run(f"{tmp_path}/", shot(count=2), info=info, overwrite=True)
    assert names(tmp_path) == ["a.png", "b.png", "other.png"]
    assert (tmp_path / "other.png").read_bytes() == b"mine"


@pytest.mark.parametrize("name", ["a.jpg", "a_%04d.jpeg"])
def test_transparency_goes_only_where_it_is_kept(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"jpe?g cannot hold transparency.*\.mov.*\.png"):
        open_sinks(tmp_path / name, info=info_of(shot(), frame_count=1), transparent=True)
    assert list(tmp_path.iterdir()) == []


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
