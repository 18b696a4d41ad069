"""Looking at an ONNX file before any runtime does."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from rvm.errors import ModelError
from rvm.matting import load_engine
from rvm.matting.onnx_file import read_outline
from tests import synth_models


def test_names_of_inputs_and_outputs() -> None:
    outline = read_outline(synth_models.rvm_model(), "tiny")
    assert outline.inputs == ("src", "r1i", "r2i", "r3i", "r4i", "downsample_ratio")
    assert outline.outputs == ("fgr", "pha", "r1o", "r2o", "r3o", "r4o")


def test_initialisers_listed_as_inputs_are_no_inputs() -> None:
    model = onnx.load_from_string(synth_models.mask_model())
    constant = model.graph.initializer[0]
    model.graph.input.append(
        helper.make_tensor_value_info(constant.name, constant.data_type, list(constant.dims))
    )
    assert read_outline(model.SerializeToString(), "tiny").inputs == ("image",)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_external_data_is_refused_before_any_runtime(tmp_path: Path, engine: str) -> None:
    pytest.importorskip(engine)
    path = tmp_path / "external.onnx"
    path.write_bytes(synth_models.external_model())
    with pytest.raises(ModelError, match="in another file"):
        load_engine(path, engine=engine, device="cpu")


def test_external_data_deep_inside_is_found() -> None:
    hidden = onnx.load_from_string(synth_models.external_model())
    branch = helper.make_graph([], "branch", [], [], [hidden.graph.initializer[1]])
    constant = helper.make_node("Constant", [], ["c"], value=hidden.graph.initializer[1])
    for node in (
        helper.make_node("If", ["condition"], ["out"], then_branch=branch, else_branch=branch),
        constant,
    ):
        model = onnx.load_from_string(synth_models.mask_model())
        model.graph.node.append(node)
        with pytest.raises(ModelError, match="in another file"):
            read_outline(model.SerializeToString(), "tiny")
    model = onnx.load_from_string(synth_models.mask_model())
    function = helper.make_function("d", "f", [], ["c"], [constant], [helper.make_opsetid("", 18)])
    model.functions.append(function)
    with pytest.raises(ModelError, match="in another file"):
        read_outline(model.SerializeToString(), "tiny")


def test_a_compiled_context_is_refused() -> None:
    model = onnx.load_from_string(synth_models.mask_model())
    node = helper.make_node("EPContext", ["image"], ["x"], domain="com.microsoft")
    model.graph.node.append(node)
    with pytest.raises(ModelError, match="compiled context"):
        read_outline(model.SerializeToString(), "tiny")


def test_rubbish_is_refused_in_one_line() -> None:
    good = synth_models.rvm_model()
    random = np.random.default_rng(0)
    cases = [b"", b"\0" * 100, b"GIF89a" * 20, os.urandom(500), good[: len(good) // 2]]
    for _ in range(300):
        damaged = bytearray(good)
        for at in random.integers(len(good), size=5):
            damaged[at] = random.integers(256)
        cases.append(bytes(damaged))
    for data in cases[:3]:
        with pytest.raises(ModelError, match=r"^tiny\.onnx is no ONNX file"):
            read_outline(data, "tiny.onnx")
    for data in cases:
        try:
            read_outline(data, "tiny.onnx")
        except ModelError as error:
            assert "\n" not in str(error)  # noqa: PT017 (damage that changes no structure passes)


@pytest.mark.parametrize("cut", [0, 10, 500])
def test_a_truncated_model_is_refused_in_one_line(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(synth_models.rvm_model()[:cut])
    with pytest.raises(ModelError, match=r"cut\.onnx") as caught:
        load_engine(path, device="cpu")
    assert "\n" not in str(caught.value)
