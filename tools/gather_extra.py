"""Gather the openly licensed pictures that a list of sources names, out of repository snapshots.

    python tools/gather_extra.py models/compact-sources.csv --snapshots DIR --out EXTRA

``DIR`` holds one snapshot a repository, ``<owner>+<name>/repo``: a bare git directory, or a clone
with ``.git`` in it. The list has the columns ``use`` (a key of `FOLDERS`, or ``person, no more``),
``repository@commit``, ``path`` and ``licence``. What comes out is what ``tools/label_teacher.py
people`` and the trainer read:

    EXTRA/people/<name>.jpg        people; long side 900 px at most
    EXTRA/checked/<name>.jpg       people whose matte by the teacher was looked at and found right
    EXTRA/backgrounds/<name>.jpg   nobody; long side 900 px at most, or one view of a panorama

A panorama (.hdr, .exr, or a 2:1 picture whose licence calls it an HDRI) becomes several
perspective views. Directions and exposures hang on the file's name alone, so a second run writes
the same pictures.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import av
import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

LONG_SIDE = 900
JPEG_QUALITY = 92
MID_GRAY = 128
MAX_CLEAR_SHARE = 0.001
"""A person whose picture has more see-through pixels is a cut-out: it has no real background."""

FOLDERS = {
    "person": "people",
    "person, generated": "people",
    "person, checked": "checked",
    "place": "backgrounds",
}
"""Where a picture goes, by its use in the list."""

RETIRED = "person, no more"
"""What earlier runs of training saw and later ones do not, as its licence became doubtful."""

EXR_SAMPLES = {"gbrpf32le": "<f4", "gbrapf32le": "<f4", "gbrpf16le": "<f2", "gbrapf16le": "<f2"}
"""FFmpeg's pixel formats of colour pictures with and without alpha -> NumPy's sample types."""

HALF_MAX = 65504.0
"""What an .exr's 16 bits can hold; a sun that is brighter is white all the same."""

HDR_SUFFIXES = frozenset({".hdr", ".exr"})
VIEW_SIZE = (640, 480)
VIEW_COUNTS = (7, 8)
VIEW_PITCH_DEG = (-20.0, 15.0)
VIEW_FOV_DEG = (50.0, 90.0)
VIEW_MEDIAN = (0.25, 0.55)
"""Where a view's median luminance goes, of display white: gloomy to bright rooms."""
VIEW_WHITE = (1.5, 6.0)
"""Scene luminance that becomes white, after exposure; below 1.5 windows burn out too soon."""

DISPLAY_GAMMA = 2.2
LUMA_BGR = np.array([0.0722, 0.7152, 0.2126], np.float32)


@dataclass(frozen=True)
class Source:
    """One row of the list."""

    use: str
    repository: str
    commit: str
    path: str
    licence: str

    @property
    def name(self) -> str:
        """A file stem that no other repository and path has; the commit does not change it."""
        key = hashlib.sha256(f"{self.repository}:{self.path}".encode()).hexdigest()[:8]
        words = f"{self.repository}-{PurePosixPath(self.path).stem}"
        return f"{re.sub(r'[^A-Za-z0-9_]+', '-', words)[:80]}-{key}"

    @property
    def is_person(self) -> bool:
        """Whether it shows people, photographed or generated; else nobody."""
        return self.use.startswith("person")


def read_sources(path: Path) -> list[Source]:
    """Every row of the list but the retired ones, in its order."""
    sources = []
    with path.open(newline="", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            repository, _, commit = row["repository@commit"].partition("@")
            if row["use"] == RETIRED:
                continue
            if row["use"] not in FOLDERS:
                raise ValueError(f"{path}: unknown use {row['use']!r}")
            sources.append(Source(row["use"], repository, commit, row["path"], row["licence"]))
    return sources


def git_folder(snapshots: Path, repository: str) -> Path:
    """Where a repository's snapshot has its objects."""
    folder = snapshots / repository.replace("/", "+") / "repo"
    clone = folder / ".git"
    return clone if clone.is_dir() else folder


def read_blob(git: str, snapshots: Path, source: Source) -> bytes | None:
    """The file as it was at the commit; None where the snapshot does not have it."""
    folder = git_folder(snapshots, source.repository)
    shown = subprocess.run(
        [git, f"--git-dir={folder}", "show", f"{source.commit}:{source.path}"],
        capture_output=True,
        check=False,
    )
    return shown.stdout if shown.returncode == 0 else None


def decode(blob: bytes) -> tuple[UInt8, float] | None:
    """BGR picture [h,w,3] on mid gray, and the share of its pixels that is see-through, 0..1."""
    coded = np.frombuffer(blob, np.uint8)
    stored = cv2.imdecode(coded, cv2.IMREAD_UNCHANGED) if coded.size else None
    if stored is None:
        return None
    if stored.ndim == 3 and stored.shape[2] == 4:
        full = np.float32(65535 if stored.dtype == np.uint16 else 255)
        unit = np.asarray(stored, np.float32) / full
        alpha = unit[:, :, 3:]
        flat = unit[:, :, :3] * alpha + np.float32(MID_GRAY / 255) * (1 - alpha)
        return np.rint(flat * 255).astype(np.uint8), float(np.mean(alpha < 0.98))
    # Decoded again: only this way is the camera's orientation obeyed and the depth 8 bits.
    picture = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return None if picture is None else (np.asarray(picture, np.uint8), 0.0)


def decode_radiance(blob: bytes, suffix: str) -> Float32 | None:
    """A high dynamic range panorama as linear BGR [h,w,3]."""
    picture = decode_exr(blob) if suffix == ".exr" else decode_hdr(blob)
    if picture is None:
        return None
    return np.nan_to_num(picture, posinf=HALF_MAX).clip(0, HALF_MAX)


def decode_hdr(blob: bytes) -> Float32 | None:
    """A Radiance .hdr as linear BGR [h,w,3]."""
    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR
    picture = cv2.imdecode(np.frombuffer(blob, np.uint8), flags)
    return None if picture is None else np.asarray(picture, np.float32)


def decode_exr(blob: bytes) -> Float32 | None:
    """An .exr as linear BGR [h,w,3]; not by OpenCV, whose wheels may be built without it."""
    codec = av.VideoCodecContext.create("exr", "r")
    try:
        frames = [*codec.decode(av.Packet(blob)), *codec.decode(None)]
    except av.FFmpegError:
        return None
    if not frames or frames[0].format.name not in EXR_SAMPLES:
        return None
    frame = frames[0]
    samples = np.dtype(EXR_SAMPLES[frame.format.name])
    green, blue, red = (
        np.frombuffer(bytes(plane), samples).reshape(frame.height, -1)[:, : frame.width]
        for plane in frame.planes[:3]
    )
    return np.stack([blue, green, red], axis=-1).astype(np.float32)


def shrink(picture: UInt8) -> UInt8:
    """Scaled down so that the long side fits; never up."""
    height, width = picture.shape[:2]
    scale = min(1.0, LONG_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def look_around(
    panorama: Float32, yaw_deg: float, pitch_deg: float, fov_deg: float, size: tuple[int, int]
) -> Float32:
    """What a camera in the middle of an equirectangular panorama sees; ``fov_deg`` is across."""
    width, height = size
    focal_px = width / 2 / np.tan(np.radians(fov_deg) / 2)
    right, down = np.meshgrid(
        (np.arange(width) + 0.5 - width / 2) / focal_px,
        (np.arange(height) + 0.5 - height / 2) / focal_px,
    )
    pitch = np.radians(pitch_deg)
    up = np.sin(pitch) - down * np.cos(pitch)
    ahead = np.cos(pitch) + down * np.sin(pitch)
    longitude = np.arctan2(right, ahead) + np.radians(yaw_deg)
    latitude = np.arctan2(up, np.hypot(right, ahead))
    rows, columns = panorama.shape[:2]
    x = (longitude / (2 * np.pi) + 0.5) * columns - 0.5
    y = (0.5 - latitude / np.pi) * rows - 0.5
    # One more column on the right closes the seam; rows need none, no view reaches a pole.
    closed = np.concatenate([panorama, panorama[:, :1]], axis=1)
    view = cv2.remap(
        closed,
        np.mod(x, columns).astype(np.float32),
        y.astype(np.float32),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(view, np.float32)


def develop(view: Float32, median: float, white: float) -> UInt8:
    """Linear BGR -> display: expose so that the median lands there, then roll highlights off."""
    luma = view @ LUMA_BGR
    exposed = view * (median**DISPLAY_GAMMA / max(float(np.median(luma)), 1e-6))
    rolled = exposed * (1 + exposed / white**2) / (1 + exposed)
    # The roll-off darkens the median too: scaled back to where it was meant to be.
    middle = median**DISPLAY_GAMMA
    gain = (1 + middle) / (1 + middle / white**2)
    shown = np.clip(rolled * gain, 0, 1) ** (1 / DISPLAY_GAMMA)
    return np.asarray(np.rint(shown * 255), np.uint8)


def views(panorama: Float32, name: str) -> Iterator[UInt8]:
    """Seven or eight pictures taken inside a panorama; the same for the same name."""
    rng = np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))
    for _ in range(int(rng.integers(VIEW_COUNTS[0], VIEW_COUNTS[1], endpoint=True))):
        yaw, pitch = rng.uniform(-180, 180), rng.uniform(*VIEW_PITCH_DEG)
        view = look_around(panorama, yaw, pitch, rng.uniform(*VIEW_FOV_DEG), VIEW_SIZE)
        yield develop(view, rng.uniform(*VIEW_MEDIAN), rng.uniform(*VIEW_WHITE))


def pictures_of(source: Source, blob: bytes) -> list[tuple[str, UInt8]]:
    """(file stem, BGR picture) of everything one source gives; ValueError says why nothing."""
    suffix = PurePosixPath(source.path).suffix.lower()
    if suffix in HDR_SUFFIXES:
        radiance = decode_radiance(blob, suffix)
        if radiance is None:
            raise ValueError("not a panorama")
    else:
        decoded = decode(blob)
        if decoded is None:
            raise ValueError("not a picture")
        picture, clear_share = decoded
        if source.is_person and clear_share > MAX_CLEAR_SHARE:
            raise ValueError(f"{clear_share:.0%} see-through")
        height, width = picture.shape[:2]
        if source.is_person or width != 2 * height or "HDRI" not in source.licence:
            return [(source.name, shrink(picture))]
        radiance = (picture.astype(np.float32) / np.float32(255)) ** np.float32(DISPLAY_GAMMA)
    return [(f"{source.name}-{i}", view) for i, view in enumerate(views(radiance, source.name))]


def gather(sources: list[Source], snapshots: Path, out: Path) -> Counter[str]:
    """Write every picture; what was written, by folder, and how many sources gave nothing."""
    git = shutil.which("git")
    if git is None:
        raise OSError("git is not installed")
    counts: Counter[str] = Counter(people=0, backgrounds=0, skipped=0)
    for source in sources:
        kind = FOLDERS[source.use]
        folder = out / kind
        folder.mkdir(parents=True, exist_ok=True)
        try:
            blob = read_blob(git, snapshots, source)
            if blob is None:
                raise ValueError("not in the snapshot")
            pictures = pictures_of(source, blob)
        except ValueError as reason:
            print(f"skipped {source.repository} {source.path}: {reason}")
            counts["skipped"] += 1
            continue
        for stem, picture in pictures:
            path = folder / f"{stem}.jpg"
            if not cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
                raise OSError(f"cannot write {path}")
        counts[kind] += len(pictures)
    return counts


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and gather."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("sources", type=Path, help="the list, a CSV")
    parser.add_argument("--snapshots", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(arguments)
    counts = gather(read_sources(args.sources), args.snapshots, args.out)
    print(", ".join(f"{kind} {count}" for kind, count in counts.items()))


if __name__ == "__main__":
    main()
