"""Batch normalisation made part of the convolutions before it, in an ONNX graph.

Runtimes do this when they load a file; quantisation needs it done before.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from rvm.network.packed import replace_nodes


def fold_normalisation(model: onnx.ModelProto) -> None:
    """Put each batch normalisation into the convolution before it, in place."""
    graph = model.graph
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    makers = {output: node for node in graph.node for output in node.output}

    def constant(name: str) -> npt.NDArray[np.float32]:
        while name not in tensors:  # the exporter names equal tensors once
            name = makers[name].input[0]
        return np.asarray(numpy_helper.to_array(tensors[name]), np.float32)

    nodes = []
    for node in graph.node:
        if node.op_type != "BatchNormalization":
            nodes.append(node)
            continue
        convolution = makers[node.input[0]]
        scale, bias, mean, variance = (constant(name) for name in node.input[1:5])
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        factor = scale / np.sqrt(variance + np.float32(epsilon))
        folded = constant(convolution.input[1]) * factor.reshape(-1, 1, 1, 1)
        shift = bias - mean * factor
        if len(convolution.input) > 2:
            shift = shift + constant(convolution.input[2]) * factor
        names = [f"{convolution.name}.weight", f"{convolution.name}.bias"]
        for name, values in zip(names, (folded, shift), strict=True):
            graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), name))
        inputs = [convolution.input[0], *names]
        del convolution.input[:]
        convolution.input.extend(inputs)
        convolution.output[0] = node.output[0]
    replace_nodes(graph, nodes)
    used = {name for node in graph.node for name in node.input}
    kept = [t.SerializeToString() for t in graph.initializer if t.name in used]
    del graph.initializer[:]
    graph.initializer.extend(onnx.TensorProto.FromString(tensor) for tensor in kept)
