"""Where the figures of a run are kept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def write_result(folder: Path, what: str, result: dict[str, Any]) -> Path:
    """Write `result` to `folder`/<date>-<what>.json and return that path.

    Args:
        folder: made if it is not there.
        what: was measured, in any words: the processor or device, and more.
        result: JSON types; its "date" is ISO 8601, the day of which counts.
    """
    words = re.sub(r"[^a-z0-9]+", "-", what.lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{result['date'][:10]}-{words}.json"
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return target


def machine_words(facts: dict[str, Any]) -> str:
    """Processor and cores of `rvm.bench.machine.machine`, as `write_result` wants them."""
    return f"{facts['processor']} {facts['cores']} cores"
