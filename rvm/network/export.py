"""The network as an ONNX file, in one of two forms.

Static: one frame size, ratio and batch, baked in. Every shape in the file is a number and nothing
computes shapes, so engine builders such as TensorRT take it as it is. The first frame's states are
zeros of full shape.

    src [B,3,H,W]  r1i..r4i [B,C,h,w]  ->  fgr [B,3,H,W]  pha [B,1,H,W]  r1o..r4o [B,C,h,w]

Dynamic: any size and batch, and the ratio is an input. The first frame's states are zeros, of full
shape or [1,1,1,1]. The refiner always runs, at ratio 1 too. Each state has dimension symbols of its
own: giving all inputs the same ones declares them equal, which they are not.

    src [batch,3,height,width]  r1i..r4i [..]  downsample_ratio [1]  ->  fgr  pha  r1o..r4o

Tensors are float32, RGB and alpha 0..1; names follow the published ONNX files. Both forms need the
TorchScript exporter: the newer one cannot express a resize by a run-time factor.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxscript.optimizer
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rvm.errors import ModelError
from rvm.network.matting_network import MattingNetwork, downsample
from rvm.network.state import RecurrentState, Shape

STATE_INPUTS = ("r1i", "r2i", "r3i", "r4i")
STATE_OUTPUTS = ("r1o", "r2o", "r3o", "r4o")
RATIO_INPUT = "downsample_ratio"
OUTPUTS = ("fgr", "pha", *STATE_OUTPUTS)
OPSET = 17
# Sizes of the picture that the dynamic form is traced with: any odd ones, distinct at every scale.
_TRACED = (1, 90, 122, 0.5)


@dataclass(frozen=True, slots=True)
class StaticShape:
    """What the static form is made for: frames ``[batch, 3, height, width]`` and a ratio (0..1]."""

    height: int
    width: int
    downsample_ratio: float = 1.0
    batch: int = 1


class _ResizeByRatio(torch.autograd.Function):
    """:func:`rvm.network.matting_network.downsample` with the ratio as a tensor ``[1]``."""

    @staticmethod
    def forward(ctx: Any, src: Tensor, ratio: Tensor) -> Tensor:
        scale = float(ratio[0])
        return F.interpolate(src, scale_factor=scale, mode="bilinear", recompute_scale_factor=False)

    @staticmethod
    def symbolic(g: Any, src: Any, ratio: Any) -> Any:
        keep = g.op("Constant", value_t=torch.ones(2))
        no_region = g.op("Constant", value_t=torch.empty(0))
        scales = g.op("Concat", keep, ratio, ratio, axis_i=0)
        return g.op(
            "Resize",
            src,
            no_region,
            scales,
            mode_s="linear",
            coordinate_transformation_mode_s="half_pixel",
        )


class _StaticForm(nn.Module):
    def __init__(self, network: MattingNetwork, ratio: float) -> None:
        super().__init__()
        self.network = network
        self.ratio = ratio

    def forward(self, src: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        small = downsample(src, self.ratio)
        out = self.network.matte(src, small, RecurrentState(state), refine=self.ratio != 1)
        return (out.foreground, out.alpha, *out.state.levels)


class _DynamicForm(nn.Module):
    def __init__(self, network: MattingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, src: Tensor, *state_and_ratio: Tensor) -> tuple[Tensor, ...]:
        *state, ratio = state_and_ratio
        small: Tensor = _ResizeByRatio.apply(src, ratio)
        shapes = self.network.decoder.state_shapes(src.shape[0], small.shape[2], small.shape[3])
        # First frames bring [1, 1, 1, 1]; for all others this changes nothing.
        levels = tuple(r.expand(shape) for r, shape in zip(state, shapes, strict=True))
        out = self.network.matte(src, small, RecurrentState(levels), refine=True)
        return (out.foreground, out.alpha, *out.state.levels)


def export_static(
    network: MattingNetwork, path: str | Path, shape: StaticShape, opset: int = OPSET
) -> None:
    """Write the static form of ``network``; what is at ``path`` is replaced.

    Raises:
        UsageError: the ratio is out of range or leaves no pixel.
    """
    ratio = shape.downsample_ratio
    src = torch.zeros(shape.batch, 3, shape.height, shape.width)
    shapes = network.state_shapes(shape.batch, shape.height, shape.width, ratio)
    state = tuple(torch.zeros(level) for level in shapes)
    _trace(_StaticForm(network, ratio), (src, *state), ("src", *STATE_INPUTS), path, opset, None)
    _finish(path, {"rvm.form": "static", "rvm.downsample_ratio": str(ratio)}, {})


def export_dynamic(network: MattingNetwork, path: str | Path, opset: int = OPSET) -> None:
    """Write the dynamic form of ``network``; what is at ``path`` is replaced."""
    batch, height, width, ratio = _TRACED
    src = torch.rand(batch, 3, height, width)
    state = tuple(torch.zeros(s) for s in network.state_shapes(batch, height, width, ratio))
    inputs = ("src", *STATE_INPUTS, RATIO_INPUT)
    axes = {name: dict(enumerate(dims)) for name, dims in _dynamic_dims(network).items()}
    symbols = {
        name: {axis: dim for axis, dim in dims.items() if isinstance(dim, str)}
        for name, dims in axes.items()
    }
    example = (src, *state, torch.tensor([ratio]))
    _trace(_DynamicForm(network), example, inputs, path, opset, symbols)
    _finish(path, {"rvm.form": "dynamic"}, _dynamic_dims(network))


def _dynamic_dims(network: MattingNetwork) -> dict[str, tuple[str | int, ...]]:
    dims: dict[str, tuple[str | int, ...]] = {
        "src": ("batch", 3, "height", "width"),
        "fgr": ("batch", 3, "height", "width"),
        "pha": ("batch", 1, "height", "width"),
    }
    for name in STATE_INPUTS:
        dims[name] = tuple(f"{name}_{axis}" for axis in ("batch", "channels", "height", "width"))
    for name, channels in zip(STATE_OUTPUTS, network.decoder.state_channels, strict=True):
        dims[name] = ("batch", channels, f"{name}_height", f"{name}_width")
    return dims


def _trace(
    form: nn.Module,
    example: tuple[Tensor, ...],
    inputs: tuple[str, ...],
    path: str | Path,
    opset: int,
    symbols: Mapping[str, Mapping[int, str]] | None,
) -> None:
    with torch.inference_mode(), _quiet_exporter():
        torch.onnx.export(
            form.eval(),
            example,
            str(path),
            input_names=list(inputs),
            output_names=list(OUTPUTS),
            dynamic_axes=symbols,
            opset_version=opset,
            dynamo=False,
        )


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Hush that the exporter is old, and that the traced ratio is read (the symbol replaces it)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.filterwarnings("ignore", message="Converting a tensor to a Python float")
        yield


def _finish(
    path: str | Path, metadata: Mapping[str, str], dims: Mapping[str, tuple[str | int, ...]]
) -> None:
    """Name the form, declare the output shapes the tracer lost, and check the file."""
    model = onnx.load(str(path))
    if not dims:
        model = onnxscript.optimizer.optimize(model)  # folds what computes the known shapes
    for output in model.graph.output:
        if output.name in dims:
            _declare(output, dims[output.name])
    onnx.helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _declare(value: Any, dims: tuple[str | int, ...]) -> None:
    for declared, dim in zip(value.type.tensor_type.shape.dim, dims, strict=True):
        if isinstance(dim, str):
            declared.dim_param = dim
        else:
            declared.dim_value = dim


def compare(
    network: MattingNetwork, path: str | Path, shape: StaticShape, frames: int = 3
) -> float:
    """Run file and network side by side on random frames, each carrying its own state.

    Args:
        network: what was exported, on the CPU in evaluation mode.
        path: the file, of either form.
        shape: frame size, batch and ratio to run with; for the static form the file's own.
        frames: how many frames in a row.

    Returns:
        The largest absolute difference in any foreground, alpha or state value.

    Raises:
        ModelError: ONNX Runtime refuses the file.
    """
    session = _session(path)
    names = [value.name for value in session.get_inputs()]
    dynamic = RATIO_INPUT in names
    ratio = shape.downsample_ratio
    shapes: tuple[Shape, ...] = ((1, 1, 1, 1),) * len(STATE_INPUTS)
    if not dynamic:
        shapes = network.state_shapes(shape.batch, shape.height, shape.width, ratio)
    states = [np.zeros(level, np.float32) for level in shapes]
    state, worst = RecurrentState.fresh(), 0.0
    generator = torch.Generator().manual_seed(0)
    for _ in range(frames):
        src = torch.rand(shape.batch, 3, shape.height, shape.width, generator=generator)
        feeds = [src.numpy(), *states, np.array([ratio], np.float32)]
        results = session.run(list(OUTPUTS), dict(zip(names, feeds, strict=False)))
        states = results[2:]
        with torch.inference_mode():
            out = network(src, state, ratio, always_refine=dynamic)
        state = out.state
        expected = (out.foreground, out.alpha, *state.levels)
        pairs = zip(results, expected, strict=True)
        worst = max(worst, *(float(np.abs(a - b.numpy()).max()) for a, b in pairs))
    return worst


def _session(path: str | Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen private types
        raise ModelError(f"ONNX Runtime refuses {path}: {error}") from error
