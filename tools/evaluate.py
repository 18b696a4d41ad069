"""Compare models on the held-back material: a table, a JSON file and contact sheets.

    RVM_TRAIN_DATA=DIR python tools/evaluate.py models/compact.onnx --cache CACHE \\
        --also reference=DIR/rvm.onnx --also selfie=DIR/selfie.onnx --json out.json --sheet out.png

A model is any ONNX file of a known contract, a folder of mattes as <folder>/<name>/<n>.png, or a
name in the registry, which is then driven as users drive it.
``NAME=PATH@SIDE`` runs it with another long side than 512.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rvm.errors import RvmError
from rvm.evaluation import sets, sheets
from rvm.evaluation.candidates import Candidate, Folder, open_model
from rvm.evaluation.metrics import average, clip_means, iou
from rvm.evaluation.sets import Example
from rvm.training.material import Material

STILL_PASSES = 2
Float32 = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]


def run_clip(model: Candidate, example: Example) -> tuple[list[Float32], float]:
    """Every matte of a sequence from a fresh state, and the milliseconds a frame took."""
    model.reset()
    if isinstance(model, Folder):
        model.open(example.name)
    started = time.perf_counter()
    mattes = [model.matte(rgb) for rgb in example.rgb]
    return mattes, (time.perf_counter() - started) * 1e3 / len(mattes)


def score_sequences(model: Candidate, examples: Iterable[Example]) -> dict[str, float]:
    """All metrics, averaged over sequences."""
    scores, times = [], []
    for example in examples:
        mattes, ms = run_clip(model, example)
        scores.append(clip_means(mattes, example.alpha))
        times.append(ms)
    middle = float(np.median([score["mad"] for score in scores]))
    return {**average(scores), "mad_median": middle, "ms": float(np.median(times))}


def score_stills(model: Candidate, examples: Iterable[Example]) -> dict[str, float]:
    """IoU of alpha > 0.5 against binary masks, each still fed twice."""
    values = []
    for example in examples:
        model.reset()
        if isinstance(model, Folder):
            model.open(example.name)
        matte = [model.matte(example.rgb[0]) for _ in range(STILL_PASSES)][-1]
        values.append(iou(matte, example.alpha[0].astype(np.float32) / 255))
    low = float(np.percentile(values, 10))
    return {"iou": float(np.mean(values)), "iou_median": float(np.median(values)), "iou_p10": low}


def score_empty(model: Candidate, examples: Iterable[Example]) -> dict[str, float]:
    """Mean and worst mean alpha where nobody is."""
    means = [float(np.mean(run_clip(model, example)[0])) for example in examples]
    return {"mean_alpha": float(np.mean(means)), "worst": max(means)}


def score_cut(model: Candidate, example: Example) -> dict[str, float]:
    """MAD (x 1e3) right after a cut and ten frames later."""
    mattes, _ = run_clip(model, example)
    difference = [
        float(np.abs(matte - true.astype(np.float32) / 255).mean() * 1e3)
        for matte, true in zip(mattes, example.alpha, strict=True)
    ]
    return {"mad_at_cut": difference[10], "mad_10_later": float(np.mean(difference[20:25]))}


def evaluate(model: Candidate, material: Material, data: Path) -> dict[str, Any]:
    """Every set for one model."""
    return {
        "composites": score_sequences(model, sets.composites(material)),
        "clips": score_sequences(model, sets.clips(material)),
        "masks": score_stills(model, sets.masked_stills(data)),
        "empty": score_empty(model, sets.empty_rooms(material)),
        "cut": score_cut(model, sets.after_cut(material)),
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """A Markdown table of the results."""
    head = (
        "| model | MAD | median | MSE | Grad | Conn | dtSSD | IoU "
        "| clips MAD | clips dtSSD | clips IoU | mask IoU | empty alpha "
        "| MAD at cut, 10 later | ms |"
    )
    lines = [head, "|" + "-|" * (head.count("|") - 1)]
    for name, r in results.items():
        c, v = r["composites"], r["clips"]
        cells = [f"{c[k]:.2f}" for k in ("mad", "mad_median", "mse", "grad", "conn", "dtssd")]
        cells += [f"{c['iou']:.3f}", f"{v['mad']:.2f}", f"{v['dtssd']:.2f}", f"{v['iou']:.3f}"]
        cells += [f"{r['masks']['iou']:.3f}", f"{r['empty']['mean_alpha']:.4f}"]
        cells += [f"{r['cut']['mad_at_cut']:.1f}, {r['cut']['mad_10_later']:.1f}", f"{c['ms']:.0f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def sheet_examples(material: Material, data: Path) -> list[Example]:
    """A few of each set."""
    stills = list(sets.masked_stills(data))[::24]
    return [*sets.composites(material, 8), *sets.clips(material), *stills]


def runner(model: Candidate) -> sheets.Runner:
    """The mattes of a sequence, without the time they took."""
    return lambda example: run_clip(model, example)[0]


def write(path: Path, picture: Picture) -> None:
    """Save an RGB picture."""
    if not cv2.imwrite(str(path), np.ascontiguousarray(picture[:, :, ::-1])):
        raise OSError(f"cannot write {path}")


def named(text: str) -> tuple[str, Path, int]:
    """NAME=PATH@SIDE, with NAME and SIDE optional."""
    name, _, rest = text.rpartition("=")
    path, _, side = rest.rpartition("@") if "@" in rest else (rest, "", "512")
    return name or Path(path).stem, Path(path), int(side)


def main() -> int:
    """Parse the command line, compare, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("model", type=named)
    parser.add_argument("--also", type=named, action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--data", default=os.environ.get("RVM_TRAIN_DATA"))
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--merge", type=Path, help="JSON of models measured before, put below")
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--failures", type=Path, help="worst mattes of the first model, as PNG")
    parser.add_argument("--only-sheets", action="store_true")
    args = parser.parse_args()
    if args.data is None:
        parser.error("name the data root with --data or RVM_TRAIN_DATA")
    material = Material(Path(args.data), args.cache, "validation")
    try:
        models = {
            n: open_model(path, side, args.threads) for n, path, side in [args.model, *args.also]
        }
    except RvmError as error:
        parser.error(str(error))
    results: dict[str, dict[str, Any]] = {}
    for name, model in ({} if args.only_sheets else models).items():
        results[name] = evaluate(model, material, Path(args.data))
        print(f"{name}: {json.dumps(results[name])}", file=sys.stderr)
    if args.merge:
        results |= json.loads(args.merge.read_text(encoding="utf-8"))
    if results:
        print(table(results))
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    examples = sheet_examples(material, Path(args.data)) if args.sheet or args.failures else []
    runners = {name: runner(model) for name, model in models.items()}
    if args.sheet:
        write(args.sheet, sheets.comparison(runners, examples))
    if args.failures:
        write(args.failures, sheets.failures(next(iter(runners.values())), examples))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
