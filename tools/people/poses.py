"""Poses: rotations in the axes of the resting T: x to the person's left, y to the back, z up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

Rng = np.random.Generator
Float64 = npt.NDArray[np.float64]

SIDES = (("Left", 1), ("Right", -1))
FINGERS = ("Index", "Middle", "Ring", "Pinky")


def turn(axis: tuple[float, float, float], degrees: float) -> Float64:
    """Right-handed rotation [3,3] about a unit axis."""
    return np.asarray(cv2.Rodrigues(np.array(axis) * np.radians(degrees))[0], np.float64)


def about_x(degrees: float) -> Float64:
    """Forwards for what points up, backwards for what points down."""
    return turn((1, 0, 0), degrees)


def about_y(degrees: float) -> Float64:
    """Up becomes left."""
    return turn((0, 1, 0), degrees)


def about_z(degrees: float) -> Float64:
    """Front becomes left, where the person turns."""
    return turn((0, 0, 1), degrees)


@dataclass(frozen=True)
class Arm:
    """How one arm is held; degrees, the same for left and right."""

    raised: float
    """Upper arm from hanging (0) to upright (180)."""
    forward: float
    """Where it is raised to: 0 sideways, 90 forwards, below 0 backwards."""
    elbow: float
    """0 straight to 145."""
    inward: float = 0.0
    """Turn of the upper arm; with a bent elbow above 0 brings the hand to the body's middle."""
    pronation: float = 0.0
    """0 palm as it hangs, 90 down when typing."""


@dataclass
class Pose:
    """Bone name -> rotation relative to the resting pose, carried along with the parent bone."""

    bones: dict[str, Float64] = field(default_factory=dict)

    def arm(self, name: str, side: int, arm: Arm) -> None:
        """Hold the arm ``name`` ("Left" or "Right", ``side`` 1 or -1)."""
        towards = np.radians(arm.forward)
        lift = turn((-np.sin(towards), -side * np.cos(towards), 0.0), arm.raised)
        self.bones[f"{name}Arm"] = lift @ about_y(90 * side) @ about_x(arm.inward)
        half = about_x(arm.pronation / 2)
        self.bones[f"{name}ForeArm"] = about_z(-side * arm.elbow) @ half
        self.bones[f"{name}Hand"] = half

    def leg(self, name: str, side: int, lift: float, knee: float, apart: float) -> None:
        """Thigh ``lift`` forwards, ``knee`` bent, thigh ``apart`` sideways; degrees."""
        self.bones[f"{name}UpLeg"] = about_y(-side * apart) @ about_x(-lift)
        self.bones[f"{name}Leg"] = about_x(knee)

    def torso(self, hips: float, spine: float, aside: float, twist: float) -> None:
        """Bend forwards at the hips and along the spine, lean ``aside``, ``twist``; degrees."""
        self.bones["Hips"] = about_x(hips)
        third = about_z(twist / 3) @ about_y(aside / 3) @ about_x(spine / 3)
        for bone in ("Spine", "Spine1", "Spine2"):
            self.bones[bone] = third


def relaxed(rng: Rng) -> Arm:
    """Hanging, more or less."""
    return Arm(rng.uniform(6, 24), rng.uniform(-10, 70), rng.uniform(4, 40), rng.uniform(0, 30))


def on_hip(rng: Rng) -> Arm:
    """A hand on the hip: a hole between arm and body."""
    return Arm(rng.uniform(38, 52), rng.uniform(-30, -5), rng.uniform(88, 108), rng.uniform(55, 75))


def waving(rng: Rng) -> Arm:
    """Hand up beside the head."""
    return Arm(
        rng.uniform(60, 105), rng.uniform(0, 40), rng.uniform(50, 115), rng.uniform(-95, -60)
    )


def upright(rng: Rng) -> Arm:
    """Arm stretched up."""
    return Arm(rng.uniform(130, 172), rng.uniform(0, 60), rng.uniform(5, 50), rng.uniform(-40, 20))


def calling(rng: Rng) -> Arm:
    """Hand at the ear."""
    forward = rng.uniform(22, 75)  # the further forwards the elbow, the less it turns out
    return Arm(rng.uniform(84, 98), forward, rng.uniform(131, 137), 1.1 * forward - 74)


def reaching(rng: Rng) -> Arm:
    """Pointing or holding something out."""
    return Arm(rng.uniform(50, 100), rng.uniform(40, 100), rng.uniform(0, 45), rng.uniform(-20, 20))


def stretched(rng: Rng) -> Arm:
    """Straight out, sideways or forwards: thin, and far from the body."""
    forward = rng.uniform(-10, 100)
    return Arm(rng.uniform(60, 110), forward, rng.uniform(0, 18), rng.uniform(-25, 25))


def typing(rng: Rng) -> Arm:
    """Forearms level, palms down."""
    return Arm(
        rng.uniform(12, 34), rng.uniform(70, 90), rng.uniform(62, 92), rng.uniform(5, 28),
        rng.uniform(50, 85),
    )  # fmt: skip


def crossed(rng: Rng) -> Arm:
    """One of two arms folded before the chest."""
    return Arm(
        rng.uniform(26, 36), rng.uniform(55, 75), rng.uniform(92, 106), rng.uniform(62, 76),
        rng.uniform(0, 30),
    )  # fmt: skip


PAIRED: tuple[Callable[[Rng], Arm], ...] = (typing, crossed, upright, on_hip, stretched)
SINGLE: tuple[Callable[[Rng], Arm], ...] = (
    relaxed, relaxed, relaxed, waving, upright, calling, reaching, stretched, stretched, on_hip,
)  # fmt: skip


def hold_arms(rng: Rng, pose: Pose) -> None:
    """Both arms alike at times, each by itself at others."""
    both = PAIRED[int(rng.integers(len(PAIRED)))] if rng.random() < 0.35 else None
    for name, side in SIDES:
        gesture = both or SINGLE[int(rng.integers(len(SINGLE)))]
        pose.arm(name, side, gesture(rng))


def standing(rng: Rng, pose: Pose) -> None:
    """Upright, legs closed or apart."""
    pose.torso(rng.uniform(-3, 6), rng.uniform(-6, 16), rng.normal(0, 5), rng.normal(0, 12))
    apart = rng.uniform(0, 14)
    for name, side in SIDES:
        knee = rng.uniform(0, 14)
        pose.leg(name, side, knee / 2 + rng.normal(0, 3), knee, apart + rng.normal(0, 1.5))
    hold_arms(rng, pose)


def walking(rng: Rng, pose: Pose) -> None:
    """In mid-stride, arms swinging against the legs or busy."""
    pose.torso(rng.uniform(0, 8), rng.uniform(0, 8), 0.0, rng.normal(0, 8))
    ahead, stride = int(rng.choice([-1, 1])), rng.uniform(14, 36)
    hold_arms(rng, pose)
    swinging = rng.random() < 0.6
    for name, side in SIDES:
        if side == ahead:
            pose.leg(name, side, stride, rng.uniform(3, 25), 2.0)
        else:
            pose.leg(name, side, -stride * rng.uniform(0.4, 0.8), rng.uniform(8, 55), 2.0)
        if swinging:
            swing = rng.uniform(12, 38)
            pose.arm(name, side, Arm(swing, 75 if side != ahead else -75, rng.uniform(10, 60)))


def bending(rng: Rng, pose: Pose) -> None:
    """Down to the ground or a table, arms hanging or reaching."""
    hips, spine, bent = rng.uniform(25, 75), rng.uniform(20, 55), rng.uniform(0, 55)
    pose.torso(hips, spine, rng.normal(0, 8), rng.normal(0, 12))
    for name, side in SIDES:
        knee = max(0.0, bent + rng.normal(0, 8))
        pose.leg(name, side, hips + knee / 2, knee, rng.uniform(2, 14))
        hang = max(15.0, hips + spine + rng.uniform(-30, 20))
        pose.arm(name, side, Arm(hang, rng.uniform(70, 95), rng.uniform(3, 45), 10.0))
    if rng.random() < 0.25:
        pose.arm("Left", 1, on_hip(rng))


def crouching(rng: Rng, pose: Pose) -> None:
    """On the heels, arms before the knees."""
    hips = rng.uniform(10, 35)
    pose.torso(hips, rng.uniform(10, 40), rng.normal(0, 6), rng.normal(0, 10))
    for name, side in SIDES:
        pose.leg(name, side, hips + rng.uniform(75, 105), rng.uniform(105, 135), rng.uniform(8, 26))
        pose.bones[f"{name}Foot"] = about_x(-rng.uniform(5, 25))
        pose.arm(name, side, Arm(rng.uniform(35, 75), rng.uniform(60, 90), rng.uniform(10, 70), 15))


def sitting(rng: Rng, pose: Pose) -> None:
    """On an unseen chair."""
    hips = rng.uniform(-12, 18)
    pose.torso(hips, rng.uniform(-4, 24), rng.normal(0, 5), rng.normal(0, 10))
    for name, side in SIDES:
        lift = hips + rng.uniform(74, 92)
        pose.leg(name, side, lift, rng.uniform(60, 105), rng.uniform(2, 20))
    hold_arms(rng, pose)
    if rng.random() < 0.4:  # hands on the thighs
        for name, side in SIDES:
            pose.arm(
                name,
                side,
                Arm(rng.uniform(14, 30), 80, rng.uniform(40, 62), rng.uniform(0, 25), 60),
            )


STANCES: tuple[tuple[Callable[[Rng, Pose], None], float], ...] = (
    (standing, 0.30), (walking, 0.20), (bending, 0.20), (crouching, 0.10), (sitting, 0.20),
)  # fmt: skip


def draw_pose(rng: Rng) -> Pose:
    """A whole body, down to the fingers."""
    pose = Pose()
    stance = int(rng.choice(len(STANCES), p=[share for _, share in STANCES]))
    STANCES[stance][0](rng, pose)
    look = about_z(rng.normal(0, 16)) @ about_x(rng.normal(3, 9)) @ about_y(rng.normal(0, 5))
    pose.bones["Neck"] = pose.bones["Head"] = look
    for name, side in SIDES:
        curl = rng.uniform(4, 42)
        for finger in FINGERS:
            for joint in "123":
                pose.bones[f"{name}Hand{finger}{joint}"] = about_y(side * curl)
    return pose
