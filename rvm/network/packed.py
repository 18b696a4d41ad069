"""ONNX files with weights in a quarter or a half of the bytes: the same numbers come out.

Kernels on their grid (:mod:`rvm.network.grid`) are stored as bytes, followed by a cast and a
multiplication with their steps; other large tensors in half precision where it holds them, followed
by a cast. Runtimes do both once when they load the file (constant folding), so that nothing is
slower, and all that is computed is in single precision.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from rvm.network.grid import as_bytes, is_dense

Float32 = npt.NDArray[np.float32]

#: Smaller tensors are scales and biases, whose bytes do not count.
LEAST_VALUES = 256
_HALF, _BYTES, _STEPS = "_half", "_bytes", "_steps"


def pack(model: onnx.ModelProto) -> None:
    """Store in fewer bytes, in place, what they hold exactly; the rest stays as it is."""
    graph = model.graph
    nodes: list[onnx.NodeProto] = []
    added: list[TensorProto] = []
    for tensor in graph.initializer:
        values = int(np.prod(tensor.dims))
        if tensor.data_type != TensorProto.FLOAT or values < LEAST_VALUES:
            continue
        name, whole = tensor.name, numpy_helper.to_array(tensor)
        packed = as_bytes(whole) if is_dense(whole.shape) else None
        if packed is not None:
            tensor.CopyFrom(numpy_helper.from_array(packed[0], name + _BYTES))
            added.append(numpy_helper.from_array(packed[1], name + _STEPS))
            cast = f"{name}_numbers"
            nodes.append(helper.make_node("Cast", [name + _BYTES], [cast], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [cast, name + _STEPS], [name], name))
            continue
        half = _half(whole)
        if half is not None:
            tensor.CopyFrom(numpy_helper.from_array(half, name + _HALF))
            nodes.append(
                helper.make_node("Cast", [name + _HALF], [name], name, to=TensorProto.FLOAT)
            )
    graph.initializer.extend(added)
    replace_nodes(graph, [*nodes, *graph.node])


def _half(whole: Float32) -> npt.NDArray[np.float16] | None:
    with np.errstate(over="ignore"):
        half = whole.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), whole) else None


def unpack(model: onnx.ModelProto) -> None:
    """Undo `pack`, in place: for tools that look for weights where they are used."""
    graph = model.graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    whole: dict[str, Float32] = {}
    nodes, dropped = [], set()
    for node in graph.node:
        source, made = node.input[0] if node.input else "", node.output[0]
        if node.op_type == "Cast" and source.endswith((_HALF, _BYTES)) and source in tensors:
            whole[made] = tensors[source].astype(np.float32)
            dropped.add(source)
        elif node.op_type == "Mul" and node.input[1].endswith(_STEPS) and source in whole:
            whole[made] = whole.pop(source) * tensors[node.input[1]]
            dropped.add(node.input[1])
        else:
            nodes.append(node)
    kept = [t.SerializeToString() for t in graph.initializer if t.name not in dropped]
    del graph.initializer[:]
    graph.initializer.extend(TensorProto.FromString(tensor) for tensor in kept)
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in whole.items())
    replace_nodes(graph, nodes)


def replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Let a graph have these nodes, some of which may be its own."""
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
