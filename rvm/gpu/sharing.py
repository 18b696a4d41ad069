"""Several runs on one GPU.

* Computing time: the driver gives programs that have work waiting equal slices of time, whatever
  the size of their pictures. No run waits for another one here, so a run that is stopped or killed
  holds nobody up. What a run may queue ahead is bounded by the pipeline's short queues.
* Memory is what the driver does not share out. Each run takes a seat at its GPU and sizes its
  queues by its share: what is there, divided by the runs that are there. A seat is a lock on a
  file, which the system drops when its process ends, however that ends. There is no server, and
  nothing to clean up.
* Encoder sessions are limited on some GPUs; where none is left, the software encoder is used.

Importing this imports no torch.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from rvm.frame import PixelFormat

logger = logging.getLogger(__name__)

#: More runs than this on one GPU are counted as this many.
_SEATS = 32
#: Part of the memory that frames on their way may take; the rest is the network's and FFmpeg's.
_FOR_FRAMES = 0.5
#: Frames in the hands of the pipeline's threads, beside those in its two long queues.
_IN_HAND = 6
#: What locking fails with where somebody else has the lock, on POSIX and Windows. Anything else
#: (file systems of networks may know no locks) says nothing about others.
_TAKEN = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES, errno.EDEADLK)


class Sized(Protocol):
    """What frames will be like; `SourceInfo` is one."""

    @property
    def width(self) -> int:
        """In pixels."""

    @property
    def height(self) -> int:
        """In pixels."""

    @property
    def format(self) -> PixelFormat:
        """Layout and depth."""


class Seat:
    """One run's place at the device it works on. This one: on a CPU, where nothing is counted."""

    def runs(self) -> int:
        """How many runs have a seat at this device at this moment, this one included."""
        return 1

    def queue_size(self, frames: Sized, most: int) -> int:
        """How many frames may wait in a queue of the pipeline; at least one.

        Args:
            frames: what they are like.
            most: how many would be good.
        """
        return most

    def close(self) -> None:
        """Leave. Idempotent."""


class GpuSeat(Seat):
    """A place at one GPU, from making it to `close` or the end of the process.

    Args:
        folder: where this GPU's seats are.
        memory: asks for its bytes: (free, total).
    """

    def __init__(self, folder: Path, memory: Callable[[], tuple[int, int]]) -> None:
        self._folder = folder
        self._memory = memory
        self._file, self._number = -1, -1
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            for number in range(_SEATS):
                if (file := _locked(self._path(number))) is not None:
                    self._file, self._number = file, number
                    return
        except OSError as error:
            logger.debug("no seats in %s: %r", folder, error)

    def runs(self) -> int:
        """See `Seat.runs`."""
        return 1 + sum(self._is_taken(n) for n in range(_SEATS) if n != self._number)

    def queue_size(self, frames: Sized, most: int) -> int:
        """See `Seat.queue_size`."""
        free, total = self._memory()
        return fitting(frames, most, self.runs(), free, total)

    def close(self) -> None:
        """See `Seat.close`."""
        if self._file >= 0:
            os.close(self._file)
            self._file, self._number = -1, -1

    def _is_taken(self, number: int) -> bool:
        path = self._path(number)
        try:
            file = _locked(path) if path.exists() else -1
        except OSError:
            return False
        if file is not None and file >= 0:
            os.close(file)
        return file is None

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.lock"


def take_seat(device: str) -> Seat:
    """A seat at the device on which frames are; the caller closes it.

    Args:
        device: as torch writes it: "cpu", "mps", "cuda:0".
    """
    if not device.startswith("cuda"):
        return Seat()
    import platformdirs
    import torch

    gpu = torch.device(device)
    name = str(torch.cuda.get_device_properties(gpu).uuid)
    folder = platformdirs.user_cache_path("rvm") / "gpu" / name
    return GpuSeat(folder, lambda: torch.cuda.mem_get_info(gpu))


def fitting(frames: Sized, most: int, runs: int, free: int, total: int) -> int:
    """`Seat.queue_size` where so many runs share so many bytes, of which some are free."""
    share = min(free, total // max(runs, 1)) * _FOR_FRAMES
    in_flight = share / bytes_in_flight(frames)
    return int(max(1, min(most, (in_flight - _IN_HAND) // 2)))


def bytes_in_flight(frames: Sized) -> int:
    """What one frame takes: source, its surface, background, composed picture, and the matte."""
    shapes = frames.format.plane_shapes(frames.width, frames.height)
    samples = sum(shape[0] * shape[1] * (*shape, 1)[2] for shape in shapes)
    return 4 * samples * frames.format.dtype.itemsize + frames.width * frames.height


def _locked(path: Path) -> int | None:
    """The file, opened and locked by this process; None if another holder has the lock.

    Raises:
        OSError: it cannot be opened, or cannot be locked at all.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if error.errno in _TAKEN:
            return None
        raise
    return file
