"""The pictures of a list come out of snapshots: people whole, places empty, panoramas as views."""

from __future__ import annotations

import csv
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tools.gather_extra import Source, decode, decode_radiance, develop, look_around, main

GIT = shutil.which("git")
pytestmark = pytest.mark.skipif(GIT is None, reason="git is not installed")

HDRI = "CC0 1.0 (Poly Haven HDRI a_room)"


def git(*arguments: str, folder: Path) -> str:
    """Run git in a folder, untouched by whatever is configured on this machine."""
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    command = [str(GIT), *identity, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True).stdout


@pytest.fixture
def snapshots(tmp_path: Path) -> tuple[Path, str]:
    """A folder of snapshots with one repository, ``ann/site``, and its commit."""
    tree = tmp_path / "tree"
    tree.mkdir()
    rng = np.random.default_rng(1)
    tall = rng.integers(0, 256, (1200, 600, 3)).astype(np.uint8)
    wide = rng.integers(0, 256, (64, 128, 3)).astype(np.uint8)
    cut_out = np.full((40, 40, 4), 255, np.uint8)
    cut_out[:20, :, 3] = 0
    cv2.imwrite(str(tree / "ann.jpg"), tall)
    cv2.imwrite(str(tree / "cut.png"), cut_out)
    cv2.imwrite(str(tree / "wide.jpg"), wide)
    cv2.imwrite(str(tree / "room.hdr"), wide.astype(np.float32) / 32)
    (tree / "broken.jpg").write_bytes(b"nothing")
    git("init", "-q", folder=tree)
    git("add", ".", folder=tree)
    git("commit", "-q", "-m", "pictures", folder=tree)
    home = tmp_path / "snapshots"
    (home / "ann+site").mkdir(parents=True)
    git("clone", "-q", "--bare", str(tree), str(home / "ann+site/repo"), folder=tmp_path)
    return home, git("rev-parse", "HEAD", folder=tree).strip()


def run(folder: Path, snapshots: tuple[Path, str], rows: list[tuple[str, str, str]]) -> Path:
    """Gather (use, path, licence) rows of the repository; the folder they went to."""
    home, commit = snapshots
    table = folder / "sources.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["use", "repository@commit", "path", "licence"])
        writer.writerows([use, f"ann/site@{commit}", path, licence] for use, path, licence in rows)
    out = folder / "extra"
    main([str(table), "--snapshots", str(home), "--out", str(out)])
    return out


def sizes(folder: Path) -> list[tuple[int, int]]:
    """(width, height) of every JPEG, in name order."""
    pictures = [cv2.imread(str(path)) for path in sorted(folder.glob("*.jpg"))]
    return [(picture.shape[1], picture.shape[0]) for picture in pictures if picture is not None]


def test_people_and_places_are_written_small(
    tmp_path: Path, snapshots: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("person, generated", "ann.jpg", "CC0"), ("place", "wide.jpg", "CC0")]
    out = run(tmp_path, snapshots, [*rows, ("person, checked", "wide.jpg", "CC0")])
    assert sizes(out / "people") == [(450, 900)]
    assert sizes(out / "checked") == [(128, 64)]
    assert sizes(out / "backgrounds") == [(128, 64)]
    assert "people 1, backgrounds 1, skipped 0" in capsys.readouterr().out


def test_a_snapshot_may_be_a_clone_with_a_work_tree(
    tmp_path: Path, snapshots: tuple[Path, str]
) -> None:
    place = snapshots[0] / "ann+site/repo"
    shutil.rmtree(place)
    shutil.copytree(tmp_path / "tree", place)
    out = run(tmp_path, snapshots, [("place", "ann.jpg", "CC0")])
    assert sizes(out / "backgrounds") == [(450, 900)]


@pytest.mark.parametrize("path", ["room.hdr", "wide.jpg"])
def test_a_panorama_becomes_the_same_views_every_time(
    tmp_path: Path, snapshots: tuple[Path, str], path: str
) -> None:
    out = run(tmp_path, snapshots, [("place", path, HDRI)]) / "backgrounds"
    assert sizes(out) in ([(640, 480)] * 7, [(640, 480)] * 8)
    first = {view.name: view.read_bytes() for view in out.glob("*.jpg")}
    run(tmp_path, snapshots, [("place", path, HDRI)])
    assert {view.name: view.read_bytes() for view in out.glob("*.jpg")} == first
    assert len(set(first.values())) == len(first)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("gone.jpg", "not in the snapshot"),
        ("broken.jpg", "not a picture"),
        ("cut.png", "50% see-through"),
    ],
)
def test_what_cannot_be_used_is_reported_and_skipped(
    tmp_path: Path,
    snapshots: tuple[Path, str],
    capsys: pytest.CaptureFixture[str],
    path: str,
    reason: str,
) -> None:
    out = run(tmp_path, snapshots, [("person", path, "CC0"), ("person", "ann.jpg", "CC0")])
    assert len(sizes(out / "people")) == 1
    said = capsys.readouterr().out
    assert f"skipped ann/site {path}: {reason}\n" in said
    assert "people 1, backgrounds 0, skipped 1" in said


def test_an_unknown_use_is_refused(tmp_path: Path, snapshots: tuple[Path, str]) -> None:
    with pytest.raises(ValueError, match="unknown use 'people'"):
        run(tmp_path, snapshots, [("people", "ann.jpg", "CC0")])


def test_names_tell_folders_apart_and_survive_a_new_commit() -> None:
    one = Source("person", "ann/site", "1" * 40, "a/Me & you.jpg", "CC0").name
    assert one == Source("person", "ann/site", "2" * 40, "a/Me & you.jpg", "CC0").name
    assert one != Source("person", "ann/site", "1" * 40, "b/Me & you.jpg", "CC0").name
    assert one.startswith("ann-site-Me-you-")


def test_an_exr_comes_out_linear_and_blue_first() -> None:
    colour = np.array([0.25, 1.0, 40.0], np.float32)  # red, green, blue
    frame = av.VideoFrame.from_ndarray(np.tile(colour, (8, 16, 1)), format="gbrpf32le")
    codec = av.VideoCodecContext.create("exr", "w")
    codec.width, codec.height, codec.pix_fmt = 16, 8, "gbrpf32le"
    codec.time_base = Fraction(1, 25)
    packets = [*codec.encode(frame), *codec.encode(None)]
    radiance = decode_radiance(bytes(packets[0]), ".exr")
    assert radiance is not None
    np.testing.assert_array_equal(radiance, np.tile(colour[::-1], (8, 16, 1)))


@pytest.mark.parametrize("suffix", [".exr", ".hdr"])
def test_what_is_no_panorama_is_told(suffix: str) -> None:
    assert decode_radiance(b"nothing", suffix) is None


def test_what_is_see_through_becomes_mid_gray() -> None:
    bgra = np.zeros((2, 2, 4), np.uint8)
    bgra[0] = 255
    decoded = decode(cv2.imencode(".png", bgra)[1].tobytes())
    assert decoded is not None
    picture, clear_share = decoded
    np.testing.assert_array_equal(picture[:, 0], [[255] * 3, [128] * 3])
    assert clear_share == 0.5


def world() -> npt.NDArray[np.float32]:
    """A panorama whose blue tells the longitude's cosine, green its sine, red the latitude."""
    rows, columns = 256, 512
    longitude = ((np.arange(columns) + 0.5) / columns - 0.5) * 2 * np.pi
    latitude = (0.5 - (np.arange(rows) + 0.5) / rows) * np.pi
    planes = np.broadcast_arrays(np.cos(longitude), np.sin(longitude), latitude[:, None])
    return np.stack(planes, axis=-1).astype(np.float32)


@pytest.mark.parametrize("yaw", [0.0, 90.0, 180.0, -135.0])
@pytest.mark.parametrize("pitch", [-20.0, 0.0, 15.0])
def test_the_middle_of_a_view_is_where_the_camera_looks(yaw: float, pitch: float) -> None:
    middle = look_around(world(), yaw, pitch, 60, (65, 49))[24, 32]
    expected = [np.cos(np.radians(yaw)), np.sin(np.radians(yaw)), np.radians(pitch)]
    np.testing.assert_allclose(middle, expected, atol=0.02)


def test_a_view_is_as_wide_as_asked_and_upright() -> None:
    view = look_around(world(), 0, 0, 90, (401, 301))
    across = np.degrees(np.arcsin(view[150, [0, -1], 1]))
    np.testing.assert_allclose(across, [-45, 45], atol=1)
    assert view[0, 200, 2] > 0 > view[-1, 200, 2]


def test_the_median_lands_where_it_was_meant_to() -> None:
    ramp = np.repeat(np.linspace(0.01, 40, 101, dtype=np.float32), 3).reshape(1, 101, 3)
    shown = develop(ramp, 0.4, 3.0)
    assert abs(int(shown[0, 50, 0]) - round(0.4 * 255)) <= 1
    assert np.all(np.diff(shown[0, :, 0].astype(int)) >= 0)


def test_who_is_retired_is_left_out(tmp_path: Path, snapshots: tuple[Path, str]) -> None:
    rows = [("person, no more", "ann.jpg", "doubtful"), ("place", "wide.jpg", "CC0 1.0")]
    out = run(tmp_path, snapshots, rows)
    assert not list((out / "people").glob("*"))
    assert len(list((out / "backgrounds").glob("*"))) == 1
