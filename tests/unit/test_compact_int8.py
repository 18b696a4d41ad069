"""Eight bits where they do not hurt: which layers, and how far the mattes move."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
import pytest
import torch

from rvm.network.compact import CompactConfig, CompactMatting
from rvm.network.compact_export import export_lean
from rvm.training.int8 import PARTS, Feeds, chosen_nodes, quantise, record_feeds

SMALL = CompactConfig((8, 8, 16, 16, 16), (1, 1, 1, 1), (8, 8, 8, 16, 16))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("int8") / "lean.onnx"
    export_lean(CompactMatting(SMALL).eval(), path)
    return path


def frames(count: int) -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(1)
    return [rng.random((1, 3, 64, 96), np.float32) for _ in range(count)]


def run(model: Path, feeds: Sequence[Feeds]) -> npt.NDArray[np.float32]:
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    found: list[Any] = [session.run(["matte_planes"], dict(feed))[0] for feed in feeds]
    return np.stack(found)


def test_feeds_carry_the_networks_own_state(model: Path) -> None:
    feeds = list(record_feeds(model, [frames(3)]))
    assert not feeds[0]["r1i"].any()
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    after_first: Any = session.run(["r1o"], dict(feeds[0]))[0]
    np.testing.assert_array_equal(feeds[1]["r1i"], after_first)


def test_gates_head_and_depthwise_convolutions_stay_in_floating_point(model: Path) -> None:
    chosen = chosen_nodes(model, PARTS)
    assert any("down4" in name for name in chosen)
    assert not any(word in name for name in chosen for word in ("gru", "head", "depthwise"))
    # the halving convolution, one residual block's own, and the sum; each with its rectifier
    names = [name.rpartition("/")[2] for name in chosen_nodes(model, ["down4"])]
    assert names == ["Conv", "Relu", "Conv", "Relu", "Add"]


def test_the_twin_keeps_contract_and_mattes(model: Path, tmp_path: Path) -> None:
    feeds = list(record_feeds(model, [frames(4)]))
    target = tmp_path / "int8.onnx"
    quantise(model, target, feeds, PARTS)
    written = onnx.load(str(target))
    assert {p.key: p.value for p in written.metadata_props}["rvm.contract"] == "rvm-compact-lean"
    assert sum(node.op_type == "QuantizeLinear" for node in written.graph.node) > 5
    difference = np.abs(run(target, feeds) - run(model, feeds))
    assert 0 < difference.mean() < 0.01


def test_the_head_reads_the_stem_in_floating_point(model: Path, tmp_path: Path) -> None:
    target = tmp_path / "int8.onnx"
    quantise(model, target, list(record_feeds(model, [frames(2)])), PARTS)
    nodes = onnx.load(str(target)).graph.node
    makers = {output: node for node in nodes for output in node.output}
    convolutions = {node.name: node for node in nodes if node.op_type == "Conv"}
    skip = next(node for name, node in convolutions.items() if "head/from_skip" in name)
    assert makers[skip.input[0]].op_type == "Relu"
    # what follows the stem in 8 bits still reads its 8-bit form
    follows = next(node for name, node in convolutions.items() if "down2" in name)
    assert makers[follows.input[0]].op_type == "DequantizeLinear"
    # a rectifier is no node of its own between convolutions: 8-bit codes end at zero anyway
    assert not any("down" in node.name for node in nodes if node.op_type == "Relu")
