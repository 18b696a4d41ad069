"""What was to be reached on a GPU, and whether a run reached it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]
Rows = Sequence[Row]


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table of aims.

    Attributes:
        what: in words.
        limit: the figure.
        at_least: whether more is better.
        measured: finds the figure among a run's rows; None if the run has none.
    """

    what: str
    limit: float
    at_least: bool
    measured: Callable[[Rows], float | None]

    def verdict(self, rows: Rows) -> dict[str, Any]:
        """For JSON: what, limit, measured, and "reached", "not reached" or "not measured"."""
        figure = self.measured(rows)
        if figure is None:
            word = "not measured"
        else:
            good = figure >= self.limit if self.at_least else figure <= self.limit
            word = "reached" if good else "not reached"
        sign = ">=" if self.at_least else "<="
        return {
            "what": self.what, "wanted": f"{sign} {self.limit:g}", "measured": figure,
            "verdict": word,
        }  # fmt: skip


def _default_composite(size: str, key: str) -> Callable[[Rows], float | None]:
    """A plain colour behind the default model at its default precision, as graphs."""

    def find(rows: Rows) -> float | None:
        row = first(
            rows, group="device", model="compact", size=size, stage="colour", graphs=True,
            default_precision=True,
        )  # fmt: skip
        if row is None or row["times"]["device_ms"] is None:
            return None
        return float(row["times"]["device_ms"][key])

    return find


def _times_official(rows: Rows) -> float | None:
    """Frames a second of ours over those of the official-style loop, both with their copies."""
    row = first(rows, group="official", model="mobilenetv3", size="4k", default_precision=True)
    return None if row is None else float(row["times_official"])


def _file(rows: Rows) -> float | None:
    row = first(rows, group="file", size="4k", decoder="nvdec")
    return None if row is None else float(row["fps"])


def _difference(key: str) -> Callable[[Rows], float | None]:
    """The worst of all sizes, at the default precision, with weights that mean something."""

    def find(rows: Rows) -> float | None:
        found = [
            row[key]
            for row in rows
            if key in row and row["on"] == "cuda" and row["default_precision"]
            and row.get("weights") != "random"
        ]  # fmt: skip
        return max(found, default=None)

    return find


TARGETS = (
    Target(
        "4K, matte + composite on the device, p50 ms", 2, False, _default_composite("4k", "p50")
    ),
    Target(
        "4K, matte + composite on the device, p99 ms", 4, False, _default_composite("4k", "p99")
    ),
    Target("4K, MobileNetV3 at 0.125: times the official-style loop", 3, True, _times_official),
    Target(
        "8K, matte + composite on the device, p50 ms", 8, False, _default_composite("8k", "p50")
    ),
    Target("4K file to null sink with NVDEC, frames a second", 120, True, _file),
    Target("alpha against fp32 on the CPU, largest difference", 0.02, False, _difference("most")),
    Target("alpha against fp32 on the CPU, mean difference", 0.001, False, _difference("mean")),
)


def verdicts(rows: Rows) -> list[dict[str, Any]]:
    """Of all targets."""
    return [target.verdict(rows) for target in TARGETS]


def first(rows: Iterable[Row], **wanted: Any) -> Row | None:
    """The first row that was measured and has all these values."""
    for row in rows:
        if "error" not in row and all(row.get(key) == value for key, value in wanted.items()):
            return row
    return None


def markdown(result: dict[str, Any]) -> str:
    """The result of a run as tables."""
    facts = result["machine"]
    lines = [
        f"# {facts['device']}, {result['date']}",
        "",
        f"Device copies {facts['copy_gb_s']} GB/s. " + ", ".join(
            f"{name} {value}" for name, value in facts["versions"].items() if value
        ),
        "",
        *_table(
            ("wanted", "measured", "verdict"),
            [
                (f"{line['what']} {line['wanted']}", line["measured"], line["verdict"])
                for line in result["verdicts"]
            ],
        ),
    ]  # fmt: skip
    timed = [row for row in result["rows"] if "times" in row]
    if timed:
        head = (
            "what", "device p50", "device p99", "wall p50", "wall p99", "queued", "least ms",
            "peak MB",
        )  # fmt: skip
        lines += ["", *_table(head, [_timed_cells(row) for row in timed])]
    others = [row for row in result["rows"] if "times" not in row]
    for row in others:
        lines += ["", _words(row)]
    return "\n".join(lines)


def _timed_cells(row: Row) -> tuple[Any, ...]:
    times = row["times"]
    device = times["device_ms"] or {}
    words = [row[key] for key in ("group", "model", "size", "precision", "stage") if key in row]
    words += ["graphs" if row["graphs"] else "no graphs"] if "graphs" in row else []
    return (
        " ".join(map(str, words)), device.get("p50"), device.get("p99"), times["wall_ms"]["p50"],
        times["wall_ms"]["p99"], times["queued_ms"], row.get("least_ms"), row.get("peak_mb"),
    )  # fmt: skip


def _words(row: Row) -> str:
    return ", ".join(f"{key} {value}" for key, value in row.items() if key != "stages")


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    cells = [head, ["---"] * len(head), *rows]
    return [
        "| " + " | ".join("" if cell is None else str(cell) for cell in line) + " |"
        for line in cells
    ]
