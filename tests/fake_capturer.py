"""A `rvm.gpu.graphs.Capturer` for tests: replays like a CUDA graph, in fixed memory, on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from rvm.gpu.graphs import Tensors

Results = tuple["Tensors", "Tensors"]


class FakeRecording:
    """Does the work again and writes its results where they were the first time."""

    def __init__(self, work: Callable[[], Results], results: Results) -> None:
        self.work = work
        self.results = results
        self.replays = 0
        self.released = False

    def replay(self) -> None:
        assert not self.released
        self.replays += 1
        for part, fresh in zip(self.results, self.work(), strict=True):
            for kept, new in zip(part, fresh, strict=True):
                kept.copy_(new)

    def release(self) -> None:
        """Freed memory belongs to others: whoever still looks at it sees no number."""
        self.released = True
        with torch.inference_mode():
            for part in self.results:
                for kept in part:
                    kept.fill_(torch.nan)


class FakeCapturer:
    """Makes `FakeRecording`s.

    Args:
        error: raised by every capture.
    """

    def __init__(self, error: Exception | None = None) -> None:
        self.recordings: list[FakeRecording] = []
        self.error = error
        self.attempts = 0
        self.followed = 0

    def follow(self) -> None:
        self.followed += 1

    def capture(self, work: Callable[[], Results]) -> tuple[FakeRecording, Results]:
        self.attempts += 1
        if self.error is not None:
            raise self.error
        work()
        results = tuple(tuple(tensor.clone() for tensor in part) for part in work())
        recording = FakeRecording(work, results)  # type: ignore[arg-type]
        self.recordings.append(recording)
        return recording, results  # type: ignore[return-value]
