"""Pictures and clips with their target mattes, as memory-mapped arrays, split by person and place.

The arrays are what ``tools/label_teacher.py`` left in the cache; backgrounds and masks are read
from the data root. Nothing here is random: every draw happens in :mod:`rvm.training.sampling`.
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Part = Literal["train", "validation"]

VALIDATION_CLIPS = frozenset(
    {
        "asl_eat",
        "asl_night",
        "asl_sister",
        "half_woman_indoor",
        "talk_man_kitchen",
        "speaker_woman_blonde",
        "walk_woman_dog",
    }
)
"""Whole people: the asl_ three are all that show the man in the dark patterned jumper."""

VALIDATION_HDRIS = frozenset({"lobby", "park", "workshop"})
"""Whole places; their views overlap."""

VALIDATION_STILL_EVERY = 7
"""Every 7th CCP picture that has a mask (about 143 of 1,004) is never trained on."""

UNUSABLE_CLIPS = frozenset({"hands_blocks", "torso_coffee", "torso_cups"})
"""No head in frame: the teacher loses these people, so its mattes would teach errors."""

MIN_IOU = 0.88
"""A teacher matte that agrees less with its mask is not used."""

BAND_OUT, BAND_IN = 21, 13
"""Pixels around a mask's outline inside which the teacher is believed: outwards, inwards."""


@dataclass(frozen=True)
class Still:
    """One picture of one person: uint8 [h,w,3], [h,w], [h,w,3], any h and w."""

    rgb: UInt8
    alpha: UInt8
    fgr: UInt8
    box: tuple[int, int, int, int]
    """Left, top, right, bottom of alpha > 0.5, pixels, right and bottom exclusive."""


@dataclass(frozen=True)
class Clip:
    """One clip: uint8 [T,h,w,3], [T,h,w], [T,h,w,3]."""

    name: str
    rgb: UInt8
    alpha: UInt8
    fgr: UInt8


def is_validation_still(name: str) -> bool:
    """Whether a CCP picture is held back; ``name`` is its four-digit stem."""
    return int(name) % VALIDATION_STILL_EVERY == 0


def correct_with_mask(alpha: UInt8, mask: UInt8) -> UInt8:
    """Let a binary mask overrule a teacher's matte away from the mask's outline; both [h,w]."""
    outer = cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (BAND_OUT, BAND_OUT)))
    inner = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (BAND_IN, BAND_IN)))
    return np.where(outer > 0, np.maximum(alpha, inner), 0).astype(np.uint8)


def intersection_over_union(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """0..1; 1 where both are empty."""
    union = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / union if union else 1.0


def person_box(alpha: UInt8) -> tuple[int, int, int, int] | None:
    """Box of the largest connected part of alpha > 0.5; None where it is not one clear person."""
    count, _, stats, _ = cv2.connectedComponentsWithStats((alpha > 127).astype(np.uint8))
    if count < 2:
        return None
    areas = stats[1:, cv2.CC_STAT_AREA]
    best = 1 + int(areas.argmax())
    left, top, width, height, area = (int(v) for v in stats[best])
    if area < 0.93 * areas.sum() or height < 0.5 * alpha.shape[0]:
        return None
    return left, top, left + width, top + height


def read_mask(path: Path, size: tuple[int, int]) -> UInt8:
    """A binary mask 0/255 at ``size`` (width, height)."""
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise OSError(f"cannot read {path}")
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST), np.uint8)


def prepare_stills(data: Path, cache: Path) -> None:
    """Correct and judge every labelled still once: writes target.npy and stills.json."""
    folder = cache / "stills"
    names: list[str] = json.loads((folder / "names.json").read_text())
    alpha = np.load(folder / "alpha.npy", mmap_mode="r")
    done = np.load(folder / "done.npy")
    target = np.lib.format.open_memmap(
        folder / "target.npy", mode="w+", dtype=np.uint8, shape=alpha.shape
    )
    judged: list[dict[str, object]] = []
    for row, name in enumerate(names):
        if not done[row]:
            continue
        matte: UInt8 = np.asarray(alpha[row], np.uint8)
        mask_path = data / "train/ccp/masks" / f"{name}.png"
        has_mask = mask_path.exists()
        if has_mask:
            mask = read_mask(mask_path, (matte.shape[1], matte.shape[0]))
            if intersection_over_union(matte > 127, mask > 127) < MIN_IOU:
                continue
            matte = correct_with_mask(matte, mask)
        target[row] = matte
        box = person_box(matte)
        if box is not None:
            judged.append({"row": row, "name": name, "masked": has_mask, "box": box})
    target.flush()
    (folder / "stills.json").write_text(json.dumps(judged))


class Material:
    """Everything one part of the split may draw from.

    Args:
        data: the root with ``train/ccp`` and ``train/backgrounds``.
        cache: what ``tools/label_teacher.py`` wrote.
        part: which side of the split.
        extra: a folder with more pictures for training: ``backgrounds/*.jpg``, person-free, and
            ``rendered/*.png``, cut-out people; its other people are in the cache.
    """

    def __init__(
        self, data: Path, cache: Path, part: Part = "train", extra: Path | None = None
    ) -> None:
        self.part = part
        stills = cache / "stills"
        if not (stills / "stills.json").exists():
            prepare_stills(data, cache)
        rgb: UInt8 = np.load(stills / "rgb.npy", mmap_mode="r")
        alpha: UInt8 = np.load(stills / "target.npy", mmap_mode="r")
        fgr: UInt8 = np.load(stills / "fgr.npy", mmap_mode="r")
        judged = json.loads((stills / "stills.json").read_text())
        self.masked: list[Still] = []
        self.unmasked: list[Still] = []
        for s in judged:
            if self._is_mine(is_validation_still(s["name"])):
                row = s["row"]
                still = Still(rgb[row], alpha[row], fgr[row], tuple(s["box"]))
                (self.masked if s["masked"] else self.unmasked).append(still)
        self.people, self.checked = (
            [] if part == "validation" else load_people(cache / folder)
            for folder in ("people", "checked")
        )
        self.clips = [
            clip
            for clip in load_clips(cache / "clips")
            if self._is_mine(clip.name in VALIDATION_CLIPS)
        ]
        self.backgrounds = [
            picture
            for hdri, picture in load_backgrounds(data / "train/backgrounds")
            if self._is_mine(hdri in VALIDATION_HDRIS)
        ]
        self.places = [] if extra is None else load_pictures(extra / "backgrounds")
        self.rendered = [] if extra is None else load_cutouts(extra / "rendered")

    def _is_mine(self, held_back: bool) -> bool:
        return held_back == (self.part == "validation")


def load_clips(folder: Path) -> list[Clip]:
    """Every labelled clip that the teacher can be trusted on."""
    clips = []
    for path in sorted(folder.glob("*.fgr.npy")):
        name = path.name.removesuffix(".fgr.npy")
        if name not in UNUSABLE_CLIPS:
            rgb, alpha, fgr = (
                np.load(folder / f"{name}.{kind}.npy", mmap_mode="r")
                for kind in ("rgb", "alpha", "fgr")
            )
            clips.append(Clip(name, rgb, alpha, fgr))
    return clips


def load_people(folder: Path) -> list[Still]:
    """Every labelled picture of people that was taken elsewhere; any size."""
    people = []
    for path in sorted(folder.glob("*.fgr.npy")):
        name = path.name.removesuffix(".fgr.npy")
        rgb, alpha, fgr = (np.load(folder / f"{name}.{k}.npy") for k in ("rgb", "alpha", "fgr"))
        box = person_box(alpha)
        if box is not None:
            people.append(Still(rgb, alpha, fgr, box))
    return people


def load_cutouts(folder: Path) -> list[Still]:
    """Every RGBA picture of a folder, in name order; ``rgb`` is the foreground colour itself."""
    cutouts = []
    for path in sorted(folder.glob("*.png")):
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
            raise OSError(f"cannot read {path} as RGBA")
        alpha = np.ascontiguousarray(picture[:, :, 3], np.uint8)
        colour = np.ascontiguousarray(picture[:, :, 2::-1], np.uint8)
        left, top, width, height = cv2.boundingRect((alpha > 127).astype(np.uint8))
        if width and height:
            cutouts.append(Still(colour, alpha, colour, (left, top, left + width, top + height)))
    return cutouts


def load_pictures(folder: Path) -> list[UInt8]:
    """Every JPEG of a folder as RGB [h,w,3], in name order."""
    pictures = []
    for path in sorted(folder.glob("*.jpg")):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise OSError(f"cannot read {path}")
        pictures.append(np.ascontiguousarray(picture[:, :, ::-1], np.uint8))
    return pictures


def load_backgrounds(folder: Path) -> list[tuple[str, UInt8]]:
    """(hdri name, RGB picture) of every person-free view."""
    views = []
    with (folder / "views.csv").open(newline="") as table:
        for line in csv.DictReader(table):
            picture = cv2.imread(str(folder / line["file"]), cv2.IMREAD_COLOR)
            if picture is None:
                raise OSError(f"cannot read {folder / line['file']}")
            views.append((line["hdri"], np.ascontiguousarray(picture[:, :, ::-1], np.uint8)))
    return views
