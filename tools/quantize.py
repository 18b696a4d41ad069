"""Make the 8-bit twin of a compact network, as 8-bit as its accuracy allows.

    RVM_TRAIN_DATA=DIR python tools/quantize.py models/compact-quality.onnx --cache CACHE \\
        --also 512 --out models/compact-quality-int8.onnx --manifest models/manifest.toml \\
        --json models/compact-quantized.json

Ranges come from the training clips, on pictures of every side that is named. All convolutions of
`PARTS` are quantised first; as long as the held-back composites lose more than ``--loss`` of their
mean absolute difference, the part whose return to floating point helps most goes back.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from rvm.evaluation import sets
from rvm.evaluation.candidates import Compact, planar
from rvm.evaluation.metrics import mad
from rvm.matting.contracts.compact import compact_size
from rvm.network.manifest_entry import entry, put_entries
from rvm.training.int8 import PARTS, Feeds, chosen_nodes, quantise, record_feeds
from rvm.training.material import Clip, Material

CALIBRATION_FRAMES = 4
CALIBRATION_STRIDE = 9
JUDGED_COMPOSITES = 24
JUDGED_FRAMES = 4


def small_frames(clip: Clip, side: int) -> Iterator[npt.NDArray[np.float32]]:
    """A few frames of a clip as the network sees them."""
    height, width = clip.rgb.shape[1:3]
    size = compact_size(width, height, None, side)
    for index in range(0, len(clip.rgb), CALIBRATION_STRIDE)[:CALIBRATION_FRAMES]:
        small = cv2.resize(clip.rgb[index], size, interpolation=cv2.INTER_AREA)
        yield planar(np.asarray(small, np.uint8))


def mean_difference(model: Path, examples: list[sets.Example], side: int) -> float:
    """MAD x 1e3 over the first frames of every example."""
    runner = Compact(model, side, threads=1)
    values = []
    for example in examples:
        runner.reset()
        for rgb, true in zip(example.rgb, example.alpha, strict=True):
            values.append(mad(runner.matte(rgb), true.astype(np.float32) / 255))
    return float(np.mean(values))


def search(
    model: Path, out: Path, feeds: list[Feeds], examples: list[sets.Example], side: int, loss: float
) -> dict[str, object]:
    """Quantise, and give parts back until the loss is allowed; returns what was measured."""
    float_mad = mean_difference(model, examples, side)
    parts = [part for part in PARTS if chosen_nodes(model, [part])]
    quantise(model, out, feeds, parts)
    now = mean_difference(out, examples, side)
    steps = [{"parts": list(parts), "mad": now}]
    while now > float_mad * (1 + loss) and len(parts) > 1:
        tried = {}
        for part in parts:
            with tempfile.TemporaryDirectory() as folder:
                trial = Path(folder) / "trial.onnx"
                quantise(model, trial, feeds, [p for p in parts if p != part])
                tried[part] = mean_difference(trial, examples, side)
        parts.remove(min(tried, key=lambda part: tried[part]))
        quantise(model, out, feeds, parts)
        now = mean_difference(out, examples, side)
        steps.append({"parts": list(parts), "mad": now})
    found = {"side": side, "float_mad": float_mad, "int8_mad": now}
    return {**found, "parts": parts, "steps": steps}


def main() -> None:
    """Parse the command line, calibrate, search, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, default=os.environ.get("RVM_TRAIN_DATA"))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", type=int, default=352, help="long side of the small frame")
    parser.add_argument(
        "--also", type=int, nargs="+", default=[], metavar="SIDE", help="more sides to calibrate on"
    )
    parser.add_argument("--loss", type=float, default=0.05, help="share of MAD that may be lost")
    parser.add_argument("--manifest", type=Path, help="put the file's entry here")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    if args.data is None:
        parser.error("name the data root with --data or RVM_TRAIN_DATA")
    training = Material(Path(args.data), args.cache)
    sides = (args.side, *args.also)
    sequences = [list(small_frames(clip, side)) for clip in training.clips for side in sides]
    feeds = list(record_feeds(args.model, sequences))
    held_back = Material(Path(args.data), args.cache, "validation")
    examples = [e.first(JUDGED_FRAMES) for e in sets.composites(held_back, JUDGED_COMPOSITES)]
    found = search(args.model, args.out, feeds, examples, args.side, args.loss)
    print(json.dumps({k: v for k, v in found.items() if k != "steps"}, indent=1))
    if args.manifest is not None:
        name = args.out.stem.replace("-", "_")
        table = entry(
            name, args.out, "rvm-compact-lean", args.side, precision="int8",
            description=f"{args.model.stem.replace('-', '_')} with 8-bit convolutions",
        )  # fmt: skip
        put_entries(args.manifest, {name: table})
    if args.json is not None:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
