"""ONNX files of both forms: valid, shaped as promised, and equal to the network in numbers."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import onnx
import pytest
import torch

from rvm.network import ARCHITECTURES, MattingNetwork, build_network
from rvm.network.export import OUTPUTS, StaticShape, compare, export_dynamic, export_static

# Small tensors: a second thread costs more than it brings, all the more on a busy machine.
torch.set_num_threads(1)
TOLERANCE = 1e-4
Dims = dict[str, list[str | int]]


@pytest.fixture(scope="module")
def network() -> MattingNetwork:
    torch.manual_seed(0)
    return build_network("mobilenetv3").eval()


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / "export.py"
    spec = importlib.util.spec_from_file_location("export_tool", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def declared(path: Path) -> tuple[Dims, Dims]:
    """The dimensions of each input and output; a string is a symbol."""
    graph = onnx.load(path).graph
    inputs, outputs = (
        {v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
        for values in (graph.input, graph.output)
    )
    return inputs, outputs


def test_dynamic_form(network: MattingNetwork, tmp_path: Path) -> None:
    path = tmp_path / "dynamic.onnx"
    export_dynamic(network, path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    inputs, outputs = declared(path)
    assert list(inputs) == ["src", "r1i", "r2i", "r3i", "r4i", "downsample_ratio"]
    assert tuple(outputs) == OUTPUTS
    assert outputs["fgr"] == ["batch", 3, "height", "width"]
    assert outputs["pha"] == ["batch", 1, "height", "width"]
    symbols = [d for dims in inputs.values() for d in dims if isinstance(d, str)]
    assert len(symbols) == len(set(symbols)) == 3 + 4 * 4
    for trial in (
        StaticShape(90, 122, 0.5),
        StaticShape(137, 255, 0.4, batch=2),
        StaticShape(33, 17, 0.7),
        StaticShape(48, 64, 1.0),
    ):
        assert compare(network, path, trial) <= TOLERANCE


def test_static_form(network: MattingNetwork, tmp_path: Path) -> None:
    path, shape = tmp_path / "static.onnx", StaticShape(91, 123, 0.4, batch=2)
    export_static(network, path, shape)
    inputs, outputs = declared(path)
    states = [list(s) for s in network.state_shapes(2, 91, 123, 0.4)]
    assert list(inputs) == ["src", "r1i", "r2i", "r3i", "r4i"]
    assert list(inputs.values()) == [[2, 3, 91, 123], *states]
    assert list(outputs.values()) == [[2, 3, 91, 123], [2, 1, 91, 123], *states]
    model = onnx.load(path)
    assert not {"Shape", "Gather", "Expand"} & {node.op_type for node in model.graph.node}
    assert {p.key: p.value for p in model.metadata_props}["rvm.downsample_ratio"] == "0.4"
    assert compare(network, path, shape) <= TOLERANCE


def test_static_form_at_ratio_one_has_no_refiner(network: MattingNetwork, tmp_path: Path) -> None:
    path, shape = tmp_path / "static.onnx", StaticShape(32, 48)
    export_static(network, path, shape)
    assert not any("refiner" in weights.name for weights in onnx.load(path).graph.initializer)
    assert compare(network, path, shape) <= TOLERANCE


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_the_tool_writes_and_reports(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], architecture: str
) -> None:
    path = tmp_path / "model.onnx"
    options = ["--random-init", architecture, "--size", "48x32", "--downsample-ratio", "0.5"]
    assert tool.main([*options, "-o", str(path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["form"] == "static"
    assert report["bytes"] == path.stat().st_size
    assert report["max_difference"] <= TOLERANCE
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["no-such-file.pth", "--dynamic"], 4, "no such weights file"),
        (["--random-init", "mobilenetv3", "--dynamic", "--batch", "2"], 2, "go with --size"),
        (
            ["--random-init", "mobilenetv3", "--size", "9x9", "--downsample-ratio", "2"],
            2,
            "up to 1; got 2.0",
        ),
        (
            ["--random-init", "mobilenetv3", "--size", "9x9", "--downsample-ratio", "0.1"],
            2,
            "leaves no pixel",
        ),
        (["--random-init", "mobilenetv3", "--size", "9x9", "--batch", "0"], 2, "at least 1"),
    ],
)
def test_the_tool_refuses_in_one_line(
    tool: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    code: int,
    message: str,
) -> None:
    assert tool.main([*options, "-o", str(tmp_path / "model.onnx")]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


def test_the_tool_overwrites_only_when_asked(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"precious")
    options = ["--random-init", "mobilenetv3", "--size", "16x16", "-o", str(path)]
    assert tool.main(options) == 6
    assert "-y replaces it" in capsys.readouterr().err
    assert path.read_bytes() == b"precious"
    assert tool.main([*options, "-y"]) == 0
    assert path.stat().st_size > 1_000_000
    assert tool.main(["absent.pth", "--dynamic", "-o", str(tmp_path / "no" / "x.onnx")]) == 4
    assert tool.main([*options[:-1], str(tmp_path / "no" / "x.onnx")]) == 6
