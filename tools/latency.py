"""Time compact networks and their way to full size against the reference, all in one run.

    python tools/latency.py models/compact.onnx models/compact-quality-int8.onnx \\
        --reference rvm.onnx --json latency.json

Every round runs each candidate once on the same 1080p frame, so a busy machine slows all of them
alike. The reference gets planar float RGB, ratio 0.25, all threads, and yields alpha; ours gets the
I420 frame and as many threads as the engine gives it, and yields 8-bit alpha, resize, guided filter
and refinement included. ``--mirrored`` times the mirror image as well (`rvm.matting.mirror`).
Medians of wall time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort

from rvm.device import choose_threads
from rvm.evaluation.candidates import Float32, open_session
from rvm.frame import YUV420P, Frame
from rvm.matting.contracts.compact import compact_size
from rvm.matting.guide import guided_coefficients
from rvm.matting.mirror import mean_of_planes, put_mirror_image
from rvm.matting.picture import write_picture
from rvm.matting.refine import Scratch, guided_alpha, luma_guide
from rvm.threads import thread_shares

WIDTH, HEIGHT = 1920, 1080
SIDES = (640, 512, 416, 352)


def reference_step(path: Path, threads: int) -> Callable[[], object]:
    """One frame of the reference with its state carried."""
    session = open_session(path, threads)
    src = np.random.default_rng(0).random((1, 3, HEIGHT, WIDTH), np.float32)
    state = [np.zeros((1, 1, 1, 1), np.float32)] * 4

    def step() -> object:
        feeds = {f"r{i + 1}i": s for i, s in enumerate(state)}
        ratio = np.array([0.25], np.float32)
        _, pha, *state[:] = session.run(None, {"src": src, "downsample_ratio": ratio, **feeds})
        return pha

    return step


def noise_frame() -> Frame:
    """An I420 frame on which nothing can be saved."""
    rng = np.random.default_rng(0)
    shapes = YUV420P.plane_shapes(WIDTH, HEIGHT)
    planes = tuple(rng.integers(16, 236, shape, dtype=np.uint8) for shape in shapes)
    return Frame(planes, YUV420P, WIDTH, HEIGHT)


def compact_step(
    path: Path, side: int, threads: int, *, mirrored: bool = False
) -> tuple[Callable[[], object], ...]:
    """(network alone, frame to alpha) of the compact network at one long side."""
    session = open_session(path, threads)
    frame = noise_frame()
    guide, scratch = luma_guide(frame), Scratch()
    width, height = compact_size(WIDTH, HEIGHT, None, side)
    names = ["matte_planes", "fgr_residual", "r1o", "r2o", "r3o", "r4o"]
    state = [np.zeros((1, 1, 1, 1), np.float32)] * 4
    src = np.empty((1 + mirrored, 3, height, width), np.float32)

    def look() -> None:
        write_picture(frame, src[0])
        if mirrored:
            put_mirror_image(src)

    def network() -> tuple[Float32, Float32]:
        feeds = {f"r{i + 1}i": s for i, s in enumerate(state)}
        planes, _, *state[:] = session.run(names, {"src_small": src, **feeds})
        return guided_coefficients(src[0], mean_of_planes(planes)[0] if mirrored else planes[0])

    def whole() -> object:
        look()
        scale, offset = network()
        return guided_alpha(guide, scale, offset, scratch)

    look()
    return network, whole


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("models", type=Path, nargs="+", help="files of the lean form")
    parser.add_argument(
        "--mirrored",
        type=Path,
        nargs="+",
        default=[],
        help="those to be timed with the mirror image, too",
    )
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2, help="of the reference")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    ort.set_default_logger_severity(3)
    cv2.setNumThreads(thread_shares().opencv)
    light = choose_threads(None, light=True)
    steps = {"reference": reference_step(args.reference, args.threads)}
    for model in args.models:
        for side in SIDES:
            for mirrored in (False, True) if model in args.mirrored else (False,):
                network, whole = compact_step(model, side, light, mirrored=mirrored)
                name = f"{model.stem} {side}{' mirrored' if mirrored else ''}"
                steps[f"{name}: network"] = network
                steps[f"{name}: frame to alpha"] = whole
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(args.rounds + 2):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            times[name].append((time.perf_counter() - started) * 1e3)
    medians = {name: statistics.median(values[2:]) for name, values in times.items()}
    for name, ms in medians.items():
        print(f"{name:30s} {ms:7.1f} ms  reference / this {medians['reference'] / ms:5.1f}")
    if args.json:
        args.json.write_text(json.dumps(medians, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
