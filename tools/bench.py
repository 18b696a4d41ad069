"""Measures this machine and writes benchmarks/results/<date>-<processor>.json and a chart.

    python tools/bench.py --clip CLIP --reference RVM.onnx --selfie SELFIE.onnx

The models to compare with are not part of the project; without them their bars are missing. The
chart needs matplotlib (`pip install rvm-matting[train]`). See `rvm.bench` for what is measured.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path
from typing import Any

from rvm.bench import SIZES, BenchOptions, machine, run_bench
from rvm.bench.results import machine_words, write_result
from rvm.cli.commands.bench import table

_RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
_COLOURS = {
    "plain": "#9aa5b1",
    "whole": "#00b140",
    "blurred": "#5b8c5a",
    "selfie": "#e09f3e",
    "reference": "#9e2a2b",
}
_LABELS = {
    "plain": "decode + encode only",
    "whole": "rvm, plain colour",
    "blurred": "rvm, blurred",
    "selfie": "MediaPipe Selfie, numpy blend",
    "reference": "reference RVM, authors' loop",
}


def main() -> None:
    """Measure, print, and write both files."""
    arguments = _parse()
    before = machine()
    options = BenchOptions(
        clip=arguments.clip, sizes=arguments.sizes, frames=arguments.frames,
        rounds=arguments.rounds, reference=arguments.reference, selfie=arguments.selfie,
        live_seconds=arguments.live_seconds, model=arguments.model,
    )  # fmt: skip
    rows = list(run_bench(options, lambda line: print(line, file=sys.stderr)))
    print(f"{before['processor']}, {before['cores']} cores, load {before['load']}")
    print(table(rows))
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes"),
        "command": _command(arguments),
        "machine": before,
        "rows": [row.to_json() for row in rows],
    }
    target = write_result(arguments.out, machine_words(before), result)
    draw(result, target.with_suffix(".png"))
    print(f"{target}\n{target.with_suffix('.png')}")


def draw(result: dict[str, Any], path: Path) -> None:
    """The paths from file to file, and live use, as bars: frames a second."""
    from matplotlib import pyplot

    rows = result["rows"]
    figure, (files, live) = pyplot.subplots(
        1, 2, figsize=(10, 3.6), width_ratios=(3, 1.2), layout="constrained"
    )
    names = [name for name in _LABELS if all(name in row["paths"] for row in rows)]
    height = 0.8 / max(1, len(names))
    for index, name in enumerate(names):
        places = [place + index * height for place in range(len(rows))]
        speeds = [row["paths"][name]["fps"] for row in rows]
        bars = files.barh(places, speeds, height * 0.92, color=_COLOURS[name], label=_LABELS[name])
        files.bar_label(bars, fmt="%.1f", padding=3, fontsize=8)
    _finish(files, rows, "File to file, H.264, frames a second", (len(names) - 1) * height / 2)
    files.legend(fontsize=8, frameon=False, loc="lower right")
    measured = [row for row in rows if row["live"]]
    speeds = [row["live"]["sustained_fps"] for row in measured]
    bars = live.barh(range(len(measured)), speeds, 0.5, color=_COLOURS["whole"])
    live.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
    _finish(live, measured, "Live, blurred, frames a second", 0)
    facts = result["machine"]
    figure.suptitle(f"{facts['processor']}, {facts['cores']} cores, {result['date'][:10]}")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _finish(axes: Any, rows: list[dict[str, Any]], title: str, middle: float) -> None:
    axes.set_title(title, fontsize=10)
    axes.set_yticks([place + middle for place in range(len(rows))], [row["name"] for row in rows])
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.15)


def _command(arguments: argparse.Namespace) -> str:
    """What to type, without where the files lay."""
    words = [f"--sizes {','.join(arguments.sizes)} --frames {arguments.frames}"]
    words += [f"--rounds {arguments.rounds} --live-seconds {arguments.live_seconds:g}"]
    for name in ("clip", "reference", "selfie"):
        path = getattr(arguments, name)
        words += [f"--{name} {path.name}"] if path else []
    return " ".join(["python tools/bench.py", *words])


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, help="a real clip, enlarged once to each size")
    parser.add_argument("--sizes", type=lambda text: text.split(","), default=list(SIZES))
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--live-seconds", type=float, default=10.0)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--selfie", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--out", type=Path, default=_RESULTS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
