"""The order of work on a GPU between threads: streams, and events at each handing-over.

Each thread of the pipeline queues its work on a stream of its own, so that decoding, the network,
compositing and copying overlap. What one thread hands to the next carries an event; the taker's
stream waits for it (the threads themselves do not), and the tensors are marked as used by the
taker's stream, so that their memory is not given away while it still reads them.

Torch's own streams do not wait for the default stream, on which FFmpeg works; whoever reads what
FFmpeg wrote, or hands it something, crosses over with `on_default_stream`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor

from rvm.errors import DeviceError, RvmError
from rvm.gpu.lanes import Handed, Lane
from rvm.gpu.memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


class CudaLane(Lane):
    """One thread's stream.

    Args:
        device: whose.
        is_default: the device's default stream, on which FFmpeg works; else one of its own.
    """

    def __init__(self, device: torch.device, *, is_default: bool = False) -> None:
        self._device = device
        self._is_default = is_default
        self._scope: contextlib.ExitStack | None = None

    def __enter__(self) -> CudaLane:
        self._scope = contextlib.ExitStack()
        self._scope.enter_context(torch.cuda.device(self._device))
        make = torch.cuda.default_stream if self._is_default else torch.cuda.Stream
        self._stream = make(self._device)
        self._scope.enter_context(torch.cuda.stream(self._stream))
        return self

    def __exit__(self, *info: object) -> None:
        """Leave the stream.

        Raises:
            DeviceError: in place of whatever says that the GPU's memory is full, outside of the
                network, which steps down by itself.
        """
        if self._scope is not None:
            self._scope.close()
        error = info[1] if len(info) > 1 else None
        if not isinstance(error, Exception) or isinstance(error, RvmError):
            return
        if is_out_of_memory(error):
            raise DeviceError(
                f"{self._device} has no memory left for frames; close other programs that use it, "
                "or use --device cpu"
            ) from error

    def give(self, item: T) -> Handed[T]:
        """See `Lane.give`."""
        if not any(tensor.is_cuda for tensor in tensors_in(item)):
            return Handed(item)
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self._stream)
        return Handed(item, event)

    def take(self, handed: Handed[T]) -> T:
        """See `Lane.take`."""
        if handed.ready is not None:
            self._stream.wait_event(handed.ready)
            _keep_for(self._stream, handed.item)
        return handed.item

    def wait(self, handed: Handed[T]) -> T:
        """See `Lane.wait`."""
        item = self.take(handed)
        if handed.ready is not None:
            handed.ready.synchronize()
        return item


@contextlib.contextmanager
def on_default_stream(device: torch.device) -> Iterator[None]:
    """Work inside goes to the device's default stream, after what was queued on the current one.

    What follows the block on the current stream comes after it. Tensors made inside belong to the
    default stream; `used_here` keeps their memory from being used again there too early. Nothing
    happens on the CPU.
    """
    if device.type != "cuda":
        yield
        return
    current, default = torch.cuda.current_stream(device), torch.cuda.default_stream(device)
    default.wait_stream(current)
    with torch.cuda.stream(default):
        yield
    current.wait_stream(default)


def used_here(item: T) -> T:
    """Tensors of another stream, whose memory stays theirs until the current one is done."""
    for device in {tensor.device for tensor in tensors_in(item) if tensor.is_cuda}:
        _keep_for(torch.cuda.current_stream(device), item)
    return item


def from_default_stream(item: T) -> T:
    """Tensors that the default stream made, perhaps in another thread, for the current stream.

    What is queued on the current one from here on comes after all that the default one was given.
    """
    for device in {tensor.device for tensor in tensors_in(item) if tensor.is_cuda}:
        current = torch.cuda.current_stream(device)
        current.wait_stream(torch.cuda.default_stream(device))
    return used_here(item)


def _keep_for(stream: torch.cuda.Stream, item: Any) -> None:
    for tensor in tensors_in(item):
        if tensor.is_cuda:
            tensor.record_stream(stream)


def tensors_in(item: Any) -> Iterator[Tensor]:
    """Every tensor in frames, mattes, composites, and tuples of them."""
    if isinstance(item, Tensor):
        yield item
    elif isinstance(item, tuple):
        for part in item:
            yield from tensors_in(part)
    elif dataclasses.is_dataclass(item) and not isinstance(item, type):
        for field in dataclasses.fields(item):
            yield from tensors_in(getattr(item, field.name))
