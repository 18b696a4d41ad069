"""ONNX files in a quarter of the bytes: the same numbers come out, and come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from rvm.network.compact import CompactConfig, CompactMatting
from rvm.network.compact_export import LEAN_OUTPUTS, STATE_INPUTS, export_lean, round_weights
from rvm.network.fold import fold_normalisation
from rvm.network.grid import is_dense
from rvm.network.packed import LEAST_VALUES, pack, unpack

SMALL = CompactConfig((8, 8, 16, 16, 16), (1, 1, 1, 1), (8, 8, 8, 8, 16))


@pytest.fixture(scope="module")
def network() -> CompactMatting:
    """Rounded weights, and normalisation that does something."""
    torch.manual_seed(0)
    made = CompactMatting(SMALL)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0, 0.3)  # type: ignore[arg-type]
            torch.nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return round_weights(made).eval()


def outputs(model: onnx.ModelProto) -> list[Any]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    picture = np.random.default_rng(1).random((1, 3, 64, 96)).astype(np.float32)
    zeros = dict.fromkeys(STATE_INPUTS, np.zeros((1, 1, 1, 1), np.float32))
    return list(session.run(list(LEAN_OUTPUTS), {"src_small": picture, **zeros}))


def test_the_same_numbers_come_out(network: CompactMatting, tmp_path: Path) -> None:
    path = tmp_path / "lean.onnx"
    export_lean(network, path)
    packed = onnx.load(str(path))
    whole = onnx.load(str(path))
    unpack(whole)
    kinds = {onnx.TensorProto.FLOAT16: False, onnx.TensorProto.INT8: True}
    large = [t for t in packed.graph.initializer if np.prod(t.dims) >= LEAST_VALUES]
    assert {t.data_type for t in large} == set(kinds)
    assert all(kinds[t.data_type] == is_dense(tuple(t.dims)) for t in large)
    assert {t.data_type for t in whole.graph.initializer} == {onnx.TensorProto.FLOAT}
    for ours, theirs in zip(outputs(packed), outputs(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    again = onnx.ModelProto.FromString(whole.SerializeToString())
    pack(again)
    assert {t.name for t in again.graph.initializer} == {t.name for t in packed.graph.initializer}


def test_what_half_precision_does_not_hold_stays() -> None:
    values = np.full(LEAST_VALUES, 0.1, np.float32)
    tensor = onnx.numpy_helper.from_array(values, "w")
    shape = [LEAST_VALUES]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "w"], ["y"])], "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape)],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)], [tensor],
    )  # fmt: skip
    model = onnx.helper.make_model(graph)
    pack(model)
    (kept,) = model.graph.initializer
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(kept), values)


def test_folded_normalisation_gives_the_same(network: CompactMatting, tmp_path: Path) -> None:
    path = tmp_path / "lean.onnx"
    export_lean(network, path)
    model = onnx.load(str(path))
    before = outputs(model)
    unpack(model)
    fold_normalisation(model)
    onnx.checker.check_model(model)
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used
    for ours, theirs in zip(outputs(model), before, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)
