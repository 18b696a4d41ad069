"""Who reads the virtual webcam: v4l2loopback's event, imitated, and the open files of processes."""

from __future__ import annotations

import errno
import os
import struct
import sys
from pathlib import Path

import pytest

from rvm.readers import (
    DEQUEUE,
    SUBSCRIBE,
    UNSUBSCRIBE,
    USAGE_EVENTS,
    OpenFiles,
    UsageEvents,
    watch_readers,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="device files of Linux")


class Driver:
    """What v4l2loopback answers: one event on subscription, replaced by later ones.

    Args:
        event: number of the event it knows; None is a driver without one.
    """

    def __init__(self, event: int | None = USAGE_EVENTS[0]) -> None:
        self.event = event
        self.streaming = False
        self.subscribed = False
        self.queued: list[int] = []
        self.requests = 0

    def __call__(self, file: int, request: int, buffer: bytearray) -> int:
        self.requests += 1
        if request == SUBSCRIBE:
            self._subscribe(*struct.unpack_from("=III", buffer))
        elif request == UNSUBSCRIBE:
            self.subscribed = False
            self.queued.clear()
        elif request == DEQUEUE:
            if not self.queued:
                raise OSError(errno.ENOENT, "no event")
            struct.pack_into("=I4xI", buffer, 0, self.event, self.queued.pop())
        return 0

    def _subscribe(self, event: int, number: int, flags: int) -> None:
        if event != self.event:
            raise OSError(errno.EINVAL, "no such event")
        if not self.subscribed and flags == 1:
            self.queued = [int(self.streaming)]
        self.subscribed = True


@pytest.fixture
def device(tmp_path: Path) -> str:
    path = tmp_path / "video9"
    path.touch()
    return str(path)


def test_the_numbers_are_the_kernels() -> None:
    # As `v4l2-ctl --poll-for-event=283115521` has it, and videodev2.h on 64-bit systems.
    assert USAGE_EVENTS[0] == 283115521
    assert (SUBSCRIBE, UNSUBSCRIBE, DEQUEUE) == (0x4020565A, 0x4020565B, 0x80885659)


@pytest.mark.parametrize("event", USAGE_EVENTS)
def test_each_look_asks_anew(device: str, event: int) -> None:
    driver = Driver(event)
    watch = UsageEvents(device, driver)
    assert not watch.is_read()
    driver.streaming = True  # without queueing an event: a lost one does no harm
    assert watch.is_read()
    driver.streaming = False
    assert not watch.is_read()
    watch.close()
    watch.close()


def test_a_driver_that_stops_answering_leaves_the_last_answer(device: str) -> None:
    driver = Driver()
    watch = UsageEvents(device, driver)
    driver.streaming = True
    assert watch.is_read()
    driver.event = None
    assert watch.is_read()
    watch.close()
    assert watch.is_read()


def test_a_driver_without_the_event_is_refused_and_its_file_closed(device: str) -> None:
    files = Path("/proc/self/fd") if sys.platform == "linux" else Path(device).parent
    before = len(list(files.iterdir()))
    with pytest.raises(OSError, match="no usage events"):
        UsageEvents(device, Driver(None))
    assert len(list(files.iterdir())) == before


def test_other_processes_with_the_device_open_are_readers(tmp_path: Path) -> None:
    def process(number: int, *targets: str) -> Path:
        folder = tmp_path / str(number) / "fd"
        folder.mkdir(parents=True)
        for index, target in enumerate(targets):
            (folder / str(index)).symlink_to(target)
        return folder

    process(os.getpid(), "/dev/video9")
    process(71, "/dev/null", "socket:[12]", "/dev/video91")
    (tmp_path / "version").touch()
    (tmp_path / "72").mkdir()  # gone, or another user's
    watch = OpenFiles("/dev/video9", tmp_path)
    assert not watch.is_read()
    folder = process(73, "/dev/null", "/dev/video9")
    assert watch.is_read()
    (folder / "1").unlink()
    assert not watch.is_read()
    watch.close()


@pytest.mark.parametrize("device", ["OBS Virtual Camera", "/dev/video", "/dev/sda", ""])
def test_other_devices_cannot_be_watched(device: str) -> None:
    assert watch_readers(device) is None


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_device_that_cannot_be_asked_is_watched_by_its_openers() -> None:
    assert isinstance(watch_readers("/dev/video98"), OpenFiles)
