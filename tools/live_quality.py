"""What live quality control costs in quality, measured on clips.

    python tools/live_quality.py CLIP... [--frames 120] [--sheet DIR]

For each clip, all in mean absolute difference of alpha codes (0..255), mean/95th percentile over
frames:

* frame to frame: how much the full matte changes by itself, to compare with;
* held, moved: a frame without the network, by showing the last matte again and by moving it along,
  against the full matte of that frame, where the frame before had the full one;
* still: frames that were found to show nothing new, against the full matte;
* size: how much the matte jumps where the network's picture changes its size, with its memory
  resampled and with memory dropped.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from rvm.frame import Matte
from rvm.matting import load_engine
from rvm.matting.motion import MotionEstimator, thumbnail
from rvm.matting.refine import Scratch
from rvm.matting.reuse import fitted
from rvm.matting.thrift import ThriftyMatter
from rvm.sources import open_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.frame import ByteImage, Frame
    from rvm.matting.base import Engine

#: The network's memory needs some frames to fill.
_FILL_FRAMES = 30


def main() -> None:
    """Print one line a measurement."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--model", default=None)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--sheet", type=Path, help="folder for full | moved | difference pictures")
    options = parser.parse_args()
    engine = load_engine(options.model)
    for clip in options.clips:
        frames = read(clip, options.frames)
        full, states = run(engine, frames)
        steps = [
            mad(one, other) for one, other in zip(full[_FILL_FRAMES:], full[29:], strict=False)
        ]
        print(f"{clip.name} {frames[0].width}x{frames[0].height}: frame to frame {summary(steps)}")
        print(f"  {reuse(engine, frames, full, states, options.sheet, clip.stem)}")
        print(f"  still {still(engine, frames, full)}")
        for line in sizes(engine, frames):
            print(f"  {line}")


def read(clip: Path, count: int) -> list[Frame]:
    """The first frames of a clip."""
    with open_source(clip) as source:
        return [frame for frame, _ in zip(source, range(count), strict=False)]


def run(engine: Engine, frames: Sequence[Frame]) -> tuple[list[ByteImage], list[Any]]:
    """Every frame's matte and the state after it."""
    mattes, states, state = [], [], None
    for frame in frames:
        matte, state = engine.step(frame, state)
        mattes.append(matte.alpha)
        states.append(state)
    return mattes, states


def reuse(
    engine: Engine, frames: Sequence[Frame], full: Sequence[ByteImage], states: Sequence[Any],
    sheet: Path | None, name: str,
) -> str:  # fmt: skip
    """One and two frames without the network, held and moved along."""
    estimator, scratch = MotionEstimator(), Scratch()
    errors: dict[str, list[float]] = {}
    worst: tuple[float, npt.NDArray[Any]] = (-1.0, np.empty(0))
    for at in range(_FILL_FRAMES, len(frames) - 2, 3):
        found = engine.coefficients(states[at]) or fitted(frames[at], Matte(full[at]))
        for gap in (1, 2):
            now = frames[at + gap]
            sources = estimator.sources(thumbnail(frames[at]), thumbnail(now))
            moved = found.moved(sources).on(now, scratch).alpha
            error = mad(moved, full[at + gap])
            errors.setdefault(f"held {gap}", []).append(mad(full[at], full[at + gap]))
            errors.setdefault(f"moved {gap}", []).append(error)
            if sheet is not None and error > worst[0]:
                worst = (error, picture(now, full[at + gap], moved))
    if sheet is not None:
        import cv2

        sheet.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(sheet / f"{name}.png"), worst[1][..., ::-1])
    return "  ".join(f"{kind} {summary(values)}" for kind, values in errors.items())


def picture(frame: Frame, full: ByteImage, moved: ByteImage) -> npt.NDArray[np.uint8]:
    """Full, moved and their difference side by side, before green."""
    from rvm.colour.rgb import to_srgb8

    rgb = to_srgb8(frame).astype(np.float32)
    green = np.array([0, 177, 64], np.float32)
    parts = [
        green + (rgb - green) * (alpha[:, :, None] / np.float32(255)) for alpha in (full, moved)
    ]
    gap = np.abs(full.astype(np.float32) - moved)
    return np.hstack([*parts, np.dstack([gap] * 3)]).astype(np.uint8)


def still(engine: Engine, frames: Sequence[Frame], full: Sequence[ByteImage]) -> str:
    """Frames that the live matter takes for still, against the full matte."""
    matter = ThriftyMatter(engine=engine)
    errors = []
    for frame, expected in zip(frames, full, strict=True):
        alpha = matter.step(frame).alpha
        if matter.last_step == "still":
            errors.append(mad(alpha, expected))
    return f"{len(errors)} of {len(frames)} frames: {summary(errors)}"


def sizes(engine: Engine, frames: Sequence[Frame]) -> list[str]:
    """The jump of the matte at a change of the network's size."""
    lines = []
    at = len(frames) // 2
    for before, after in zip(engine.scales, engine.scales[1:], strict=False):
        jumps = {}
        for kind in ("resampled", "dropped"):
            engine.rescale(before)
            mattes, states = run(engine, frames[:at])
            engine.rescale(after)
            matte, _ = engine.step(frames[at], states[-1] if kind == "resampled" else None)
            jumps[kind] = mad(matte.alpha, mattes[-1])
        text = "  ".join(f"{kind} {value:.2f}" for kind, value in jumps.items())
        lines.append(f"size {before:.0%} to {after:.0%}: jump with memory {text}")
    engine.rescale(engine.scales[0])
    return lines


def mad(one: ByteImage, other: ByteImage) -> float:
    """Mean absolute difference of two mattes in codes."""
    return float(np.mean(np.abs(one.astype(np.int16) - other)))


def summary(values: Sequence[float]) -> str:
    """`mean/95th percentile`."""
    return f"{np.mean(values):.2f}/{np.percentile(values, 95):.2f}" if values else "-"


if __name__ == "__main__":
    main()
