"""Still pictures: depth, orientation, order, time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rvm.errors import InputError, UsageError
from rvm.frame import SRGB, Frame
from rvm.sources.images import ImagesSource, image_files, read_image


def picture(dtype: Any = np.uint8, width: int = 6, height: int = 4) -> np.ndarray[Any, Any]:
    """RGB with the upper left pixel red and everything else different."""
    top = np.iinfo(dtype).max
    rgb = np.random.default_rng(0).integers(0, top, (height, width, 3), dtype)
    rgb[0, 0] = (top, 0, 0)
    return rgb


def save(path: Path, rgb: np.ndarray[Any, Any]) -> Path:
    assert cv2.imwrite(str(path), rgb[..., ::-1])
    return path


@pytest.mark.parametrize(("dtype", "name"), [(np.uint8, "rgb24"), (np.uint16, "rgb48")])
def test_png_is_read_exactly(dtype: Any, name: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", picture(dtype))
    with ImagesSource(path) as source:
        (frame,) = source
        assert source.info.format.name == name
        assert source.info.frame_count == 1
    assert frame.format.name == name
    assert frame.colour == SRGB
    assert np.array_equal(frame.planes[0], picture(dtype))


def test_alpha_is_dropped_and_said(tmp_path: Path) -> None:
    bgra = np.dstack((picture()[..., ::-1], np.full((4, 6), 7, np.uint8)))
    cv2.imwrite(str(tmp_path / "a.png"), bgra)
    with ImagesSource(tmp_path / "a.png") as source:
        assert source.info.notes == ("transparency of the image is ignored",)
        assert np.array_equal(next(iter(source)).planes[0], picture())


def test_gray_becomes_rgb(tmp_path: Path) -> None:
    gray = np.arange(24, dtype=np.uint8).reshape(4, 6)
    cv2.imwrite(str(tmp_path / "a.png"), gray)
    assert np.array_equal(read_image(tmp_path / "a.png")[0], np.repeat(gray[..., None], 3, axis=2))


def exif_jpeg(path: Path, orientation: int) -> None:
    """A JPEG of 32 x 16 pixels, left half white, with an EXIF orientation."""
    rgb = np.zeros((16, 32, 3), np.uint8)
    rgb[:, :16] = 255
    data = cv2.imencode(".jpg", rgb)[1].tobytes()
    # One big-endian IFD with the single entry 0x0112, type SHORT (EXIF 2.3, 4.6).
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01" + orientation.to_bytes(2, "big") + b"\x00\x00"
    body = b"Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01" + entry + bytes(4)
    segment = b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body
    path.write_bytes(data[:2] + segment + data[2:])


@pytest.mark.parametrize(
    ("orientation", "size", "white"),
    [
        (1, (32, 16), (slice(None), slice(0, 14))),
        (3, (32, 16), (slice(None), slice(18, 32))),
        (6, (16, 32), (slice(0, 14), slice(None))),
        (8, (16, 32), (slice(18, 32), slice(None))),
    ],
)
def test_exif_orientation(
    orientation: int, size: tuple[int, int], white: Any, tmp_path: Path
) -> None:
    exif_jpeg(tmp_path / "a.jpg", orientation)
    with ImagesSource(tmp_path / "a.jpg") as source:
        (frame,) = source
    assert frame.size == size
    assert frame.planes[0][white].min() > 240
    assert (frame.planes[0] > 200).mean() == pytest.approx(0.5, abs=0.05)


def test_folder_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 9, 1, 100):
        save(tmp_path / f"Shot {number}.PNG", np.full((4, 6, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "folder.png").mkdir()
    names = [path.name for path in image_files(tmp_path)]
    assert names == ["Shot 1.PNG", "Shot 9.PNG", "Shot 10.PNG", "Shot 100.PNG"]
    with ImagesSource(tmp_path, fps=12.5) as source:
        frames = list(source)
        assert source.info.frame_count == 4
        assert source.info.duration_seconds == pytest.approx(0.32)
        assert source.info.picture_names == tuple(names)
        assert source.info.files == tuple(tmp_path / name for name in names)
    assert [int(frame.planes[0][0, 0, 0]) for frame in frames] == [1, 9, 10, 100]
    assert [frame.pts_seconds for frame in frames] == pytest.approx([0, 0.08, 0.16, 0.24])


def test_one_image_is_held(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", picture())
    with ImagesSource(path, fps=24, duration_seconds=0.5) as source:
        assert [frame.pts for frame in source] == list(range(12))
        assert source.info.picture_names == ()
        assert source.info.frame_count == 12


@pytest.mark.parametrize(
    ("start", "duration", "kept"),
    [(0.2, None, [3, 4, 5]), (0.0, 0.2, [1, 2]), (0.1, 0.3, [2, 3, 4]), (0.15, 0.1, [3])],
)
def test_a_part_of_several_images(
    start: float, duration: float | None, kept: list[int], tmp_path: Path
) -> None:
    for number in range(1, 6):
        save(tmp_path / f"{number}.png", np.full((4, 6, 3), number, np.uint8))
    with ImagesSource(tmp_path, fps=10, start_seconds=start, duration_seconds=duration) as source:
        assert source.info.frame_count == len(kept)
        frames = list(source)
    assert [int(frame.planes[0][0, 0, 0]) for frame in frames] == kept
    assert [frame.pts for frame in frames] == list(range(len(kept)))
    with pytest.raises(UsageError, match=r"it has 0\.50 seconds"):
        ImagesSource(tmp_path, fps=10, start_seconds=0.5)
    with pytest.raises(UsageError, match=r"it has 0\.03 seconds"):  # a single one
        ImagesSource(tmp_path / "1.png", start_seconds=1)


def test_loop(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", picture())
    with ImagesSource(path, loop=True) as source:
        assert source.info.frame_count is None
        frames = [frame for frame, _ in zip(source, range(5), strict=False)]
    assert [frame.index for frame in frames] == list(range(5))


def test_a_later_image_that_is_broken_ends_it_after_the_good_ones(tmp_path: Path) -> None:
    save(tmp_path / "1.png", picture())
    (tmp_path / "2.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    frames: list[Frame] = []
    with ImagesSource(tmp_path) as source, pytest.raises(InputError, match=r"2\.png"):
        frames.extend(source)
    assert len(frames) == 1


def test_an_image_of_another_size_says_so(tmp_path: Path) -> None:
    save(tmp_path / "1.png", picture())
    save(tmp_path / "2.png", picture(width=8))
    with ImagesSource(tmp_path) as source:
        assert [frame.size for frame in source] == [(6, 4), (8, 4)]


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(40), bytes(1000)])
def test_not_an_image(data: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(InputError, match="not an image") as caught:
        ImagesSource(tmp_path / "a.png")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_missing_and_empty(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        ImagesSource(tmp_path / "none.png")
    with pytest.raises(InputError, match="no images"):
        ImagesSource(tmp_path)


def test_wrong_times(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", picture())
    times = ("fps", "duration_seconds")
    for wrong in [{name: value} for name in times for value in (0, -1, float("inf"))]:
        with pytest.raises(UsageError):
            ImagesSource(path, **wrong)  # type: ignore[arg-type]
