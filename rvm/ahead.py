"""Begins something slow on a thread of its own, so that something else slow can go on meanwhile.

A live run loads its model (files, compiled kernels) while the camera powers up.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Closeable(Protocol):
    """Something to be closed if nobody takes it."""

    def close(self) -> None:
        """Free it."""


T = TypeVar("T", bound=Closeable)


class Ahead(Generic[T]):
    """What `make` returns or raises, once it has.

    Args:
        make: runs at once, on another thread.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._made: list[T] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(make,), name="rvm-ahead")
        self._thread.start()

    def take(self) -> T:
        """Wait for it. It belongs to the caller from here on.

        Raises:
            BaseException: what `make` raised.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._made.pop()

    def discard(self) -> None:
        """Wait for it and close it, unless it was taken; its error, if any, is of no interest."""
        self._thread.join()
        while self._made:
            self._made.pop().close()

    def _run(self, make: Callable[[], T]) -> None:
        try:
            self._made.append(make())
        except BaseException as error:
            self._error = error
