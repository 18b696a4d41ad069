"""Tiny ONNX models with the contracts of the real ones, whose mattes can be worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

_STATES = ("r1", "r2", "r3", "r4")
_FREE = (None, None, None, None)


def _value(name: str, shape: tuple[Any, ...], kind: int = TensorProto.FLOAT) -> Any:
    return helper.make_tensor_value_info(name, kind, list(shape))


def _constant(name: str, values: Any) -> Any:
    return numpy_helper.from_array(np.asarray(values, np.float32), name)


def _state_nodes(source: str) -> list[Any]:
    """r1o = (r1i + mean of RGB) / 2 at the picture's size; the other states pass through."""
    return [
        helper.make_node("ReduceMean", [source, "channel_axis"], ["grey"], keepdims=1),
        helper.make_node("Add", ["r1i", "grey"], ["sum"]),
        helper.make_node("Mul", ["sum", "half"], ["r1o"]),
        *(helper.make_node("Identity", [f"{name}i"], [f"{name}o"]) for name in _STATES[1:]),
    ]


def _save(nodes: list[Any], inputs: list[Any], outputs: list[Any], constants: list[Any]) -> bytes:
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, producer_name="tests"
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _states(suffix: str) -> list[Any]:
    return [_value(name + suffix, _FREE) for name in _STATES]


def _shared_constants() -> list[Any]:
    axis = numpy_helper.from_array(np.array([1], np.int64), "channel_axis")
    return [axis, _constant("half", 0.5)]


def rvm_model(
    *, ratio_input: bool = True, size: tuple[int, int] | None = None, alpha_factor: float = 1.0
) -> bytes:
    """Contract "rvm": alpha = factor * running mean of the greys (1/2, 1/4, ...), fgr = src.

    Args:
        ratio_input: have an input `downsample_ratio` (it changes nothing).
        size: (width, height) that the model is fixed to.
        alpha_factor: nan makes every alpha not a number.
    """
    width, height = size or (None, None)
    nodes = [
        *_state_nodes("src"),
        helper.make_node("Mul", ["r1o", "factor"], ["pha"]),
        helper.make_node("Identity", ["src"], ["fgr"]),
    ]
    inputs = [_value("src", (1, 3, height, width)), *_states("i")]
    constants = [*_shared_constants(), _constant("factor", alpha_factor)]
    if ratio_input:
        inputs.append(_value("downsample_ratio", (1,)))
        nodes.append(helper.make_node("Identity", ["downsample_ratio"], ["ratio_seen"]))
    outputs = [_value("fgr", _FREE), _value("pha", _FREE), *_states("o")]
    return _save(nodes, inputs, outputs, constants)


def compact_model() -> bytes:
    """Contract "rvm-compact-core": alpha = Y / 2 + running mean / 2, coarse alpha = 0.25."""
    nodes = [
        *_state_nodes("src_small"),
        helper.make_node("Mul", ["grey", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "half"], ["alpha_scale"]),
        helper.make_node("Mul", ["r1o", "half"], ["alpha_offset"]),
        helper.make_node("Add", ["nothing", "quarter"], ["pha"]),
    ]
    inputs = [_value("src_small", (1, 3, None, None)), *_states("i")]
    names = ("alpha_scale", "alpha_offset", "pha")
    outputs = [*(_value(name, _FREE) for name in names), *_states("o")]
    constants = [*_shared_constants(), _constant("zero", 0.0), _constant("quarter", 0.25)]
    return _save(nodes, inputs, outputs, constants)


def mask_model(width: int = 64, height: int = 32) -> bytes:
    """Contract "mask", NHWC: the mask is the mean of RGB."""
    axis = numpy_helper.from_array(np.array([3], np.int64), "channel_axis")
    nodes = [helper.make_node("ReduceMean", ["image", "channel_axis"], ["mask"], keepdims=1)]
    image = _value("image", (1, height, width, 3))
    return _save(nodes, [image], [_value("mask", (1, height, width, 1))], [axis])


def external_model() -> bytes:
    """Contract "rvm", but one constant lies in /etc/hostname."""
    model = onnx.load_from_string(rvm_model())
    tensor = next(item for item in model.graph.initializer if item.name == "half")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "../../../../etc/hostname"), ("length", "4")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return bytes(model.SerializeToString())
