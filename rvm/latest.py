"""A cache of the few things that were asked for last."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class LatestFew(Generic[Key, Value]):
    """Keeps the values that were put or got last. Not thread-safe.

    Args:
        most: how many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value, which is the latest from now on; None where there is none."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key]

    def put(self, key: Key, value: Value) -> Value:
        """Keep a value, which is returned; the one asked for longest ago may have to go."""
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)
        return value

    def values(self) -> tuple[Value, ...]:
        """All, the latest last."""
        return tuple(self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def clear(self) -> None:
        """Let go of all."""
        self._values.clear()
