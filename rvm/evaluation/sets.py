"""The held-back material: composites, clips, stills with masks, empty rooms. Nothing is random.

Everything comes from the validation part of the split in :mod:`rvm.training.material`. The
composites' alpha is the teacher's, corrected by masks: it is the best there is here, not a truth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rvm.training.material import Clip, Material, is_validation_still
from rvm.training.rarities import NOTHING_RARE
from rvm.training.sampling import Mixture, Sampler

UInt8 = npt.NDArray[np.uint8]

COMPOSITE_SIZE = (512, 288)
COMPOSITE_COUNT = 64
"""A model that loses one person altogether has a MAD of 100 to 200 there: of sixteen composites,
one more or less of them decided the mean."""

COMPOSITE_FRAMES = 10
CLIP_FRAMES = 40


@dataclass(frozen=True)
class Example:
    """A named sequence: rgb uint8 [T,H,W,3] and true alpha uint8 [T,H,W]."""

    name: str
    rgb: UInt8
    alpha: UInt8

    def first(self, frames: int) -> Example:
        """Its first frames only."""
        return Example(self.name, self.rgb[:frames], self.alpha[:frames])


def composites(material: Material, count: int = COMPOSITE_COUNT) -> Iterator[Example]:
    """Moving cut-outs of unseen people over unseen places; three of four a still, one a clip."""
    sampler = Sampler(material, Mixture(), NOTHING_RARE)
    for index in range(count):
        rng = np.random.default_rng([2026, index])
        draw = sampler.clip_composite if index % 4 == 3 else sampler.still_composite
        while True:  # a person has to be in the picture
            drawn = draw(rng, COMPOSITE_FRAMES, COMPOSITE_SIZE)
            if (drawn.alpha > 127).mean() > 0.04:
                break
        yield Example(f"composite_{index:02d}", drawn.rgb, drawn.alpha)


def clips(material: Material) -> Iterator[Example]:
    """Unseen clips as they were shot, with the teacher's mattes."""
    for clip in material.clips:
        yield Example(clip.name, *_first(clip, CLIP_FRAMES))


def _first(clip: Clip, frames: int) -> tuple[UInt8, UInt8]:
    return np.asarray(clip.rgb[:frames]), np.asarray(clip.alpha[:frames])


def masked_stills(data: Path) -> Iterator[Example]:
    """Unseen street pictures [1,576,w,3] with their binary masks, bad teacher mattes included."""
    for path in sorted((data / "train/ccp/masks").glob("*.png")):
        if not is_validation_still(path.stem):
            continue
        picture = cv2.imread(str(data / "train/ccp/images" / f"{path.stem}.jpg"))
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if picture is None or mask is None:
            raise OSError(f"cannot read {path.stem} of the CCP set")
        rgb = np.ascontiguousarray(picture[:, :, ::-1], np.uint8)
        yield Example(f"ccp_{path.stem}", rgb[None], np.asarray(mask, np.uint8)[None])


def empty_rooms(material: Material) -> Iterator[Example]:
    """Unseen places without people, each as a still of four frames."""
    for index, picture in enumerate(material.backgrounds[::4]):
        rgb = np.asarray(cv2.resize(picture, COMPOSITE_SIZE, interpolation=cv2.INTER_AREA))
        stack = np.repeat(rgb[None], 4, 0).astype(np.uint8)
        yield Example(f"empty_{index:02d}", stack, np.zeros(stack.shape[:3], np.uint8))


def after_cut(material: Material) -> Example:
    """Ten frames of one clip, then thirty of another at the same size."""
    first, second = material.clips[0], material.clips[-1]
    size = COMPOSITE_SIZE

    def fit(stack: UInt8) -> UInt8:
        return np.stack([cv2.resize(f, size, interpolation=cv2.INTER_AREA) for f in stack])

    rgb = np.concatenate([fit(first.rgb[:10]), fit(second.rgb[:30])])
    alpha = np.concatenate([fit(first.alpha[:10]), fit(second.alpha[:30])])
    return Example(f"cut_{first.name}_{second.name}", rgb, alpha)
