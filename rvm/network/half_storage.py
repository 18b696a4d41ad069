"""ONNX files whose weights are stored in half precision: half the bytes, the same numbers.

Each such weight is followed by a cast to single precision, which runtimes do once when they load
the file (constant folding), so that nothing is slower.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: Smaller tensors are scales and biases, whose bytes do not count.
LEAST_VALUES = 256
_SUFFIX = "_half"


def halve(model: onnx.ModelProto) -> None:
    """Store in half precision, in place, what it holds exactly; the rest stays as it is."""
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        values = int(np.prod(tensor.dims))
        if tensor.data_type != TensorProto.FLOAT or values < LEAST_VALUES:
            continue
        name, whole = tensor.name, numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = whole.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), whole):
            continue
        tensor.CopyFrom(numpy_helper.from_array(half, name + _SUFFIX))
        casts.append(helper.make_node("Cast", [name + _SUFFIX], [name], name, to=TensorProto.FLOAT))
    replace_nodes(graph, [*casts, *graph.node])


def restore(model: onnx.ModelProto) -> None:
    """Undo `halve`, in place: for tools that look for weights where they are used."""
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    nodes = []
    for node in graph.node:
        tensor = tensors.get(node.input[0]) if node.op_type == "Cast" else None
        if tensor is None or not tensor.name.endswith(_SUFFIX):
            nodes.append(node)
            continue
        whole = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(whole, node.output[0]))
    replace_nodes(graph, nodes)


def replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    """Let a graph have these nodes, some of which may be its own."""
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
