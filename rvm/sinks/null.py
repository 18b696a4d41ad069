"""The sink that throws everything away: for measuring, and for watching only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rvm.sinks.base import Sink

if TYPE_CHECKING:
    from rvm.frame import Composite


class NullSink(Sink):
    """Counts frames."""

    def takes_from_device(self, composite: Composite) -> bool:
        """What nobody looks at need not be fetched."""
        return True

    def write(self, composite: Composite) -> None:
        """Count it."""
        self.frames_written += 1

    def close(self) -> None:
        """Nothing to finish."""
