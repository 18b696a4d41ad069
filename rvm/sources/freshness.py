"""Notice a camera that stopped seeing: it blocks, fails, or repeats its last picture for ever."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

#: Without a new picture for this long, the camera counts as lost. With the time one look takes
#: (`POLL_SECONDS`) that keeps the promise to notice within 2 s.
STALE_SECONDS = 1.5
POLL_SECONDS = 0.1
_FIRST_BACK_OFF_SECONDS, _LONGEST_BACK_OFF_SECONDS = 0.25, 5.0


def digest(picture: npt.NDArray[Any]) -> int:
    """A number that differs for two pictures of a live sensor.

    Every 8th row and column is enough: sensor noise reaches all of them.
    """
    return hash(picture[::8, ::8].tobytes())


def back_off_seconds() -> Iterator[float]:
    """Pauses between attempts to reopen: 0.25 s, doubling, up to 5 s."""
    pause = _FIRST_BACK_OFF_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, _LONGEST_BACK_OFF_SECONDS)


@dataclass(slots=True)
class Freshness:
    """Whether new pictures still arrive.

    A picture identical to the one before is not new: drivers go on handing out the last picture
    after a camera was unplugged. But a covered lens, or a virtual camera that shows a still, also
    repeats itself; so a picture that is still the same after a reopening is taken for real, until
    it changes.
    """

    newest_seconds: float
    picture: int | None = None
    still: int | None = None

    def saw(self, picture: int, now_seconds: float) -> None:
        """A picture with this digest arrived."""
        if picture != self.picture or picture == self.still:
            self.newest_seconds = now_seconds
        if picture != self.still:
            self.still = None
        self.picture = picture

    def reopened(self, now_seconds: float) -> None:
        """The camera was opened again; what it last showed may be all it has to show."""
        self.newest_seconds = now_seconds
        self.still = self.picture

    def is_stale(self, now_seconds: float) -> bool:
        """Whether nothing new came for `STALE_SECONDS`."""
        return now_seconds - self.newest_seconds >= STALE_SECONDS
