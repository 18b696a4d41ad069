"""The compact network with 8-bit convolutions, and float ones wherever 8 bits would hurt.

Post-training quantisation in ONNX Runtime's QDQ form: weights per output channel and symmetric,
activations per tensor, their ranges taken from real frames (Jacob et al., CVPR 2018, section 2).
The recurrent gates and the head stay in floating point: their errors would be fed back or end up in
the matte as steps. So does the stem, whose three input channels leave 8-bit kernels mostly idle
(three times slower, measured). The sums between residual convolutions are 8-bit too, or every block
would go there and back; and so are their rectifiers, which then are part of the convolution before
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from rvm.network.compact_export import STATE_INPUTS
from rvm.network.fold import fold_normalisation
from rvm.network.packed import LEAST_VALUES, pack, unpack

Feeds = dict[str, npt.NDArray[np.float32]]

PARTS = (
    "down5", "corrections.3", "down4", "corrections.2", "down3", "corrections.1", "down2",
    "corrections.0", "to_decoder", "up3/corrections", "up2/corrections", "up1/corrections",
    "up3/detail", "up2/detail", "up1/detail",
)  # fmt: skip
"""What may be quantised, by the names of layers: dense convolutions, most in runs that follow one
another. One of few channels between float layers takes longer in 8 bits, with the conversions, than
in floating point. The decoder's own brought the larger network from 8.2 to 6.6 ms (352x192, Zen 4,
one core)."""


class Recorded(CalibrationDataReader):  # type: ignore[misc]
    """Hands recorded inputs to the calibration, one by one."""

    def __init__(self, feeds: Iterable[Feeds]) -> None:
        self._left = iter(feeds)

    def get_next(self) -> Feeds | None:
        """The next frame with its state; None at the end."""
        return next(self._left, None)


def record_feeds(
    model: Path, sequences: Iterable[Sequence[npt.NDArray[np.float32]]]
) -> Iterator[Feeds]:
    """What the float network is fed on real sequences, its own state included.

    Args:
        model: the ``lean`` form.
        sequences: small frames [1,3,h,w] RGB 0..1, in order.
    """
    session = ort.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    outputs = [name.replace("i", "o") for name in STATE_INPUTS]
    for frames in sequences:
        state: list[Any] = [np.zeros((1, 1, 1, 1), np.float32)] * len(STATE_INPUTS)
        for frame in frames:
            feeds = {"src_small": frame, **dict(zip(STATE_INPUTS, state, strict=True))}
            yield feeds
            state = session.run(outputs, feeds)


def chosen_nodes(model: Path, parts: Sequence[str]) -> list[str]:
    """Names of the dense convolutions, rectifiers and sums that belong to some parts."""
    found = []
    for node in onnx.load(str(model)).graph.node:
        grouped = any(a.name == "group" and a.i > 1 for a in node.attribute)
        if node.op_type in ("Add", "Relu") or (node.op_type == "Conv" and not grouped):
            path = node.name.removeprefix("/network").removeprefix("/")
            if any(path.startswith(f"{part}/") for part in parts):
                found.append(node.name)
    return found


def keep_float_where_it_is(model: onnx.ModelProto) -> None:
    """Let float convolutions read a float convolution itself, not its 8-bit form, in place.

    The head reads the stem so: the largest tensor of all is spared two conversions and their error.
    """
    makers = {output: node for node in model.graph.node for output in node.output}

    def maker(name: str, *kinds: str) -> onnx.NodeProto | None:
        node = makers.get(name)
        return node if node is not None and node.op_type in kinds else None

    def is_float(node: onnx.NodeProto) -> bool:
        return node.op_type == "Conv" and maker(node.input[1], "DequantizeLinear") is None

    for node in filter(is_float, model.graph.node):
        back = maker(node.input[0], "DequantizeLinear")
        rounded = back and maker(back.input[0], "QuantizeLinear")
        if rounded is None:
            continue
        source = maker(rounded.input[0], "Relu", "Conv")
        if source is not None and source.op_type == "Relu":
            source = maker(source.input[0], "Conv")
        if source is not None and is_float(source):
            node.input[0] = rounded.input[0]


def halve_what_is_float(model: onnx.ModelProto) -> None:
    """Round large float weights to half precision and store them so, in place.

    They were folded with their normalisation and so are no longer what half precision holds.
    """
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and np.prod(tensor.dims) >= LEAST_VALUES:
            half = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(half.astype(np.float32), tensor.name))
    pack(model)


def quantise(model: Path, target: Path, feeds: Sequence[Feeds], parts: Sequence[str]) -> None:
    """Write the 8-bit twin of a ``lean`` file; what is at ``target`` is replaced.

    Weights keep to 7 bits: processors without VNNI add two products in 16 bits, and would clip.
    """
    plain = onnx.load(str(model))
    unpack(plain)
    fold_normalisation(plain)
    properties = {p.key: p.value for p in plain.metadata_props}
    quantize_static(
        plain,
        str(target),
        Recorded(feeds),
        quant_format=QuantFormat.QDQ,
        nodes_to_quantize=chosen_nodes(model, parts),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        calibrate_method=CalibrationMethod.MinMax,
    )
    written = onnx.load(str(target))
    keep_float_where_it_is(written)
    halve_what_is_float(written)
    onnx.helper.set_model_props(written, properties)
    onnx.checker.check_model(written)
    onnx.save(written, str(target))
