"""Draws training sequences: real pictures, composites, real clips and empty rooms.

A sequence is uint8: rgb [T,h,w,3], alpha [T,h,w] and foreground colour fgr [T,h,w,3]. The same
generator state always gives the same sequence.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rvm.training import augmentation as aug
from rvm.training.augmentation import Placement, Rng
from rvm.training.material import Clip, Material, Still

UInt8 = npt.NDArray[np.uint8]

REFLECT = cv2.BORDER_REFLECT_101
CONSTANT = cv2.BORDER_CONSTANT

WIDE_SHARE = 0.3
"""How often a real picture may end inside the frame; its mirror image goes on from there."""

PEOPLE_SHARE = 0.4
"""How often a single picture is one of the extra people, where there are any."""

PLACES_SHARE = 0.65
"""How often a background is one of the extra places, where there are any."""

RENDERED_SHARE = 0.2
"""How often a cut-out person is a rendered one, where there are any: seldom, as hair and cloth
look less than real, but they bend down, sit and turn away more than anybody photographed."""

FAR_SHARE = 0.2
"""How often a cut-out person is seen whole and from afar."""

SMEAR = 0.05
"""How far somebody moves while the shutter is open, at most, of the frame's width."""

HEADLESS = (0.12, 0.5)
"""How much of a person is above the frame when the head is cut off."""

STANDING = 1.7
"""A person this much taller than wide stands, seen whole or nearly so."""

INSIDE = (0.01, 0.98)
"""A box whose upper and lower edge lie between these shares of the picture's height cuts nobody
off."""

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
class Rarities:
    """How often what is rare happens, 0..1; at 0 no random number is drawn for it."""

    smeared: float = 0.12
    """A cut-out person is blurred by motion."""
    alike: float = 0.12
    """The place behind somebody has the colour of their hair or clothes (:func:`match_room`)."""
    bent: float = 0.2
    """Somebody whole who does not stand with closed arms, but bends, sits or stretches them out, is
    seen from afar, as others are by :data:`FAR_SHARE`."""
    headless: float = 0.08
    """The upper edge of the frame cuts somebody's head off, as when they get up from their desk."""


NOTHING_RARE = Rarities(0, 0, 0, 0)
"""For what is measured on: it stays the same when something rare is added."""


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

    def __init__(
        self, material: Material, mixture: Mixture, rarities: Rarities = Rarities()
    ) -> None:
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
        anchor, start = self._frame_person(rng, still, size, natural=True)
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
        anchor, start = self._cover(rng, clip.rgb.shape[2], clip.rgb.shape[1], size, 1.5)
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
        anchor, start = self._cover(rng, picture.shape[1], picture.shape[0], size, 2.0)
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
        anchor, start = self._frame_person(rng, still, size, natural=False)
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

    def _anybody(self, rng: Rng) -> Still:
        """Somebody to cut out; the rendered, who have no background, are seen no other way."""
        rendered = self.material.rendered
        if rendered and rng.random() < RENDERED_SHARE:
            return rendered[int(rng.integers(len(rendered)))]
        return self._any_still(rng, 0.6)

    def _any_still(self, rng: Rng, masked_share: float) -> Still:
        m = self.material
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

    def _frame_person(
        self, rng: Rng, still: Still, size: tuple[int, int], natural: bool
    ) -> tuple[tuple[float, float], Placement]:
        """Choose how much of a person is in frame: all, the upper body or the head.

        Returns the source anchor (middle of the visible part) and where it goes.
        """
        width, height = size
        rows, columns = still.alpha.shape
        left, top, right, bottom = still.box
        tall = bottom - top
        standing = tall > STANDING * (right - left)
        shares = (1.0, 0.55, 0.36, 0.24, 0.16) if standing else (1.0, 1.0, 0.8, 0.6, 0.5)
        shown = float(rng.choice(shares, p=[0.22, 0.2, 0.24, 0.21, 0.13]))
        shown *= rng.uniform(0.9, 1.15)
        fill = rng.uniform(0.6, 1.0) if shown > 0.8 else rng.uniform(0.75, 1.0)
        below_top, above_bottom = top >= INSIDE[0] * rows, bottom <= INSIDE[1] * rows
        if not natural and self._seen_from_afar(rng, standing, below_top and above_bottom):
            shown, fill = 1.0, rng.uniform(0.25, 0.6)
        scale = height * fill / (tall * shown)
        if natural:  # keep most of the frame inside the picture, or show all of it, mirrored
            if rng.random() > WIDE_SHARE:
                scale = max(scale, width / columns * 0.92)
            scale = max(scale, height / rows * 0.98)
        head_y = height * (rng.uniform(0.0, 0.06) + (1 - fill) * rng.uniform(0.2, 1.0))
        if happens(rng, self._rarities.headless):
            head_y = -tall * scale * rng.uniform(*HEADLESS)
            if natural:  # the picture has to go on down to the frame's lower edge
                head_y = max(head_y, height - (rows - top) * scale)
        if not natural:  # who is cut off by the picture's edge must be by the frame's
            if not above_bottom:
                head_y = max(head_y, height - tall * scale + 1)
            elif not below_top:
                head_y = min(head_y, -0.02 * height)
        spread = 0.1 if natural else 0.26
        x = width * (0.5 + np.clip(rng.normal(0, spread), -0.45, 0.45))
        stretch = np.exp(rng.normal(0, 0.06))
        angle = rng.normal(0, 3.0)
        anchor = ((left + right) / 2, float(top))
        return anchor, Placement(x, head_y, scale * stretch, scale / stretch, angle)

    def _seen_from_afar(self, rng: Rng, standing: bool, whole: bool) -> bool:
        if standing:
            return bool(rng.random() < FAR_SHARE)
        return whole and happens(rng, self._rarities.bent)

    @staticmethod
    def _cover(
        rng: Rng, source_w: int, source_h: int, size: tuple[int, int], most: float
    ) -> tuple[tuple[float, float], Placement]:
        """Let a picture cover the frame, zoomed in up to ``most`` times."""
        width, height = size
        scale = max(width / source_w, height / source_h) * rng.uniform(1.0, most)
        slack_x = max(0.0, source_w * scale - width) / 2
        slack_y = max(0.0, source_h * scale - height) / 2
        x = width / 2 + rng.uniform(-slack_x, slack_x)
        y = height / 2 + rng.uniform(-slack_y, slack_y)
        stretch = np.exp(rng.normal(0, 0.05))
        anchor = (source_w / 2, source_h / 2)
        return anchor, Placement(x, y, scale * stretch, scale / stretch, rng.normal(0, 2.0))


def happens(rng: Rng, share: float) -> bool:
    """True that often; at 0 no random number is drawn."""
    return share > 0 and rng.random() < share


def blend(alpha: UInt8, fgr: UInt8, back: UInt8) -> UInt8:
    """fgr * alpha + back * (1 - alpha); [T,h,w], [T,h,w,3], [T,h,w,3]."""
    a = alpha[..., None].astype(np.uint16)
    mixed = fgr * a + back * (255 - a) + 127
    return (mixed // 255).astype(np.uint8)


def match_light(fgr: UInt8, alpha: UInt8, back: UInt8, share: float) -> UInt8:
    """Move the person's mean colour towards the background's by ``share`` of the difference."""
    inside = alpha[0] > 127
    if not inside.any():
        return fgr
    person = fgr[0][inside].mean(0)
    room = back[0].reshape(-1, 3).mean(0)
    gain = np.clip((person + share * (room - person)) / np.maximum(person, 8), 0.4, 1.8)
    return brightened(fgr, gain)


def match_room(rng: Rng, back: UInt8, alpha: UInt8, fgr: UInt8) -> UInt8:
    """The place in the colour of some spot of the person: a dark wall behind dark hair.

    That colour is the mean of a patch around a random pixel of the person; the place's own mean
    goes most of the way there, channel by channel.
    """
    rows, columns = np.nonzero(alpha[0] > 250)
    if not rows.size:
        return back
    spot = int(rng.integers(rows.size))
    y, x, reach = int(rows[spot]), int(columns[spot]), max(2, alpha.shape[2] // 80)
    around = (slice(max(0, y - reach), y + reach + 1), slice(max(0, x - reach), x + reach + 1))
    colour = fgr[0][around][alpha[0][around] > 250].mean(0)
    room = np.maximum(back[0].reshape(-1, 3).mean(0), 4)
    gain = np.clip((room + rng.uniform(0.6, 1.0) * (colour - room)) / room, 0.1, 5)
    return brightened(back, gain)


def brightened(frames: UInt8, gain: npt.NDArray[np.float64]) -> UInt8:
    """Every channel times its factor of ``gain`` [3]."""
    table = np.arange(256, dtype=np.float32)[:, None] * gain.astype(np.float32)
    return aug.apply_tone(frames, table.clip(0, 255))


def flip(sequence: Sequence) -> Sequence:
    """Left becomes right."""
    return Sequence(
        np.ascontiguousarray(sequence.rgb[:, :, ::-1]),
        np.ascontiguousarray(sequence.alpha[:, :, ::-1]),
        np.ascontiguousarray(sequence.fgr[:, :, ::-1]),
    )
