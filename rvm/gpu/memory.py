"""Out of memory: one step down in the network's resolution, said once, and on with the same frame.

Knows no library: what runs is tried again through `StepDown.run`, whoever runs it. So it serves
torch and ONNX Runtime alike, and a test needs no GPU.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

from rvm.errors import DeviceError

logger = logging.getLogger(__name__)

#: Sides of the network's picture over the wanted one; each step halves the memory, about.
MEMORY_SCALES = (1.0, 0.7, 0.5, 0.35, 0.25)
#: How libraries say it that have no class for it, in lower case.
_PHRASES = ("out of memory", "alloc_failed", "failed to allocate memory", "allocaterawinternal")

T = TypeVar("T")


class StepDown:
    """Runs attempts at falling resolutions, and remembers the highest that had room.

    Args:
        device: name of the device, for messages.
        scales: the resolutions over the wanted one, falling from 1.
        tell: told of each step down in one line.
    """

    def __init__(
        self,
        device: str,
        scales: tuple[float, ...] = MEMORY_SCALES,
        tell: Callable[[str], None] = logger.warning,
    ) -> None:
        self._device = device
        self._scales = scales
        self._tell = tell
        #: No attempt is made above this.
        self.limit = scales[0]

    @property
    def is_short(self) -> bool:
        """Whether there was too little memory for the wanted resolution."""
        return self.limit < self._scales[0]

    def run(
        self, attempt: Callable[[float], T], free: Callable[[], None], wanted: float = 1.0
    ) -> T:
        """`attempt(scale)`, at the wanted scale or below it where memory does not suffice.

        Args:
            attempt: does the work at a scale of 0..1; must leave nothing behind when it fails.
            free: gives back what is kept only for speed; called before a smaller attempt.
            wanted: scale to try if memory allows.

        Raises:
            DeviceError: even the smallest step ran out of memory.
        """
        while True:
            scale = min(wanted, self.limit)
            try:
                return attempt(scale)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
            # Not inside `except`: there the error's traceback keeps the failed attempt's tensors.
            free()
            self._step_below(scale)

    def _step_below(self, scale: float) -> None:
        lower = [step for step in self._scales if step < scale]
        if not lower:
            raise DeviceError(
                f"{self._device} is out of memory even at {scale:.0%} of the network's picture; "
                "close other programs that use it, or use --device cpu"
            )
        self.limit = lower[0]
        self._tell(
            f"{self._device} is out of memory; the network's picture is from now on "
            f"{self.limit:.0%} of its size"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that led to it, says that a device has no memory left.

    Recognised by the name of torch's class and by the words of CUDA's libraries and ONNX Runtime:
    importing a library to know its errors would load it where it is not used.
    """
    return any(_says_so(each) for each in _chain(error))


def _says_so(error: BaseException) -> bool:
    if any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(phrase in text for phrase in _PHRASES)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and everything that led to it; each once."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__
