"""A number on its way from a device to main memory, for which nobody waits."""

from __future__ import annotations

import torch
from torch import Tensor


class Reading:
    """What a tensor of one number will have held when everything queued so far is done.

    Args:
        number: on any device; whoever makes a reading queues its copy and goes on at once.
    """

    def __init__(self, number: Tensor) -> None:
        self._number = number
        self._arrived: torch.cuda.Event | None = None
        if number.is_cuda:
            self._number = torch.empty_like(number, device="cpu", pin_memory=True)
            self._number.copy_(number, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record(torch.cuda.current_stream(number.device))

    def value(self) -> float:
        """The number; waits where it is not there yet."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return float(self._number)
