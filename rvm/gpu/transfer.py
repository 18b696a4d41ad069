"""Planes between main memory and a GPU, without anybody waiting longer than for those planes.

The copies run on streams of their own, so that they overlap with computing. In main memory they
use pinned buffers: torch keeps those that are freed and hands them out again, and never before the
copy that used one is done. So a buffer is in use exactly as long as its tensor (or a numpy view of
it) lives, and in steady state nothing is allocated.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


class HostCopy:
    """Tensors on their way into main memory.

    The copy begins at once, after the work that is queued on the current stream.

    Args:
        tensors: on any devices; those in main memory already are taken as they are.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        devices = {tensor.device for tensor in tensors if tensor.is_cuda}
        streams = {device: _copy_stream(device, "down") for device in devices}
        for device, stream in streams.items():
            stream.wait_stream(torch.cuda.current_stream(device))
        self._host = [_begin(tensor, streams.get(tensor.device)) for tensor in tensors]
        self._events = []
        for stream in streams.values():
            event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
            event.record(stream)
            self._events.append(event)

    def wait(self) -> list[Tensor]:
        """The copies, once they are complete. Only this copy is waited for, not the device."""
        for event in self._events:
            event.synchronize()
        return self._host


def _begin(tensor: Tensor, stream: torch.cuda.Stream | None) -> Tensor:
    if stream is None:
        return tensor.cpu()
    pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    with torch.cuda.stream(stream):
        pinned.copy_(tensor, non_blocking=True)
    tensor.record_stream(stream)
    return pinned


def to_device(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    """An array as a tensor on a device.

    On CUDA the caller does not wait: the samples are in a pinned buffer of their own when this
    returns, and work queued on the current stream from here on comes after the copy.

    Args:
        array: any strides, read-only or not; uint8, uint16 (int32 on MPS, which has no uint16) or
            float32.
        device: where to.
    """
    if device.type != "cuda":
        return _copied(array, device)
    pinned = torch.empty(array.shape, dtype=_DTYPES[array.dtype], pin_memory=True)
    np.copyto(pinned.numpy(), array)
    stream, current = _copy_stream(device, "up"), torch.cuda.current_stream(device)
    with torch.cuda.stream(stream):
        tensor = pinned.to(device, non_blocking=True)
    current.wait_stream(stream)
    tensor.record_stream(current)
    return tensor


_DTYPES = {
    np.dtype(np.uint8): torch.uint8,
    np.dtype(np.uint16): torch.uint16,
    np.dtype(np.float32): torch.float32,
}


def _copied(array: npt.NDArray[Any], device: torch.device) -> Tensor:
    if not array.flags.writeable or min(array.strides, default=1) < 0:
        array = array.copy()  # torch warns of memory it may not write, and wants forward strides
    if array.dtype == np.uint16 and device.type == "mps":
        array = array.astype(np.int32)
    return torch.from_numpy(array).to(device)


@functools.cache
def _copy_stream(device: torch.device, way: Literal["up", "down"]) -> torch.cuda.Stream:
    """One stream for each direction of a device: its two copy engines work side by side."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
