"""Write the README's tables of figures from the measured results that they stand for.

    python tools/readme_figures.py            # rewrites README.md
    python tools/readme_figures.py --check    # says whether it would

A table lies between two comments, the first of which names its kind and its files:

    <!-- figures: mattes models/compact-results.json models/compact-latency.json -->
    <!-- end of figures -->
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
_TABLE = re.compile(
    r"(?P<head><!-- figures: (?P<kind>\w+) (?P<files>[^>]+) -->\n)"
    r".*?(?P<foot><!-- end of figures -->)",
    re.DOTALL,
)

#: Title, name in the results, and the sizes whose cost, by tools/latency.py, is told.
MATTES = (
    ("`compact`, the default, in 8 bits", "compact-int8", ("compact-quality-int8 352",)),
    ("`compact` in floating point", "compact", ("compact 352",)),
    (
        "`compact_quality` in 8 bits", "compact-quality-int8",
        ("compact-quality-int8 352 mirrored", "compact-quality-int8 512 mirrored"),
    ),
    ("Robust Video Matting, MobileNetV3", "reference", ()),
    ("MediaPipe Meet", "meet", ()),
    ("MediaPipe Selfie", "selfie", ()),
)  # fmt: skip
MATTE_COLUMNS = (
    ("MAD", "composites", "mad", 1), ("median", "composites", "mad_median", 1),
    ("Grad", "composites", "grad", 2), ("dtSSD", "composites", "dtssd", 2),
    ("clips", "clips", "mad", 1),
)  # fmt: skip
SPEEDS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    (
        "live, every frame matted, blurred, at a sink that only counts: frames a second",
        lambda row: f"{row['live']['sustained_fps']:.0f}",
    ),
    ("from grab to sink, middle: ms", lambda row: f"{row['live']['after_grab_ms']['p50']:.1f}"),
    (
        "from grab to sink, 99th percentile: ms",
        lambda row: f"{row['live']['after_grab_ms']['p99']:.1f}",
    ),
    (
        "file to file against MediaPipe Selfie with a numpy blend",
        lambda row: f"{row['times_selfie']:.1f}x",
    ),
    (
        "file to file against the reference network driven its authors' way",
        lambda row: f"{row['times_reference']:.1f}x",
    ),
    (
        "file to file against only decoding and encoding",
        lambda row: f"{row['times_plain']:.2f}x",
    ),
)  # fmt: skip


def mattes(results: dict[str, Any], latency: dict[str, float]) -> list[str]:
    """One row a model: how far its mattes are from the truth, and what a 1080p frame costs."""
    titles = [title for title, *_ in MATTE_COLUMNS]
    rows = ["| | " + " | ".join(titles) + " | time |", "|-|" + "-|" * (len(titles) + 1)]
    for title, name, sizes in MATTES:
        cells = [f"{results[name][part][key]:.{n}f}" for _, part, key, n in MATTE_COLUMNS]
        shares = [latency["reference"] / latency[f"{size}: frame to alpha"] for size in sizes]
        times = " to ".join(f"1/{share:.0f}" for share in shares)
        cells.append("1" if name == "reference" else times)
        rows.append(f"| {title} | " + " | ".join(cells) + " |")
    return rows


def speed(measured: dict[str, Any]) -> list[str]:
    """One column a size, out of one run of ``tools/bench.py``."""
    sizes = measured["rows"]
    names = [row["name"].replace("k", "K") for row in sizes]
    rows = ["| | " + " | ".join(names) + " |", "|-|" + "-|" * len(names)]
    for title, told in SPEEDS:
        rows.append(f"| {title} | " + " | ".join(told(row) for row in sizes) + " |")
    return rows


KINDS: dict[str, Callable[..., list[str]]] = {"mattes": mattes, "speed": speed}


def rewritten(text: str, root: Path = ROOT) -> str:
    """The text with every table as the files under ``root`` have it."""

    def table(match: re.Match[str]) -> str:
        files = [root / name for name in match["files"].split()]
        measured = [json.loads(file.read_text(encoding="utf-8")) for file in files]
        rows = KINDS[match["kind"]](*measured)
        return match["head"] + "\n".join(["", *rows, "", match["foot"]])

    return _TABLE.sub(table, text)


def main() -> None:
    """Parse the command line; rewrite, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    text = args.readme.read_text(encoding="utf-8")
    now = rewritten(text)
    if not args.check:
        args.readme.write_text(now, encoding="utf-8")
    elif now != text:
        raise SystemExit(f"{args.readme.name} has other figures than the files that it names")


if __name__ == "__main__":
    main()
