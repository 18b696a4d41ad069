"""Building blocks for frames on a GPU, which know nothing of stages.

Every compiled kernel (Triton) has a twin in plain torch that gives the same samples. The twin runs
on the CPU, on Apple GPUs, and wherever Triton is not installed.
"""

from __future__ import annotations

import contextlib
import functools
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ["has_triton", "on_device_of"]


def has_triton(device: torch.device) -> bool:
    """Whether compiled kernels run on tensors of a device.

    `TRITON_INTERPRET=1` (set before Triton is imported) runs them in numpy, on any device: for
    tests.
    """
    return _installed() and (device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1")


def on_device_of(tensor: torch.Tensor) -> contextlib.AbstractContextManager[object]:
    """Makes a tensor's GPU the current one, on which Triton launches; nothing on the CPU."""
    if not tensor.is_cuda:
        return contextlib.nullcontext()
    import torch

    return torch.cuda.device(tensor.device)


@functools.cache
def _installed() -> bool:
    return find_spec("triton") is not None
