"""How one thread hands frames to the next: newest wins (live), or nothing is lost (offline).

Both end the same way. The producer calls `finish`, with its error if it has one; the consumer
still gets everything that was handed over, then the end, then that error. Either side may
`cancel`, which wakes the other at once. No item is ever lost without being counted.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Handoff(ABC, Generic[T]):
    """A one-producer, one-consumer meeting point."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._error: BaseException | None = None
        self._finished = False
        self._cancelled = False
        self._accepted = 0
        self._dropped = 0

    @property
    def accepted(self) -> int:
        """Items the producer handed over; each was taken, is waiting, or was dropped."""
        with self._changed:
            return self._accepted

    @property
    def dropped(self) -> int:
        """Items that were handed over and that nobody will get."""
        with self._changed:
            return self._dropped

    def put(self, item: T) -> bool:
        """Hand one item over; False (and not counted) once the handoff was cancelled."""
        with self._changed:
            self._make_room()
            if self._cancelled:
                return False
            self._items.append(item)
            self._accepted += 1
            self._changed.notify_all()
            return True

    def get(self, timeout_seconds: float | None = None) -> T | None:
        """The next item; None at the end.

        Raises:
            TimeoutError: nothing came within `timeout_seconds`.
            BaseException: the producer's error, after its last item.
        """
        with self._changed:
            if not self._changed.wait_for(self._has_news, timeout_seconds):
                raise TimeoutError("nothing was handed over in time")
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                error, self._error = self._error, None
                raise error
            return None

    def finish(self, error: BaseException | None = None) -> None:
        """The producer's last call: no more items, and why if something went wrong."""
        with self._changed:
            self._finished = True
            self._error = error
            self._changed.notify_all()

    def cancel(self) -> None:
        """Stop at once: what waits is dropped (and counted), later items are refused."""
        with self._changed:
            self._cancelled = True
            self._dropped += len(self._items)
            self._items.clear()
            self._changed.notify_all()

    def _has_news(self) -> bool:
        return bool(self._items) or self._finished or self._cancelled

    @abstractmethod
    def _make_room(self) -> None:
        """Called with the lock held, before an item is added."""


class LatestSlot(Handoff[T]):
    """Holds one item; a newer one replaces it, and the replaced one is counted as dropped.

    The producer never waits. The consumer always gets the newest, so an item is never older at
    the handover than one producer interval.
    """

    def _make_room(self) -> None:
        self._dropped += len(self._items)
        self._items.clear()


class BoundedQueue(Handoff[T]):
    """Holds up to `capacity` items; when full, the producer waits. Nothing is lost."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        if capacity < 1:
            raise ValueError(f"got capacity {capacity}, expected at least 1")
        self._capacity = capacity

    def _make_room(self) -> None:
        self._changed.wait_for(lambda: self._cancelled or len(self._items) < self._capacity)
