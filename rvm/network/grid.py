"""Kernels on a grid of 255 values to an output channel: a byte each in files, exactly the same.

A kernel on its grid is a whole number of -127..127 times the step of its output channel. The step
has eleven bits, so that the product is exact in single precision, and the largest magnitude, always
127 steps, tells it again. Eight bits for weights alone, with everything computed in floating point,
cost a matte nothing that can be measured (models/compact.md).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Float32 = npt.NDArray[np.float32]
Int8 = npt.NDArray[np.int8]

#: What is smaller, or has fewer values to an output channel, as the stem and depthwise kernels do,
#: is not put on a grid: it weighs little, and each value matters more.
LEAST_KERNEL = 2048
LEAST_FAN_IN = 32
_LARGEST = 127
_STEP_BITS = 11
STEPS = ".steps"
"""Ending of the name of a kernel's steps in a file."""


def is_dense(shape: tuple[int, ...]) -> bool:
    """Whether tensors of this shape are kernels that belong on a grid."""
    values = int(np.prod(shape))
    return len(shape) == 4 and values >= LEAST_KERNEL and values // shape[0] >= LEAST_FAN_IN


def on_grid(kernels: Float32) -> Float32:
    """Kernels [out, in, k, k], rounded to whole steps of each output channel."""
    share, exponent = np.frexp(_steps_of(kernels))
    rounded = np.ldexp(np.round(np.ldexp(share, _STEP_BITS)), exponent - _STEP_BITS)
    steps: Float32 = np.asarray(rounded, np.float32)
    return np.asarray(_numbers(kernels, steps) * steps, np.float32)


def as_bytes(kernels: Float32) -> tuple[Int8, Float32] | None:
    """Whole numbers [out, in, k, k] and steps [out, 1, 1, 1]; None where they lie on no grid."""
    steps = _steps_of(kernels)
    numbers = _numbers(kernels, steps)
    return (numbers.astype(np.int8), steps) if np.array_equal(numbers * steps, kernels) else None


def pack_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Named weights as a file holds them: bytes beside their steps, the rest in half precision."""
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        shape = tuple(tensor.shape)
        found = as_bytes(tensor.float().cpu().numpy()) if is_dense(shape) else None
        if found is None:
            packed[name] = tensor.half().contiguous()
        else:
            packed[name], packed[name + STEPS] = map(torch.from_numpy, found)
    return packed


def unpack_tensors(packed: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo :func:`pack_tensors`, but for half precision, which networks take as it is.

    Raises:
        ValueError: bytes without steps, or steps of another shape.
    """
    tensors: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        if name.endswith(STEPS):
            continue
        if tensor.dtype != torch.int8:
            tensors[name] = tensor
            continue
        steps = packed.get(name + STEPS)
        if steps is None or steps.shape != (*tensor.shape[:1], 1, 1, 1):
            raise ValueError(f"{name} has no steps, or not one to an output channel")
        tensors[name] = tensor.float() * steps.float()
    return tensors


def _steps_of(kernels: Float32) -> Float32:
    largest = np.abs(kernels).max(axis=(1, 2, 3), keepdims=True)
    return np.asarray(largest / np.float32(_LARGEST), np.float32)


def _numbers(kernels: Float32, steps: Float32) -> Float32:
    numbers = np.round(kernels / np.where(steps > 0, steps, 1))
    return np.clip(numbers, -_LARGEST, _LARGEST).astype(np.float32)
