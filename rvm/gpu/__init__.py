"""Building blocks for frames on a GPU, which know nothing of stages.

Every compiled kernel (Triton) has a twin in plain torch that gives the same samples. The twin runs
on the CPU, on Apple GPUs, and wherever Triton is not installed or does not work.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rvm.gpu.memory import is_out_of_memory

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

__all__ = ["has_triton", "on_device_of"]


def has_triton(device: torch.device) -> bool:
    """Whether compiled kernels run on tensors of a device; found out once, by running one.

    `TRITON_INTERPRET=1` (set before Triton is imported) runs them in numpy, on any device: for
    tests.
    """
    if os.environ.get("TRITON_INTERPRET") == "1":
        return _installed()
    return device.type == "cuda" and _installed() and _works(device)


def on_device_of(tensor: torch.Tensor) -> contextlib.AbstractContextManager[object]:
    """Makes a tensor's GPU the current one, on which Triton launches; nothing on the CPU."""
    if not tensor.is_cuda:
        return contextlib.nullcontext()
    import torch

    return torch.cuda.device(tensor.device)


@functools.cache
def _installed() -> bool:
    return find_spec("triton") is not None


@functools.cache
def _works(device: torch.device) -> bool:
    """It may be installed and yet not work: for an old GPU, or without a C compiler."""
    from rvm.gpu import kernels_cells

    try:
        kernels_cells.try_out(device)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        logger.warning("Triton cannot be used on %s, frames take longer: %s", device, reason)
        return False
    return True
