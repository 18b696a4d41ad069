"""Writing the project's own models into models/manifest.toml; reading is `rvm.matting.weights`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from rvm.network.compact import SIZE_MULTIPLE

LICENCE = "GPL-3.0"

_LINES = r"(?:(?!\[|#|\n).*\n?)*"
"""The lines of a table below its name."""

_BY_HAND = r"^(?:far_share|middle_share|distant_side|mirror_side) = .*\n"
"""Lines that were chosen by measuring the network, not made with it, and so outlive its weights."""


def entry(
    name: str,
    path: Path,
    contract: str,
    long_side: int,
    *,
    description: str,
    precision: str = "fp32",
    default: bool = False,
    torch_twin: str | None = None,
    int8_twin: str | None = None,
) -> str:
    """One manifest table for a file of ours, its size and hash pinned."""
    content = path.read_bytes()
    lines = [
        f"[models.{_quoted(name)}]",
        f'description = "{description}"',
        f'file = "{path.name}"',
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"',
        f"bytes = {len(content)}",
        f'licence = "{LICENCE}"',
        f'contract = "{contract}"',
        f'format = "{path.suffix.removeprefix(".")}"',
        f'precision = "{precision}"',
        f"long_side = {long_side}",
        f"size_multiple = {SIZE_MULTIPLE}",
    ]
    if default:
        lines.append("default = true")
    if torch_twin:
        lines.append(f'torch_twin = "{torch_twin}"')
    if int8_twin:
        lines.append(f'int8_twin = "{int8_twin}"')
    return "\n".join(lines) + "\n"


def put_entries(manifest: Path, entries: Mapping[str, str]) -> None:
    """Put tables in the place of older ones of the same names; new ones come last.

    Other tables that name one of their files, as those of another size do, get its size and hash.
    """
    text = manifest.read_text(encoding="utf-8")
    for name, table in entries.items():
        text = repin(put_entry(text, name, table), table)
    manifest.write_text(text, encoding="utf-8")


def put_entry(manifest: str, name: str, text: str) -> str:
    """The manifest's text with one table replaced, or added at its end.

    What an older one says of where people are far stays.
    """
    key = re.escape(f"[models.{_quoted(name)}]")
    pattern = re.compile(rf"^{key}\n{_LINES}", re.MULTILINE)
    older = pattern.search(manifest)
    if older:
        table = text + "".join(re.findall(_BY_HAND, older.group(), re.MULTILINE))
        return pattern.sub(lambda _: table, manifest)
    return manifest.rstrip("\n") + "\n\n" + text


def repin(manifest: str, table: str) -> str:
    """The manifest's text with size and hash from ``table`` wherever its file is named."""
    pinned = {key: _line(key, table) for key in ("file", "sha256", "bytes")}

    def update(match: re.Match[str]) -> str:
        other = match.group()
        if _line("file", other) != pinned["file"]:
            return other
        for key in ("sha256", "bytes"):
            other = other.replace(_line(key, other), pinned[key])
        return other

    return re.sub(rf"^\[models\..*\n{_LINES}", update, manifest, flags=re.MULTILINE)


def _line(key: str, table: str) -> str:
    found = re.search(rf"^{key} = .*$", table, re.MULTILINE)
    return found.group() if found else f"{key} ="


def _quoted(name: str) -> str:
    return json.dumps(name) if "." in name else name
