"""People dressed anew: what the sampler has too few of is not poses or places, but clothes.

A person is known by shape, but a network that has met few fur coats learns what cloth looks like
instead (Geirhos et al., ICLR 2019, on textures). So the colour that covers the lower part of a
person, which mostly is cloth, is taken for another colour or a pattern; light and folds stay.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from rvm.training.augmentation import Rng

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Box = tuple[int, int, int, int]

COLOURS = 4
"""Colours that a person is taken to consist of."""

SAMPLES = 1500
"""Pixels that those are found from."""

LEAST_SHARE = 0.12
"""Of the person, for a colour to count as that of clothes."""

LEAST_DEPTH, NEAR_LOWEST = 0.45, 0.25
"""How low its pixels lie in the mean, of the height, and how far above the lowest colour."""

HEAD_ABOVE, SEAM = 0.45, 0.15
"""So far above that mean, of the person's height, everything stays as it is, and from there on the
cloth sets in: dark hair over a dark coat is hair."""

WIDTH = 16.0
"""How far in Lab (0..255 each) a pixel is from a colour and still half of it."""

LAB_WEIGHTS = np.array([0.5, 1.5, 1.5], np.float32)
"""Of squared differences: folds change light more than colour."""

LIGHT = np.array([1, 0, 0], np.float32)

PATTERN_SHARE = 0.5
"""How often cloth has a pattern, and is not of one colour."""


def dress_anew(rng: Rng, rgb: UInt8, alpha: UInt8, box: Box, pattern: UInt8) -> UInt8:
    """The same person in other clothes.

    Args:
        rng: draws colours and how the pattern lies.
        rgb: colours of a cut-out person [h,w,3].
        alpha: [h,w].
        box: left, top, right, bottom of the person, pixels.
        pattern: any picture; a piece of it may be the cloth's pattern.

    Returns:
        [h,w,3]; the same array where no colour is that of clothes.
    """
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    found = _colour_of_clothes(rng, lab, alpha, box)
    if found is None:
        return rgb
    worn, depth = found
    distance = ((lab - worn) ** 2 * LAB_WEIGHTS).sum(-1)
    below = (_depth(np.arange(len(lab)), box) - (depth - HEAD_ABOVE)) / SEAM
    share = np.exp2(-distance / WIDTH**2) * below.clip(0, 1).astype(np.float32)[:, None]
    share = cv2.GaussianBlur(share, (0, 0), 1.0)[..., None]
    target = rng.uniform([25, 95, 95], [230, 165, 165]).astype(np.float32)
    cloth = np.broadcast_to(target, lab.shape)
    if rng.random() < PATTERN_SHARE:
        cloth = _patterned(rng, pattern, lab.shape[:2], target)
    folds = (lab[..., :1] - worn[0]) * np.float32(rng.uniform(0.6, 1.2))
    new = cloth + folds * LIGHT
    mixed = (lab + share * (new - lab)).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(mixed, cv2.COLOR_LAB2RGB), np.uint8)


def _colour_of_clothes(
    rng: Rng, lab: Float32, alpha: UInt8, box: Box
) -> tuple[Float32, float] | None:
    """One of the colours [3] that lie low and cover enough of a person, and its mean depth."""
    rows, columns = np.nonzero(alpha > 200)
    if rows.size < 10 * COLOURS:
        return None
    chosen = rng.integers(rows.size, size=SAMPLES)
    colours = np.ascontiguousarray(lab[rows[chosen], columns[chosen]])
    cv2.setRNGSeed(int(rng.integers(2**31 - 1)))
    stop = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 8, 2.0)
    first = np.empty((0, 0), np.int32)
    _, kinds, means = cv2.kmeans(colours, COLOURS, first, stop, 1, cv2.KMEANS_PP_CENTERS)
    depth = _depth(rows[chosen], box)
    large = [k for k in range(COLOURS) if (kinds[:, 0] == k).mean() >= LEAST_SHARE]
    depths = {k: float(depth[kinds[:, 0] == k].mean()) for k in large}
    low = [k for k in large if depths[k] >= max(LEAST_DEPTH, max(depths.values()) - NEAR_LOWEST)]
    if not low:
        return None
    worn = low[int(rng.integers(len(low)))]
    return np.asarray(means[worn], np.float32), depths[worn]


def _depth(rows: npt.NDArray[np.int64], box: Box) -> npt.NDArray[np.float64]:
    """0 at the top of a person, 1 at the lower end."""
    return np.asarray((rows - box[1]) / max(1, box[3] - box[1]), np.float64)


def _patterned(rng: Rng, picture: UInt8, shape: tuple[int, int], target: Float32) -> Float32:
    """Cloth [h,w,3] in Lab of about a colour: a piece of a picture, repeated as mirror images."""
    side = int(rng.integers(24, max(25, min(picture.shape[:2]) // 2)))
    top, left = (int(rng.integers(0, n - side + 1)) for n in picture.shape[:2])
    size = int(np.exp(rng.uniform(np.log(12), np.log(200))))
    piece = cv2.resize(
        picture[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA
    )
    lab = cv2.cvtColor(piece, cv2.COLOR_RGB2LAB).astype(np.float32)
    tall, wide = (-(-n // size) for n in shape)
    tiled = cv2.copyMakeBorder(lab, 0, (tall - 1) * size, 0, (wide - 1) * size, cv2.BORDER_REFLECT)[
        : shape[0], : shape[1]
    ]
    contrast = np.float32(rng.uniform(0.5, 1.5))
    return np.asarray(target + (tiled - lab.reshape(-1, 3).mean(0)) * contrast, np.float32)
