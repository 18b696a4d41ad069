"""The compact network as ONNX, in three forms, and as safetensors.

    lean   src_small [b,3,h,w], r1i..r4i -> matte_planes, fgr_residual, r1o..r4o
    core   src_small [b,3,h,w], r1i..r4i -> alpha_scale, alpha_offset, fgr_residual, pha, r1o..r4o
    full   src [1,3,H,W],       r1i..r4i -> fgr, pha, r1o..r4o

``lean`` is what the CPU engines run: the guided filter, thirty small operations that took a seventh
of the graph's time, happens outside (:mod:`rvm.matting.guide`), as does refinement, on the frame's
own planes. ``matte_planes`` [b,5,h/2,w/2] are the alpha of the four pixels of each cell, less 0.5
and not clamped, and the logarithm of the filter's regulariser. ``core`` has the filter inside.
``full`` scales down and refines within the graph: the small size is baked in, H and W are free
(each at least :data:`POOL`). States are zeros [1,1,1,1] or of full shape to begin; every
state has its own dimension symbols. A state of another size is an error at run time.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from rvm.network.compact import CompactMatting, network_from, refine
from rvm.network.grid import is_dense, on_grid, pack_tensors, unpack_tensors
from rvm.network.packed import pack, unpack

OPSET = 18
EXAMPLE = (96, 160)
"""(height, width) of the picture that the tracer sees; the file takes any."""
POOL = 3
"""``full`` averages POOL x POOL pixels before it resizes, against aliasing."""
STATE_INPUTS = ("r1i", "r2i", "r3i", "r4i")
STATE_OUTPUTS = ("r1o", "r2o", "r3o", "r4o")
CORE_OUTPUTS = ("alpha_scale", "alpha_offset", "fgr_residual", "pha", *STATE_OUTPUTS)
LEAN_OUTPUTS = ("matte_planes", "fgr_residual", *STATE_OUTPUTS)
FULL_OUTPUTS = ("fgr", "pha", *STATE_OUTPUTS)
_PROPERTY, _NETWORK = "rvm.network.", "network."


class CoreForm(nn.Module):
    """The network with flat inputs and outputs."""

    def __init__(self, network: CompactMatting) -> None:
        super().__init__()
        self.network = network

    def forward(self, src_small: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """See the module docstring."""
        out = self.network(src_small, state)
        return (out.alpha_scale, out.alpha_offset, out.fgr_residual, out.pha, *out.state)


class LeanForm(nn.Module):
    """Everything that has weights, with flat inputs and outputs."""

    def __init__(self, network: CompactMatting) -> None:
        super().__init__()
        self.network = network

    def forward(self, src_small: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """See the module docstring."""
        planes, states, _ = self.network.planes(src_small, state)
        matte, residual = torch.split(planes, [5, 3], 1)
        return (matte, residual, *states)


class FullForm(nn.Module):
    """The network between a resize to a fixed small size and the refinement."""

    def __init__(self, network: CompactMatting, small: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.small = small

    def forward(self, src: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """See the module docstring; ``small`` is (height, width)."""
        pooled = F.avg_pool2d(src, POOL)
        small = F.interpolate(pooled, self.small, mode="bilinear", align_corners=False)
        out = self.network(small, state)
        fgr, pha = refine(out, src)
        return (fgr, pha, *out.state)


def export_core(network: CompactMatting, path: Path) -> None:
    """Write the ``core`` form; what is at ``path`` is replaced."""
    _export(CoreForm(network), "rvm-compact-core", EXAMPLE, EXAMPLE, CORE_OUTPUTS, path)


def export_lean(network: CompactMatting, path: Path) -> None:
    """Write the ``lean`` form, weights packed; what is at ``path`` is replaced."""
    form = LeanForm(network)
    _export(form, "rvm-compact-lean", EXAMPLE, EXAMPLE, LEAN_OUTPUTS, path, packed=True)


def export_full(network: CompactMatting, path: Path, small: tuple[int, int]) -> None:
    """Write the ``full`` form for one small size (height, width), multiples of 32."""
    _export(FullForm(network, small), "rvm", (180, 320), small, FULL_OUTPUTS, path)


def _export(
    form: LeanForm | CoreForm | FullForm,
    contract: str,
    size: tuple[int, int],
    small: tuple[int, int],
    outputs: tuple[str, ...],
    path: Path,
    *,
    packed: bool = False,
) -> None:
    network, source = form.network, "src" if contract == "rvm" else "src_small"
    shapes = network.state_shapes(1, *small)
    example = (torch.rand(1, 3, *size), *(torch.zeros(shape) for shape in shapes))
    batch = {0: "batch"} if source == "src_small" else {}
    axes = {source: {**batch, 2: "height", 3: "width"}}
    for name in STATE_INPUTS:
        symbols = ("batch", "channels", "height", "width")
        axes[name] = {axis: f"{name}_{symbol}" for axis, symbol in enumerate(symbols)}
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter announces its own retirement
        torch.onnx.export(
            form.eval(),
            example,
            str(path),
            input_names=[source, *STATE_INPUTS],
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,
            # Normalisation stays apart from the convolutions, whose weights then are those of the
            # other files, to the last bit; runtimes put the two together when they load it.
            training=torch.onnx.TrainingMode.PRESERVE,
        )
    model = onnx.load(str(path))
    widths = {_PROPERTY + key: value for key, value in _widths(network).items()}
    known = {"rvm.contract": contract, "rvm.size_multiple": "32", **widths}
    onnx.helper.set_model_props(model, known)
    if packed:
        pack(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def round_weights(network: CompactMatting) -> CompactMatting:
    """The same network, in place, with weights that a file holds exactly.

    Dense kernels go on their grid (:mod:`rvm.network.grid`), all else to half precision. What is
    exported in single precision afterwards agrees with what `save_weights` writes.
    """
    with torch.no_grad():
        for tensor in network.state_dict().values():
            if not tensor.is_floating_point():
                continue
            if is_dense(tuple(tensor.shape)):
                tensor.copy_(torch.from_numpy(on_grid(tensor.cpu().numpy())))
            else:
                tensor.copy_(tensor.half())
    return network


def save_weights(network: CompactMatting, path: Path) -> None:
    """Write every tensor in as few bytes as hold it, and, as metadata, the widths.

    Kernels that lie on no grid, as before :func:`round_weights`, are written in half precision.
    What only training uses, the hints, is left out. Readers load into single precision.
    """
    tensors = {
        name: tensor
        for name, tensor in network.state_dict().items()
        if not name.startswith("hints.") and not name.endswith("num_batches_tracked")
    }
    save_file(pack_tensors(tensors), str(path), _widths(network))
    path.chmod(0o644)


def _widths(network: CompactMatting) -> dict[str, str]:
    """The configuration as texts: numbers with spaces between."""
    return {key: " ".join(map(str, value)) for key, value in asdict(network.config).items()}


def load_weights(path: Path) -> CompactMatting:
    """A network ready for inference from :func:`save_weights`' file, or from a ``lean`` graph."""
    tensors, widths = _read_graph(path) if path.suffix == ".onnx" else _read_tensors(path)
    return network_from(tensors, widths)


def _read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(str(path), "pt") as file:
        return unpack_tensors(load_file(str(path))), file.metadata()


def _read_graph(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    model = onnx.load(str(path))
    unpack(model)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:  # the exporter writes equal tensors once
        if node.op_type == "Identity" and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]]
    tensors = {
        name.removeprefix(_NETWORK): torch.from_numpy(array.copy())
        for name, array in arrays.items()
        if name.startswith(_NETWORK)
    }
    properties = {p.key: p.value for p in model.metadata_props if p.key.startswith(_PROPERTY)}
    return tensors, {key.removeprefix(_PROPERTY): value for key, value in properties.items()}
