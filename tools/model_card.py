"""Write a model card from measured results; every figure in it comes out of the files given.

    python tools/model_card.py --notes NOTES.md --name compact --models models [--log RUN/log.jsonl]

In the folder of models lie what ``tools/evaluate.py --json`` wrote for the shipped files and the
peers (``compact-results.json``), what ``tools/latency.py --json`` wrote (``compact-latency.json``)
and what ``tools/quantize.py --json`` did (``compact-quantized.json``); log.jsonl is the log of a
run that ``compact-stages.json`` lacks.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

from rvm.matting.focus import FAR_SIDE, MIDDLE_SIDE
from rvm.network.compact_export import load_weights

#: By the ending of a variant's name: how many times cheaper than the reference it shall be.
COST_BARS = {"": 10, "-int8": 10, "-quality": 3, "-quality-int8": 3}
#: By the same endings: whose figures are held against the aims.
SHOWN = ("", "-int8", "-quality", "-quality-int8")
PEERS = ("meet", "selfie", "sinet")
TEMPLATE = Path(__file__).with_name("model_card.md.in")
AIMS = (
    ("MAD on composites", "<= 5", "composites", "mad", "{:.2f}"),
    ("clips: mean alpha difference to the reference", "<= 0.008", "clips", "mad", "{:.4f}"),
    ("clips: IoU at 0.5", ">= 0.975", "clips", "iou", "{:.4f}"),
    ("CCP: IoU against held-back binary masks", ">= 0.93", "masks", "iou", "{:.4f}"),
    ("empty rooms: mean alpha", "<= 0.005", "empty", "mean_alpha", "{:.4f}"),
)


def metric_table(results: dict[str, dict[str, Any]]) -> str:
    """The comparison on held-back composites, clips, stills and rooms."""
    head = (
        "| model | MAD | median | MSE | Grad | Conn | dtSSD | IoU "
        "| clip MAD | clip dtSSD | clip IoU | mask IoU | empty |"
    )
    rows = [head, "|" + "-|" * (head.count("|") - 1)]
    for name, r in results.items():
        c = r["composites"]
        keys = ("mad", "mad_median", "mse", "grad", "conn", "dtssd")
        cells = [*(f"{c[k]:.2f}" for k in keys), f"{c['iou']:.3f}"]
        cells += [f"{r['clips']['mad']:.2f}", f"{r['clips']['dtssd']:.2f}"]
        cells += [f"{r['clips']['iou']:.3f}", f"{r['masks']['iou']:.3f}"]
        cells.append(f"{r['empty']['mean_alpha']:.4f}")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def aim_table(results: dict[str, dict[str, Any]], name: str) -> str:
    """What was aimed at, and for every variant what was measured and whether that is enough."""
    variants = [name + ending for ending in SHOWN]
    rows = ["| aim | bar | " + " | ".join(variants) + " |", "|-|-|" + "-|" * len(variants)]
    for title, bar, part, key, style in AIMS:
        limit, scale = float(bar.split()[1]), 1e3 if title.startswith("clips: mean") else 1
        values = [results[variant][part][key] / scale for variant in variants]
        reached = [v <= limit if bar.startswith("<=") else v >= limit for v in values]
        rows.append(aim_row(title, bar, [style.format(v) for v in values], reached))
    ours = [results[variant]["composites"] for variant in variants]
    rows.append(flicker_row(results["reference"]["composites"]["dtssd"], ours))
    rows += [peer_row(peer, results[peer]["composites"], ours) for peer in PEERS]
    return "\n".join(rows)


def aim_row(title: str, bar: str, measured: list[str], reached: list[bool]) -> str:
    """One line of the table of aims."""
    told = zip(measured, reached, strict=True)
    cells = " | ".join(f"{text}, {'yes' if good else 'no'}" for text, good in told)
    return f"| {title} | {bar} | {cells} |"


def flicker_row(limit: float, ours: list[dict[str, float]]) -> str:
    """dtSSD against the reference's."""
    values = [scores["dtssd"] for scores in ours]
    told = [f"{value:.2f}" for value in values]
    title = "flicker: dtSSD on composites"
    return aim_row(title, f"<= {limit:.2f}", told, [value <= limit for value in values])


def peer_row(peer: str, theirs: dict[str, float], ours: list[dict[str, float]]) -> str:
    """How far ahead of a peer on MAD and Grad."""
    ahead = [[theirs[key] / scores[key] for key in ("mad", "grad")] for scores in ours]
    told = [f"{mad:.1f} and {grad:.1f} times" for mad, grad in ahead]
    reached = [min(both) >= 3 for both in ahead]
    return aim_row(f"ahead of {peer} on MAD and Grad", ">= 3 times", told, reached)


def cost_table(
    latency: dict[str, float],
    name: str,
    runs: dict[str, tuple[str, list[str]]],
    quantized: dict[str, Any],
) -> str:
    """What a frame costs, and what 8 bits cost the matte."""
    rows = ["| aim | bar | measured |", "|-|-|-|", *cost_rows(latency, name, runs)]
    lost = quantized["int8_mad"] / quantized["float_mad"] - 1
    title = f"MAD lost in 8 bits, one look on {quantized['side']} px"
    rows.append(cost_row(title, "<= 5 %", f"{lost:.1%}", lost <= 0.05))
    return "\n".join(rows)


def cost_row(title: str, bar: str, measured: str, reached: bool) -> str:
    """One line of the table of costs."""
    return f"| {title} | {bar} | {measured}, {'yes' if reached else 'no'} |"


def cost_rows(
    latency: dict[str, float], name: str, runs: dict[str, tuple[str, list[str]]]
) -> list[str]:
    """The reference's time over ours, of each variant, at each of its sizes that was measured.

    ``runs`` are file and sizes of each variant, as :func:`sizes_of` names them.
    """
    rows = []
    for ending, bar in COST_BARS.items():
        variant = name + ending
        file, sizes = runs[variant]
        for size in sizes:
            timed = f"{file} {size}: frame to alpha"
            if timed not in latency:
                continue
            ratio = latency["reference"] / latency[timed]
            side, *mirrored = size.split()
            told = ", ".join([f"{side} px", *mirrored])
            title = f"cost of a 1080p frame against the reference, {variant}, {told}"
            rows.append(cost_row(title, f"<= 1 / {bar}", f"1 / {ratio:.1f}", ratio >= bar))
    return rows


def sizes_of(entry: dict[str, Any]) -> list[str]:
    """Sizes of the network's picture as ``tools/latency.py`` names them: the usual one, those for
    people half way off and far where the model has its own borders, and the one for the distant."""
    sides = [entry["long_side"]]
    if "far_share" in entry:
        sides += [MIDDLE_SIDE, FAR_SIDE]
    if "distant_side" in entry:
        sides.append(entry["distant_side"])
    most = entry.get("mirror_side", 0)
    return [f"{side} mirrored" if side <= most else f"{side}" for side in sides]


def latency_table(latency: dict[str, float]) -> str:
    """Milliseconds a 1080p frame, and the ratio to the reference of the same run."""
    reference = latency["reference"]
    rows = ["| what, 1920x1080 in, alpha out | ms | reference / this |", "|-|-|-|"]
    for name, ms in latency.items():
        rows.append(f"| {name} | {ms:.1f} | {reference / ms:.1f} |")
    return "\n".join(rows)


def stage_table(log: Path | None, workers: int, earlier: dict[str, list[float]]) -> str:
    """Steps, frames and the refined-alpha loss at the end of each stage of every run.

    ``earlier`` are the stages of runs whose logs are gone: name -> steps, frames, loss.
    """
    stages = {name: (int(s), int(f), loss) for name, (s, f, loss) in earlier.items()}
    steps, frames, _ = list(stages.values())[-1] if stages else (0, 0, 0.0)
    for text in log.read_text(encoding="utf-8").splitlines() if log else ():
        line = json.loads(text)
        seen = frames + line["frames"] * workers
        stages[line["stage"]] = (steps + line["step"], seen, line["refined"])
    rows = ["| stage | steps so far | frames so far | refined-alpha L1 at its end |", "|-|-|-|-|"]
    for stage, (step, seen, loss) in stages.items():
        rows.append(f"| {stage} | {step} | {seen:,} | {loss:.4f} |")
    return "\n".join(rows)


def file_table(folder: Path, name: str) -> str:
    """Name, size and hash of every file of the model."""
    rows = ["| file | bytes | sha256 |", "|-|-|-|"]
    for path in sorted(folder.glob(f"{name}*")):
        if path.suffix in {".onnx", ".safetensors"}:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            rows.append(f"| {path.name} | {path.stat().st_size:,} | `{digest}` |")
    return "\n".join(rows)


def weights(path: Path) -> str:
    """How many weights a file holds, statistics of its norms included, in millions."""
    tensors = load_weights(path).state_dict().items()
    kept = [t for name, t in tensors if t.is_floating_point() and not name.startswith("hints.")]
    return f"{sum(tensor.numel() for tensor in kept) / 1e6:.2f}"


def main() -> None:
    """Parse the command line and write the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--results", type=Path, help="if not MODELS/NAME-results.json")
    parser.add_argument("--latency", type=Path, help="if not MODELS/NAME-latency.json")
    parser.add_argument("--log", type=Path, help="if its stages are not in NAME-stages.json")
    parser.add_argument("--workers", type=int, default=2, help="how many trained")
    parser.add_argument("--notes", type=Path, help="what was seen in the pictures, Markdown")
    parser.add_argument("--name", default="compact")
    parser.add_argument("--models", type=Path, default=Path("models"))
    args = parser.parse_args()
    manifest = tomllib.loads((args.models / "manifest.toml").read_text(encoding="utf-8"))
    runs = {
        variant.replace("_", "-"): (Path(entry["file"]).stem, sizes_of(entry))
        for variant, entry in manifest["models"].items()
        if "long_side" in entry
    }
    history = json.loads((args.models / f"{args.name}-stages.json").read_text(encoding="utf-8"))
    measured = {"results": args.results, "latency": args.latency, "quantized": None}
    results, latency, quantized = (
        json.loads((path or args.models / f"{args.name}-{kind}.json").read_text(encoding="utf-8"))
        for kind, path in measured.items()
    )
    text = TEMPLATE.read_text(encoding="utf-8")
    parts = {
        "METRICS": metric_table(results),
        "AIMS": aim_table(results, args.name),
        "COSTS": cost_table(latency, args.name, runs, quantized),
        "LATENCY": latency_table(latency),
        "STAGES": stage_table(args.log, args.workers, history),
        "WEIGHTS": weights(args.models / f"{args.name}.onnx"),
        "QUALITY": weights(args.models / f"{args.name}-quality.onnx"),
        "SIDE": str(runs[args.name][1][0]),
        "FILES": file_table(args.models, args.name),
        "NOTES": args.notes.read_text(encoding="utf-8").strip() if args.notes else "",
    }
    for key, value in parts.items():
        text = text.replace(f"@{key}@", value)
    (args.models / f"{args.name}.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
