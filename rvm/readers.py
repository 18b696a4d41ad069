"""Is anybody looking at the virtual webcam?

v4l2loopback tells its writer through an event of its own, V4L2_EVENT_PRI_CLIENT_USAGE, whether a
program streams from the device (0.13 and later; distributions' 0.12 carry it under another
number). Asked for the initial value at subscription, it answers at once, so a watch here drops
and renews its subscription for each look: an event that got lost cannot leave it wrong for ever.
Drivers without the event are watched by looking for other processes that hold the device open,
which sees the processes of the same user only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import struct
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    Ioctl = Callable[[int, int, bytearray], int]

logger = logging.getLogger(__name__)

# linux/videodev2.h, and v4l2loopback.c for the numbers of the event.
_PRIVATE_START = 0x08000000
USAGE_EVENTS = (_PRIVATE_START + 0x08E00000 + 1, _PRIVATE_START)
_SEND_INITIAL = 1
_SUBSCRIPTION = struct.Struct("=III20x")  # type, id, flags, reserved
_EVENT_BYTES = 136  # on 64-bit systems
_EVENT_HEAD = struct.Struct("=I4xI")  # type, padding, the first word of the payload
SUBSCRIBE = 1 << 30 | _SUBSCRIPTION.size << 16 | ord("V") << 8 | 90
UNSUBSCRIBE = 1 << 30 | _SUBSCRIPTION.size << 16 | ord("V") << 8 | 91
DEQUEUE = 2 << 30 | _EVENT_BYTES << 16 | ord("V") << 8 | 89


class ReaderWatch(Protocol):
    """Knows whether a virtual webcam is being read."""

    def is_read(self) -> bool:
        """True while at least one other program reads it; true as well if that cannot be told."""

    def close(self) -> None:
        """Free what was opened. Idempotent."""


def watch_readers(device: str) -> ReaderWatch | None:
    """A watch of `/dev/videoN`, or None where the system cannot tell."""
    if not sys.platform.startswith("linux") or not re.fullmatch(r"/dev/video\d+", device):
        return None
    with contextlib.suppress(OSError):
        return UsageEvents(device)
    logger.info("%s has no usage events; looking for processes that hold it open", device)
    return OpenFiles(device)


class UsageEvents:
    """Asks v4l2loopback itself.

    Args:
        device: path of the loopback device.
        ioctl: replaced in tests.

    Raises:
        OSError: the device cannot be opened, or its driver has no such event.
    """

    def __init__(self, device: str, ioctl: Ioctl | None = None) -> None:
        if struct.calcsize("P") != 8:
            raise OSError("events of this size are laid out otherwise")
        self._ioctl = ioctl or _system_ioctl()
        self._lock = threading.Lock()  # close comes from another thread than the looks
        self._file = os.open(device, os.O_RDWR | os.O_NONBLOCK)
        self._read = True
        try:
            self._event = self._supported_event()
        except OSError:
            self.close()
            raise

    def is_read(self) -> bool:
        """See `ReaderWatch.is_read`."""
        # An error means that nothing is new: what was true last time still is.
        with self._lock, contextlib.suppress(OSError, ValueError):
            self._request(UNSUBSCRIBE, self._event)
            self._request(SUBSCRIBE, self._event)
            while True:
                self._dequeue()
        return self._read

    def close(self) -> None:
        """See `ReaderWatch.close`."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _supported_event(self) -> int:
        for event in USAGE_EVENTS:
            with contextlib.suppress(OSError):
                self._request(SUBSCRIBE, event)
                return event
        raise OSError("the driver has no usage events")

    def _request(self, request: int, event: int) -> None:
        self._ioctl(self._file, request, bytearray(_SUBSCRIPTION.pack(event, 0, _SEND_INITIAL)))

    def _dequeue(self) -> None:
        """Take one event; OSError when there is none left."""
        buffer = bytearray(_EVENT_BYTES)
        self._ioctl(self._file, DEQUEUE, buffer)
        kind, count = _EVENT_HEAD.unpack_from(buffer)
        if kind == self._event:
            self._read = count > 0


class OpenFiles:
    """Looks through the open files of other processes.

    Args:
        device: path of the loopback device.
        processes: replaced in tests.
    """

    def __init__(self, device: str, processes: Path = Path("/proc")) -> None:
        self._device = device
        self._processes = processes

    def is_read(self) -> bool:
        """See `ReaderWatch.is_read`."""
        own = str(os.getpid())
        return any(
            self._holds(process)
            for process in self._processes.iterdir()
            if process.name.isdigit() and process.name != own
        )

    def close(self) -> None:
        """See `ReaderWatch.close`."""

    def _holds(self, process: Path) -> bool:
        try:
            files = list((process / "fd").iterdir())
        except OSError:  # another user's, or gone
            return False
        for file in files:
            with contextlib.suppress(OSError):
                if os.readlink(file) == self._device:  # noqa: PTH115 (a link to a non-path too)
                    return True
        return False


def _system_ioctl() -> Ioctl:
    import fcntl

    return lambda file, request, buffer: fcntl.ioctl(file, request, buffer, True)
