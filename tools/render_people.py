"""Render rigged avatars in many poses and views: cut-out people whose alpha is exact.

    python -m venv BPY && BPY/bin/pip install bpy meshoptimizer opencv-python-headless
    BPY/bin/python -m tools.render_people AVATARS --panoramas DIR --out EXTRA/rendered

``AVATARS`` is a tree of .glb files with the skeleton of c-frame/valid-avatars-glb (MIT): bones
named Hips, Spine, LeftArm and so on, resting in a T with the palms down. ``DIR`` holds .hdr
panoramas that light them. Blender comes as the wheel ``bpy``, which is no dependency of the
project: give it an environment of its own. Of the compressed meshes only ``meshoptimizer`` knows.

    EXTRA/rendered/<avatar>-<take>.png    RGBA, 8 bits, straight colour; long side 448 px at most

Whoever is cut off is so by the lower edge alone; elsewhere there is a margin. Under alpha 0 lies
the colour of the nearest pixel of the person, so that scaling draws no dark fringe. A picture
hangs on the seed, the avatar's name and the take alone; a run that was cut off goes on where it
stopped. The trainer reads the folder as part of ``--extra``.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tools.people import stage
from tools.people.colour import develop
from tools.people.poses import draw_pose
from tools.people.views import draw_view

Rng = np.random.Generator

WHITE = (1.5, 6.0)
"""Scene luminance that becomes white."""


def generator(*key: object) -> Rng:
    """Randomness that hangs on the key alone."""
    digest = hashlib.sha256(":".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def render_avatar(
    scene: Any, path: Path, targets: dict[int, Path], panoramas: list[Path], seed: int
) -> None:
    """Render the takes of one avatar: take number -> where its picture goes."""
    armature = stage.load_avatar(path)
    rest = stage.rest_of(armature)
    for take, target in targets.items():
        rng = generator(seed, path.stem, take)
        stage.clear_stage(scene)
        stage.take_pose(armature, rest, draw_pose(rng))
        alpha = stage.aim(scene, armature, stage.surface(armature), draw_view(rng))
        stage.light(scene, rng, panoramas)
        picture = develop(stage.shoot(scene), alpha, rng.uniform(*WHITE))
        unfinished = target.with_suffix(".part")
        unfinished.write_bytes(cv2.imencode(".png", picture[..., [2, 1, 0, 3]])[1].tobytes())
        unfinished.replace(target)


def main() -> None:
    """Parse the command line, render what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("avatars", type=Path, help="folder of .glb files, searched in depth")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--panoramas", type=Path, help="folder of .hdr files")
    parser.add_argument("--each", type=int, default=3, help="pictures of every avatar")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=int, default=0, help="avatars at most; 0 is all")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop after this long")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    panoramas = sorted(args.panoramas.glob("*.hdr")) if args.panoramas else []
    # Not in the order of the names: a run that is cut off has seen every kind of person.
    avatars = sorted(args.avatars.rglob("*.glb"), key=lambda p: generator(p.stem).random())
    scene = stage.empty_scene()
    deadline = time.monotonic() + args.minutes * 60
    for path in avatars[: args.limit or None]:
        targets = {take: args.out / f"{path.stem}-{take}.png" for take in range(args.each)}
        missing = {take: target for take, target in targets.items() if not target.exists()}
        if time.monotonic() > deadline:
            break
        if missing:
            render_avatar(scene, path, missing, panoramas, args.seed)


if __name__ == "__main__":
    main()
