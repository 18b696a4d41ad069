"""Weights from a file into a network: by name, all of them, or a clear refusal.

Published state_dict names load unchanged. Nothing in a file is ever executed: ``.safetensors``
holds tensors only, and every other file goes through ``torch.load(weights_only=True)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from rvm.errors import ModelError
from rvm.network.build import RefinerName, build_network
from rvm.network.matting_network import MattingNetwork

# A tensor that only one architecture has tells which one a checkpoint belongs to.
_SIGNATURES = {
    "backbone.features.0.0.weight": "mobilenetv3",
    "backbone.conv1.weight": "resnet50",
}
_NAMED_IN_ERRORS = 3


class CheckpointError(ModelError):
    """A weights file cannot be read, or does not belong to the network."""


def read_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """Read the named tensors of a weights file, on the CPU.

    Args:
        path: ``.safetensors``, or what ``torch.save`` wrote of a state_dict.

    Raises:
        CheckpointError: no such file, a damaged file, or one that holds anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no such weights file: {path}")
    tensors = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickled(path)
    if not tensors or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in tensors.items()
    ):
        raise CheckpointError(f"{path} is not a state_dict: expected names with tensors only")
    return tensors


def load_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy the tensors into the network; nothing is copied unless all names and shapes agree.

    Raises:
        CheckpointError: names are missing or left over, or shapes differ; the first few are told.
    """
    own = network.state_dict()
    problems = [
        _some("missing", own.keys() - tensors.keys()),
        _some("not of this network", tensors.keys() - own.keys()),
        _some(
            "of another shape",
            (
                f"{name} (got {list(tensors[name].shape)}, expected {list(own[name].shape)})"
                for name in own.keys() & tensors.keys()
                if tensors[name].shape != own[name].shape
            ),
        ),
    ]
    if any(problems):
        raise CheckpointError(f"the weights do not fit: {'; '.join(filter(None, problems))}")
    network.load_state_dict(dict(tensors), strict=True)


def architecture_of(tensors: Mapping[str, Tensor]) -> str:
    """Tell the architecture from the names: a key of :data:`rvm.network.build.ARCHITECTURES`.

    Raises:
        CheckpointError: the names are of no known architecture.
    """
    for name, architecture in _SIGNATURES.items():
        if name in tensors:
            return architecture
    first = ", ".join(sorted(tensors)[:_NAMED_IN_ERRORS])
    raise CheckpointError(f"the weights are of no known architecture (names like {first})")


def load_network(path: str | Path, refiner: RefinerName = "deep") -> MattingNetwork:
    """Build the network that a weights file belongs to, load it, and set it to evaluation.

    Args:
        path: see :func:`read_checkpoint`.
        refiner: "fast" leaves the file's refiner weights aside.

    Raises:
        CheckpointError: see :func:`read_checkpoint`, :func:`load_weights`.
    """
    tensors = read_checkpoint(path)
    try:
        network = build_network(architecture_of(tensors), refiner)
        if refiner == "fast":
            tensors = {k: v for k, v in tensors.items() if not k.startswith("refiner.")}
        load_weights(network, tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return network.eval()


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {path}: {_first_line(error)}") from error


def _read_pickled(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on damaged files torch's reader raises nearly anything
        # torch's own text advises to load the file unsafely.
        raise CheckpointError(
            f"cannot read {path}: it is damaged, or holds more than tensors"
        ) from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path} holds {type(loaded).__name__}, expected a state_dict")
    return loaded


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _some(problem: str, names: Iterable[str]) -> str:
    listed = sorted(names)
    if not listed:
        return ""
    more = ", ..." if len(listed) > _NAMED_IN_ERRORS else ""
    return f"{len(listed)} {problem}: {', '.join(listed[:_NAMED_IN_ERRORS])}{more}"
