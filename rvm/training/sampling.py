"""Draws training sequences: real pictures, composites, real clips and empty rooms.

A sequence is uint8: rgb [T,h,w,3], alpha [T,h,w] and foreground colour fgr [T,h,w,3]. The same
generator state always gives the same sequence.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from rvm.training import augmentation as aug
from rvm.training.augmentation import Placement, Rng
from rvm.training.clothing import dress_anew
from rvm.training.framing import cover, frame_person
from rvm.training.material import Clip, Material, Still
from rvm.training.mixing import blend, match_light, match_room
from rvm.training.rarities import USUAL, Rarities, happens

UInt8 = npt.NDArray[np.uint8]

REFLECT = cv2.BORDER_REFLECT_101
CONSTANT = cv2.BORDER_CONSTANT

PEOPLE_SHARE = 0.4
"""How often a single picture is one of the extra people, where there are any."""

PLACES_SHARE = 0.65
"""How often a background is one of the extra places, where there are any."""

RENDERED_SHARE = 0.2
"""How often a cut-out person is a rendered one, where there are any: seldom, as hair and cloth
look less than real, but they bend down, sit and turn away more than anybody photographed."""

SMEAR = 0.05
"""How far somebody moves while the shutter is open, at most, of the frame's width."""

CLIP_SHARES = {"asl": 0.35, "overhead": 0.6}
"""How often a clip is drawn, by the first word of its name: the asl_ ones share one room."""


@dataclass(frozen=True)
class Mixture:
    """How often each kind of sequence is drawn; weights, not necessarily summing to 1.

    The fields bear the names of the methods of :class:`Sampler` that draw them.
    """

    still: float = 0.28
    still_composite: float = 0.28
    clip: float = 0.22
    clip_composite: float = 0.14
    empty: float = 0.08


@dataclass(frozen=True)
class Sequence:
    """One training sequence; see the module docstring."""

    rgb: UInt8
    alpha: UInt8
    fgr: UInt8


class Sampler:
    """Draws sequences of T frames of width x height from one part of the material.

    Args:
        material: the pictures.
        mixture: how often each kind is drawn.
        rarities: how often what is rare happens.
    """

    def __init__(self, material: Material, mixture: Mixture, rarities: Rarities = USUAL) -> None:
        self.material = material
        self._mixture = mixture
        self._rarities = rarities
        shares = np.array([CLIP_SHARES.get(c.name.split("_")[0], 1.0) for c in material.clips])
        self._clip_odds = shares / shares.sum()

    def draw(
        self, rng: Rng, frames: int, size: tuple[int, int], mixture: Mixture | None = None
    ) -> Sequence:
        """One sequence of any kind; ``size`` is (width, height), ``mixture`` the usual one."""
        weights = asdict(mixture or self._mixture)
        odds = np.array(list(weights.values())) / sum(weights.values())
        kind = list(weights)[int(rng.choice(len(odds), p=odds))]
        sequence: Sequence = getattr(self, kind)(rng, frames, size)
        if rng.random() < 0.5:
            sequence = flip(sequence)
        return Sequence(aug.camera(rng, sequence.rgb), sequence.alpha, sequence.fgr)

    def still(self, rng: Rng, frames: int, size: tuple[int, int]) -> Sequence:
        """A real picture as it was taken, cropped and moved like a hand-held camera."""
        still = self._any_still(rng, 0.75)
        anchor, start = self._framed(rng, still, size, natural=True)
        path = aug.motion(rng, start, frames, size[0] * 0.008)
        return Sequence(
            aug.warp(still.rgb, path, anchor, size, REFLECT),
            aug.warp(still.alpha, path, anchor, size, REFLECT),
            aug.warp(still.fgr, path, anchor, size, REFLECT),
        )

    def still_composite(self, rng: Rng, frames: int, size: tuple[int, int]) -> Sequence:
        """One or two cut-out people over another background, each moving by itself."""
        still = self._anybody(rng)
        back = self.background(rng, frames, size)
        alpha, fgr = self._cutout(rng, still, frames, size)
        if rng.random() < 0.12:
            other_alpha, other_fgr = self._cutout(rng, self._anybody(rng), frames, size)
            back = blend(other_alpha, other_fgr, back)
            rgb = blend(alpha, fgr, back)
            joined = np.maximum(alpha, other_alpha)
            colour = np.where((alpha >= other_alpha)[..., None], fgr, other_fgr)
            return Sequence(rgb, joined, colour)
        return self._finish_composite(rng, alpha, fgr, back)

    def clip(self, rng: Rng, frames: int, size: tuple[int, int]) -> Sequence:
        """Real footage with the teacher's mattes, in order, sometimes fast or backwards."""
        clip, index = self._clip_frames(rng, frames)
        anchor, start = cover(rng, clip.rgb.shape[2], clip.rgb.shape[1], size, 1.5)
        path = aug.motion(rng, start, frames, size[0] * 0.004)
        return Sequence(
            *(
                np.concatenate(
                    [
                        aug.warp(stack[i], [place], anchor, size, REFLECT)
                        for i, place in zip(index, path, strict=True)
                    ]
                )
                for stack in (clip.rgb, clip.alpha, clip.fgr)
            )
        )

    def clip_composite(self, rng: Rng, frames: int, size: tuple[int, int]) -> Sequence:
        """The person of a clip over another background."""
        source = self.clip(rng, frames, size)
        back = self.background(rng, frames, size)
        return self._finish_composite(rng, source.alpha, source.fgr, back)

    def empty(self, rng: Rng, frames: int, size: tuple[int, int]) -> Sequence:
        """Nobody there: alpha 0."""
        rgb = self.background(rng, frames, size)
        return Sequence(rgb, np.zeros(rgb.shape[:3], np.uint8), np.zeros_like(rgb))

    def background(self, rng: Rng, frames: int, size: tuple[int, int]) -> UInt8:
        """A person-free sequence [T,h,w,3]: a rendered room, a strip of street or a texture."""
        choice = rng.random()
        if choice < (0.82 if self.material.places else 0.62):
            picture = self._place(rng)
        elif choice < 0.85:  # seldom where there is better: passers-by may stand in it
            picture = self._street(rng)
        else:
            picture = aug.texture(rng, size)
        anchor, start = cover(rng, picture.shape[1], picture.shape[0], size, 2.0)
        back = aug.warp(
            picture, aug.motion(rng, start, frames, size[0] * 0.006), anchor, size, REFLECT
        )
        if rng.random() < 0.3:
            back = aug.blur(rng, back, size[0] / 60)
        if rng.random() < 0.5:
            back = aug.apply_tone(back, aug.tone(rng, 1.0))
        if rng.random() < 0.12:
            back = aug.backlight(rng, back)
        return back

    def _place(self, rng: Rng) -> UInt8:
        """A person-free picture; the rendered views, many of one place, count for less."""
        views, places = self.material.backgrounds, self.material.places
        if places and rng.random() < PLACES_SHARE:
            return places[int(rng.integers(len(places)))]
        return views[int(rng.integers(len(views)))]

    def _street(self, rng: Rng) -> UInt8:
        """What lies left or right of the person in a real picture."""
        for _ in range(4):
            still = self._masked(rng)
            rgb, alpha = still.rgb, still.alpha
            rows, columns = alpha.shape
            free = np.flatnonzero(alpha.max(0) < 8)
            left, right = int(np.sum(free < still.box[0])), int(np.sum(free >= still.box[2]))
            if max(left, right) > 70:
                half = rgb[:, : left - 6] if left > right else rgb[:, columns - right + 6 :]
                top = int(rng.integers(0, rows - 3 * half.shape[1] // 4))
                return np.asarray(half[top : top + max(3 * half.shape[1] // 4, 64)])
        return aug.texture(rng, (256, 192))

    def _finish_composite(self, rng: Rng, alpha: UInt8, fgr: UInt8, back: UInt8) -> Sequence:
        if rng.random() < 0.6:
            fgr = aug.apply_tone(fgr, aug.tone(rng, 0.7))
        if rng.random() < 0.4:
            fgr = match_light(fgr, alpha, back, rng.uniform(0.2, 0.9))
        if happens(rng, self._rarities.alike):
            back = match_room(rng, back, alpha, fgr)
        if rng.random() < 0.2:
            softened = [cv2.GaussianBlur(a, (0, 0), rng.uniform(0.4, 1.2)) for a in alpha]
            alpha = np.stack(softened).astype(np.uint8)
        return Sequence(blend(alpha, fgr, back), alpha, fgr)

    def _cutout(
        self, rng: Rng, still: Still, frames: int, size: tuple[int, int]
    ) -> tuple[UInt8, UInt8]:
        if happens(rng, self._rarities.dressed):
            pattern = self._place(rng)
            fgr = dress_anew(rng, still.fgr, still.alpha, still.box, pattern)
            still = replace(still, fgr=fgr)
        anchor, start = self._framed(rng, still, size, natural=False)
        path = aug.motion(rng, start, frames, size[0] * 0.012)
        if happens(rng, self._rarities.smeared):
            return self._smeared(rng, still, anchor, path, size)
        return (
            aug.warp(still.alpha, path, anchor, size, CONSTANT),
            aug.warp(still.fgr, path, anchor, size, REFLECT),
        )

    @staticmethod
    def _smeared(
        rng: Rng,
        still: Still,
        anchor: tuple[float, float],
        path: list[Placement],
        size: tuple[int, int],
    ) -> tuple[UInt8, UInt8]:
        """A cut-out that moves too fast for the shutter, the less so the farther away."""
        tall = (still.box[3] - still.box[1]) * path[0].scale_y
        most = SMEAR * size[0] * min(1.0, tall / size[1])
        frames = [
            aug.smeared(
                aug.warp(still.alpha, moments, anchor, size, CONSTANT),
                aug.warp(still.fgr, moments, anchor, size, REFLECT),
            )
            for moments in aug.exposure(rng, path, most)
        ]
        return np.stack([alpha for alpha, _ in frames]), np.stack([fgr for _, fgr in frames])

    def _framed(
        self, rng: Rng, still: Still, size: tuple[int, int], *, natural: bool
    ) -> tuple[tuple[float, float], Placement]:
        return frame_person(rng, still, size, natural=natural, rarities=self._rarities)

    def _anybody(self, rng: Rng) -> Still:
        """Somebody to cut out; the rendered, who have no background, are seen no other way."""
        rendered = self.material.rendered
        if rendered and rng.random() < RENDERED_SHARE:
            return rendered[int(rng.integers(len(rendered)))]
        return self._any_still(rng, 0.6)

    def _any_still(self, rng: Rng, masked_share: float) -> Still:
        m = self.material
        if m.checked and happens(rng, self._rarities.checked):
            return m.checked[int(rng.integers(len(m.checked)))]
        if m.people and rng.random() < PEOPLE_SHARE:
            return m.people[int(rng.integers(len(m.people)))]
        if rng.random() < masked_share or not m.unmasked:
            return self._masked(rng)
        return m.unmasked[int(rng.integers(len(m.unmasked)))]

    def _masked(self, rng: Rng) -> Still:
        pool = self.material.masked
        return pool[int(rng.integers(len(pool)))]

    def _clip_frames(self, rng: Rng, frames: int) -> tuple[Clip, list[int]]:
        clips = self.material.clips
        clip = clips[int(rng.choice(len(clips), p=self._clip_odds))]
        stride = int(rng.choice([1, 1, 1, 2, 3]))
        stride = min(stride, max(1, (len(clip.alpha) - 1) // max(1, frames)))
        first = int(rng.integers(0, len(clip.alpha) - stride * (frames - 1)))
        index = [first + stride * t for t in range(frames)]
        return clip, index[::-1] if rng.random() < 0.3 else index


def flip(sequence: Sequence) -> Sequence:
    """Left becomes right."""
    return Sequence(
        np.ascontiguousarray(sequence.rgb[:, :, ::-1]),
        np.ascontiguousarray(sequence.alpha[:, :, ::-1]),
        np.ascontiguousarray(sequence.fgr[:, :, ::-1]),
    )
