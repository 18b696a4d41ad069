"""Who may import whom: frame and errors <- colour, media <- stages <- pipeline, api <- cli."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "rvm"
STAGES = ("sources", "matting", "compositing", "sinks")
FOUNDATION = ("frame", "errors", "handoff", "clock", "telemetry")


def imports_of(path: Path) -> set[str]:
    """Every module a file imports, at any depth, type-checking imports included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def part_of(module: str) -> str | None:
    """`rvm.sources.file` -> `sources`; None for modules outside the package."""
    pieces = module.split(".")
    return pieces[1] if pieces[0] == "rvm" and len(pieces) > 1 else None


def files() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def rule_breaks(allowed_for: str, forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in files()
        if path.relative_to(PACKAGE).parts[0].removesuffix(".py") == allowed_for
        for module in imports_of(path)
        if part_of(module) in forbidden
    ]


@pytest.mark.parametrize("stage", STAGES)
def test_stages_never_import_each_other_nor_what_is_above_them(stage: str) -> None:
    others = tuple(name for name in STAGES if name != stage)
    assert rule_breaks(stage, (*others, "pipeline", "api", "cli", "server")) == []


@pytest.mark.parametrize("part", FOUNDATION)
def test_the_foundation_imports_no_stage(part: str) -> None:
    assert rule_breaks(part, (*STAGES, "media", "colour", "pipeline", "api", "cli")) == []


@pytest.mark.parametrize("part", ["media", "colour", "gpu"])
def test_shared_helpers_import_no_stage(part: str) -> None:
    # SourceInfo is a value object of the source contract, and the only thing media knows of it.
    breaks = [
        line
        for line in rule_breaks(part, (*STAGES, "pipeline", "api", "cli"))
        if "rvm.sources.base" not in line and not line.endswith("imports rvm.sources")
    ]
    assert breaks == []


def test_the_library_knows_nothing_of_the_command_line() -> None:
    breaks = [
        f"{path.relative_to(PACKAGE)} imports {module}"
        for path in files()
        if path.relative_to(PACKAGE).parts[0] not in ("cli", "__main__.py")
        for module in imports_of(path)
        if part_of(module) == "cli" or module.split(".")[0] in ("cyclopts", "rich")
    ]
    assert breaks == []


OWNERS = {
    "pyvirtualcam": ("sinks/virtual_camera.py", "cli/"),
    "av": (
        "media/", "sources/file.py", "compositing/video.py", "sinks/", "gpu/nv", "cli/", "bench",
        "demo",
    ),
    "torch": (
        "network/", "training/", "matting/torch", "compositing/torch", "colour/torch", "device",
        "gpu/", "bench/gpu/",
    ),
    "triton": ("gpu/",),
    "torchvision": ("network/", "training/"),
    "onnxruntime": (
        "matting/", "network/export.py", "device.py", "cli/", "evaluation/", "training/", "bench",
    ),
    "openvino": ("matting/", "device.py", "cli/", "evaluation/", "bench"),
}  # fmt: skip


@pytest.mark.parametrize("library", OWNERS)
def test_each_heavy_library_stays_with_its_owner(library: str) -> None:
    strays = [
        str(path.relative_to(PACKAGE))
        for path in files()
        if any(module.split(".")[0] == library for module in imports_of(path))
        and not path.relative_to(PACKAGE).as_posix().startswith(OWNERS[library])
    ]
    assert strays == []


def test_importing_the_package_and_its_command_line_is_light() -> None:
    heavy = ("av", "cv2", "onnxruntime", "openvino", "torch", "rich", "pyvirtualcam", "numpy")
    code = f"import sys, rvm, rvm.cli\nprint([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
