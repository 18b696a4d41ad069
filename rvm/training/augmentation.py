"""Cheap changes to uint8 RGB pictures that a camera, a room or a codec could have made.

Every function takes the random generator first and works on a sequence [T,h,w,3]; what it draws,
it draws once for the whole sequence, except noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True)
class Placement:
    """Where a picture lands on the target: a similarity with slight stretch."""

    x: float
    """Target x of the anchor, pixels."""
    y: float
    scale_x: float
    scale_y: float
    angle: float
    """Degrees."""

    def matrix(self, anchor: tuple[float, float]) -> npt.NDArray[np.float64]:
        """2x3 affine from source to target pixels; ``anchor`` in source pixels."""
        radians = np.deg2rad(self.angle)
        c, s = np.cos(radians), np.sin(radians)
        linear = np.array(
            [[c * self.scale_x, -s * self.scale_y], [s * self.scale_x, c * self.scale_y]]
        )
        offset = np.array([self.x, self.y]) - linear @ np.array(anchor)
        return np.hstack([linear, offset[:, None]])


def motion(rng: Rng, start: Placement, frames: int, strength: float) -> list[Placement]:
    """``frames`` placements that drift from ``start``; ``strength`` in target pixels a frame."""
    if frames == 1 or rng.random() < 0.35:
        return [start] * frames
    dx, dy = rng.normal(0, strength, 2)
    zoom = 1 + rng.normal(0, 0.006)
    turn = rng.normal(0, 0.5)
    ease = np.cumsum(np.abs(1 + rng.normal(0, 0.5, frames)))
    return [
        Placement(
            start.x + dx * t,
            start.y + dy * t,
            start.scale_x * zoom**t,
            start.scale_y * zoom**t,
            start.angle + turn * t,
        )
        for t in ease
    ]


def warp(
    picture: UInt8,
    placements: list[Placement],
    anchor: tuple[float, float],
    size: tuple[int, int],
    border: int,
) -> UInt8:
    """One picture [h,w,c] or [h,w] at each placement -> [T,height,width(,c)]; ``size`` is (w,h)."""
    smallest = min(min(p.scale_x, p.scale_y) for p in placements)
    shrink = 1.0
    if smallest < 0.7:
        shrink = max(smallest * 1.3, 4 / min(picture.shape[:2]))
        small = (round(picture.shape[1] * shrink), round(picture.shape[0] * shrink))
        picture = np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
    results = []
    for placement in placements:
        matrix = placement.matrix(anchor)
        matrix[:, :2] /= shrink
        results.append(
            cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border)
        )
    return np.asarray(np.stack(results), np.uint8)


def exposure(
    rng: Rng, path: list[Placement], most: float, moments: int = 9
) -> list[list[Placement]]:
    """Where something that moves fast is while the shutter is open: ``moments`` places a frame.

    The motion is one straight line in a direction of its own, up to ``most`` target pixels long,
    around each place of ``path``.
    """
    reach, turn = rng.uniform(0.3, 1.0) * most, rng.uniform(0, 2 * np.pi)
    dx, dy = reach * np.cos(turn), 0.6 * reach * np.sin(turn)
    shares = np.linspace(-0.5, 0.5, moments)
    return [[replace(p, x=p.x + dx * s, y=p.y + dy * s) for s in shares] for p in path]


def smeared(alpha: UInt8, fgr: UInt8) -> tuple[UInt8, UInt8]:
    """What a sensor adds up: [N,h,w] and [N,h,w,3] of one exposure -> [h,w], [h,w,3].

    Colour is averaged by how much of the person each moment shows (premultiplied); where none of
    them does, it is the plain mean.
    """
    shown = alpha.astype(np.float32)
    total = shown.sum(0)
    colour = (fgr * shown[..., None]).sum(0) / np.maximum(total, 1)[..., None]
    colour = np.where(total[..., None] >= 1, colour, fgr.mean(0))
    mean = total / len(alpha)
    return np.rint(mean).astype(np.uint8), np.rint(colour).astype(np.uint8)


def tone(rng: Rng, strength: float) -> Float32:
    """A random tone curve with colour cast: lookup table [256,3], 0..255."""
    x = np.linspace(0, 1, 256, dtype=np.float32)[:, None]
    gamma = np.exp(rng.normal(0, 0.3 * strength))
    gain = np.exp(rng.normal(0, 0.18 * strength)) * np.exp(rng.normal(0, 0.07 * strength, 3))
    contrast = np.exp(rng.normal(0, 0.15 * strength))
    lift = rng.normal(0, 0.04 * strength)
    y = ((x**gamma * gain) - 0.5) * contrast + 0.5 + lift
    return np.asarray(y.clip(0, 1) * 255, np.float32)


def apply_tone(frames: UInt8, table: Float32) -> UInt8:
    """Every pixel through a [256,3] table."""
    lut = np.rint(table).astype(np.uint8)[None]
    flat = frames.reshape(-1, frames.shape[-2], 3)
    return np.asarray(cv2.LUT(flat, lut), np.uint8).reshape(frames.shape)


def saturate(frames: UInt8, amount: float) -> UInt8:
    """0 makes gray, 1 leaves as it is, above 1 deepens colour."""
    flat = frames.reshape(-1, frames.shape[-2], 3)
    gray = cv2.cvtColor(cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    mixed = cv2.addWeighted(flat, amount, gray, 1 - amount, 0)
    return np.asarray(mixed, np.uint8).reshape(frames.shape)


def low_light(rng: Rng, frames: UInt8) -> UInt8:
    """Dark picture with sensor noise that the gain brought up."""
    gain = rng.uniform(0.15, 0.6)
    return add_noise(rng, np.asarray(cv2.convertScaleAbs(frames, alpha=gain)), rng.uniform(2, 9))


def add_noise(rng: Rng, frames: UInt8, sigma: float) -> UInt8:
    """Gaussian noise of ``sigma`` steps of 255, coarse or fine grain, new in every frame."""
    count, height, width, _ = frames.shape
    grain = int(rng.integers(1, 3))
    result = np.empty_like(frames)
    for t in range(count):
        noise = np.zeros((height // grain + 1, width // grain + 1, 3), np.int16)
        cv2.setRNGSeed(int(rng.integers(1 << 30)))
        cv2.randn(noise, np.zeros(3), np.full(3, sigma))
        if grain > 1:
            noise = cv2.resize(noise, None, fx=grain, fy=grain, interpolation=cv2.INTER_NEAREST)
        noisy = cv2.add(frames[t], noise[:height, :width], dtype=cv2.CV_8U)
        result[t] = noisy
    return result


def blur(rng: Rng, frames: UInt8, most: float) -> UInt8:
    """Gaussian blur with a sigma up to ``most`` pixels."""
    sigma = rng.uniform(0.3, most)
    return np.stack([cv2.GaussianBlur(f, (0, 0), sigma) for f in frames]).astype(np.uint8)


def compress(rng: Rng, frames: UInt8) -> UInt8:
    """There and back through JPEG."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 85))]
    packed = [cv2.imencode(".jpg", f, quality)[1] for f in frames]
    return np.stack([np.asarray(cv2.imdecode(p, cv2.IMREAD_COLOR), np.uint8) for p in packed])


def backlight(rng: Rng, frames: UInt8) -> UInt8:
    """A soft bright spot somewhere, as from a window."""
    height, width = frames.shape[1:3]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    cx, cy, radius = rng.uniform(0, width), rng.uniform(0, height * 0.7), rng.uniform(0.2, 0.6)
    fall = np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / (radius * width) ** 2))
    glow = (fall * rng.uniform(60, 200)).astype(np.uint8)[:, :, None].repeat(3, 2)
    return np.stack([cv2.add(f, glow) for f in frames]).astype(np.uint8)


def texture(rng: Rng, size: tuple[int, int]) -> UInt8:
    """A made-up background (w,h): smooth colour fields, stripes or boxes."""
    width, height = size
    cells = (int(rng.integers(2, 12)), int(rng.integers(2, 12)), 3)
    low = rng.integers(0, 256, cells, dtype=np.uint8)
    mode = cv2.INTER_NEAREST if rng.random() < 0.3 else cv2.INTER_CUBIC
    picture = np.asarray(cv2.resize(low, size, interpolation=mode), np.uint8)
    for _ in range(int(rng.integers(0, 8))):
        corner = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        other = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        if rng.random() < 0.6:
            cv2.rectangle(picture, corner, other, colour, -1)
        else:
            cv2.line(picture, corner, other, colour, int(rng.integers(1, 12)))
    return picture


def camera(rng: Rng, frames: UInt8) -> UInt8:
    """What a finished scene goes through on its way: light, lens, sensor, codec."""
    if rng.random() < 0.6:
        frames = apply_tone(frames, tone(rng, 1.0))
    if rng.random() < 0.3:
        frames = saturate(frames, rng.uniform(0.0, 1.6))
    if rng.random() < 0.12:
        frames = low_light(rng, frames)
    if rng.random() < 0.2:
        frames = blur(rng, frames, 1.3)
    if rng.random() < 0.3:
        frames = add_noise(rng, frames, rng.uniform(1, 10))
    if rng.random() < 0.25:
        frames = compress(rng, frames)
    return frames
