"""A look at an ONNX file's outline before any runtime parses it.

ONNX is a protobuf message. Only what matters for safety and for choosing a contract is read here:
the names of the graph's inputs and outputs, and whether anything refers to another file (tensors
stored outside, compiled contexts). Such files are refused: a model is the one file whose hash was
checked, and path tricks in external data have been a hole more than once (CVE-2022-25882,
CVE-2024-27318, CVE-2025-51480).

Field numbers are those of onnx.proto3 (IR version 3 and later).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rvm.errors import ModelError

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MODEL_GRAPH, _MODEL_FUNCTION = 7, 25
_GRAPH_NODE, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_SPARSE = 1, 5, 11, 12, 15
_FUNCTION_NODE = 7
_NODE_OPERATOR, _NODE_ATTRIBUTE = 4, 5
_ATTRIBUTE_TENSORS, _ATTRIBUTE_GRAPHS, _ATTRIBUTE_SPARSE = (5, 10), (6, 11), (22, 23)
_TENSOR_NAME, _TENSOR_EXTERNAL, _TENSOR_LOCATION = 8, 13, 14
_VALUE_NAME = 1
_SPARSE_TENSORS = (1, 2)
_MAX_DEPTH = 16


@dataclass(frozen=True, slots=True)
class OnnxOutline:
    """Names of the graph's inputs (without initialisers) and outputs, in file order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class _RefusedError(ValueError):
    """It is an ONNX model, but one that is not opened."""


def read_outline(data: bytes, name: str) -> OnnxOutline:
    """Read the outline of a serialised ONNX model.

    Args:
        data: the whole file.
        name: its name, for messages.

    Raises:
        ModelError: no ONNX model, or one that refers to other files.
    """
    try:
        view = memoryview(data)
        graphs = [part for field, part in _fields(view) if field == _MODEL_GRAPH]
        if len(graphs) != 1:
            raise ValueError("no graph in it")
        for field, part in _fields(view):
            if field == _MODEL_FUNCTION:
                _check_nodes(part, _FUNCTION_NODE, 0)
        _check_graph(graphs[0], 0)
        return _outline(graphs[0])
    except _RefusedError as error:
        raise ModelError(f"{name} is not a usable ONNX model: {error}") from None
    except (ValueError, IndexError, UnicodeDecodeError):
        raise ModelError(
            f"{name} is no ONNX file, or a damaged one; fetch it again, or give another --model"
        ) from None


def _outline(graph: memoryview) -> OnnxOutline:
    inputs, outputs, constants = [], [], set()
    for field, part in _fields(graph):
        if field == _GRAPH_INPUT:
            inputs.append(_text(part, _VALUE_NAME))
        elif field == _GRAPH_OUTPUT:
            outputs.append(_text(part, _VALUE_NAME))
        elif field == _GRAPH_INITIALIZER:
            constants.add(_text(part, _TENSOR_NAME))
    return OnnxOutline(tuple(n for n in inputs if n not in constants), tuple(outputs))


def _check_graph(graph: memoryview, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise _RefusedError("graphs nested too deeply")
    for field, part in _fields(graph):
        if field == _GRAPH_INITIALIZER:
            _check_tensor(part)
        elif field == _GRAPH_SPARSE:
            _check_sparse(part)
    _check_nodes(graph, _GRAPH_NODE, depth)


def _check_nodes(owner: memoryview, node_field: int, depth: int) -> None:
    for field, node in _fields(owner):
        if field != node_field:
            continue
        for inner, part in _fields(node):
            if inner == _NODE_OPERATOR and bytes(part) == b"EPContext":
                raise _RefusedError("it holds a compiled context, which may refer to other files")
            if inner == _NODE_ATTRIBUTE:
                _check_attribute(part, depth)


def _check_attribute(attribute: memoryview, depth: int) -> None:
    for field, part in _fields(attribute):
        if field in _ATTRIBUTE_TENSORS:
            _check_tensor(part)
        elif field in _ATTRIBUTE_GRAPHS:
            _check_graph(part, depth + 1)
        elif field in _ATTRIBUTE_SPARSE:
            _check_sparse(part)


def _check_sparse(sparse: memoryview) -> None:
    for field, part in _fields(sparse):
        if field in _SPARSE_TENSORS:
            _check_tensor(part)


def _check_tensor(tensor: memoryview) -> None:
    for field, part in _fields(tensor):
        external = field == _TENSOR_EXTERNAL or (field == _TENSOR_LOCATION and bytes(part) != b"\0")
        if external:
            raise _RefusedError("its weights lie in another file; store them inside the model")


def _text(message: memoryview, wanted: int) -> str:
    return next((bytes(p).decode() for field, p in _fields(message) if field == wanted), "")


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (field number, payload) of a protobuf message; a varint's payload is its bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        start = at
        if wire == _VARINT:
            _, at = _varint(message, at)
        elif wire == _BYTES:
            length, start = _varint(message, at)
            at = start + length
        elif wire in (_FIXED64, _FIXED32):
            at += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError("not a protobuf message")
        if at > len(message):
            raise ValueError("cut off")
        yield key >> 3, message[start:at]


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("not a protobuf message")
