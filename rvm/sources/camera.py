"""A local camera through OpenCV, watched: if it goes blind it is noticed and opened again."""

from __future__ import annotations

import logging
import os
import sys
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy.typing as npt

from rvm.clock import Clock, MonotonicClock
from rvm.errors import DeviceError
from rvm.frame import RGB24, SRGB, Frame
from rvm.handoff import LatestSlot
from rvm.sources.base import Source, SourceInfo
from rvm.sources.freshness import POLL_SECONDS, Freshness, back_off_seconds, digest
from rvm.sources.quiet import quiet_opencv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

TIME_BASE = Fraction(1, 90_000)
#: A camera may take seconds to deliver its first picture (exposure, USB negotiation).
FIRST_PICTURE_SECONDS = 10.0
#: From this height on, raw YUYV does not fit through USB 2 at full rate and MJPG is asked for.
MJPG_FROM_HEIGHT = 720
_MOST_PROBED = 10
_CLOSE_WAIT_SECONDS = 1.0


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`."""

    def read(self) -> tuple[bool, Any]:
        """Block for the next picture: (True, BGR uint8 (rows, columns, 3)) or (False, None)."""

    def get(self, property: int) -> float:
        """A property, 0 if unknown."""

    def release(self) -> None:
        """Free the device."""


@dataclass(frozen=True, slots=True)
class CameraRequest:
    """Which camera, and what is asked of it; None leaves the choice to the driver."""

    device: int | str = 0
    width: int | None = None
    height: int | None = None
    fps: float | None = None


@dataclass(frozen=True, slots=True)
class CameraEntry:
    """A camera that was found: its number, its name, and its path where there is one."""

    number: int
    name: str
    path: str | None = None


def open_capture(request: CameraRequest) -> Capture | None:
    """Open a camera with OpenCV, quietly; None if that fails."""
    import cv2

    with quiet_opencv():
        # Any other backend of OpenCV would try a path as a file name, and talk on stderr.
        backend = cv2.CAP_V4L2 if sys.platform.startswith("linux") else cv2.CAP_ANY
        capture = cv2.VideoCapture(request.device, backend)
        if not capture.isOpened():
            capture.release()
            return None
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        if request.height is not None and request.height >= MJPG_FROM_HEIGHT:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        wishes = (
            (cv2.CAP_PROP_FRAME_WIDTH, request.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, request.height),
            (cv2.CAP_PROP_FPS, request.fps),
        )
        for property, wish in wishes:
            if wish is not None:
                capture.set(property, wish)
    return capture


def list_cameras(
    opener: Callable[[CameraRequest], Capture | None] = open_capture,
    system_folder: Path = Path("/sys/class/video4linux"),
) -> list[CameraEntry]:
    """The cameras of this machine, for `rvm devices`.

    On Linux from the kernel's list, without touching a device; elsewhere the first numbers are
    tried until one does not open.
    """
    if sys.platform.startswith("linux"):
        return _kernel_cameras(system_folder)
    found = []
    for number in range(_MOST_PROBED):
        capture = opener(CameraRequest(number))
        if capture is None:
            break
        capture.release()
        found.append(CameraEntry(number, f"camera {number}"))
    return found


def look_up_camera(device: int | str) -> None:
    """Look whether a camera is there, without touching it; only Linux lists them.

    Args:
        device: its number, or its path.

    Raises:
        DeviceError: the system lists no such camera.
    """
    if not sys.platform.startswith("linux"):
        return
    if not any(device in (camera.number, camera.path) for camera in list_cameras()):
        raise DeviceError(_cannot_open(device))


class CameraSource(Source):
    """A local camera: the newest picture, never an old one.

    Pictures are read on their own thread. When no new picture came for 1.5 s (the read blocks or
    fails, or the driver repeats the last picture) the camera is opened again, with pauses of
    0.25 s up to 5 s, until it works or the source is closed; `reopened` counts successes. Frames
    are `rgb24`, sRGB; pts is the time since the first one.

    Args:
        device: number of the camera, or its path (`/dev/video0`).
        width, height, fps: what to ask the driver for; `info` has what it really gives.
        opener: opens a `Capture` or returns None; replaced in tests.
        clock: replaced in tests.

    Raises:
        DeviceError: the camera cannot be opened or gives no picture.
    """

    def __init__(
        self,
        device: int | str = 0,
        *,
        width: int | None = None,
        height: int | None = None,
        fps: float | None = None,
        opener: Callable[[CameraRequest], Capture | None] = open_capture,
        clock: Clock | None = None,
    ) -> None:
        self._request = CameraRequest(device, width, height, fps)
        self._opener = opener
        self._clock = clock or MonotonicClock()
        self._closed = threading.Event()
        self._index = 0
        self._last_pts = -1
        capture = opener(self._request)
        if capture is None:
            raise DeviceError(_cannot_open(device))
        reported = _reported_rate(capture) or fps
        deadline_seconds = self._clock.now() + FIRST_PICTURE_SECONDS
        self._grabber = _Grabber(capture, self._clock)
        self._first = self._first_picture(deadline_seconds)
        self._origin_seconds = self._first.at_seconds
        self._freshness = Freshness(self._clock.now(), digest(self._first.image))
        rate = None if not reported else Fraction(reported).limit_denominator(1001)
        self.info = self._describe(rate)

    def __iter__(self) -> Iterator[Frame]:
        yield self._frame(self._first)
        while not self._closed.is_set():
            gave_up = self._grabber.failed  # asked before, for a picture may wait all the same
            picture = self._grabber.take(POLL_SECONDS)
            now = self._clock.now()
            if picture is not None:
                self._freshness.saw(digest(picture.image), picture.at_seconds)
            stale = self._freshness.is_stale(now)
            if picture is not None and not stale:
                yield self._frame(picture)
            elif stale or gave_up:
                self._reopen()

    def close(self) -> None:
        """Free the camera, also from another thread."""
        self._closed.set()
        if isinstance(self._clock, MonotonicClock):
            self._clock.interrupt()
        self._grabber.stop()

    def _first_picture(self, deadline_seconds: float) -> _Picture:
        while self._clock.now() < deadline_seconds:
            gave_up = self._grabber.failed  # asked before, for a picture may wait all the same
            picture = self._grabber.take(POLL_SECONDS)
            if picture is not None:
                return picture
            if gave_up:
                break
        self._grabber.stop()
        raise DeviceError(
            f"camera {self._request.device} opens but gives no picture; "
            "close other programs that use it, or plug it in again"
        )

    def _reopen(self) -> None:
        logger.warning("camera %s gives no new picture; reopening it", self._request.device)
        self._grabber.stop()
        capture = self._opened_again()
        if capture is None:
            return
        self._grabber = _Grabber(capture, self._clock)
        if self._closed.is_set():  # closed while it was being opened
            self._grabber.stop()
            return
        self.reopened += 1
        self._freshness.reopened(self._clock.now())
        logger.warning("camera %s is open again", self._request.device)

    def _opened_again(self) -> Capture | None:
        """A new capture, tried for until there is one; None if the source is closed first."""
        for pause_seconds in back_off_seconds():
            self._clock.sleep_until(self._clock.now() + pause_seconds)
            if self._closed.is_set():
                break
            capture = self._opener(self._request)
            if capture is not None:
                return capture
        return None

    def _frame(self, picture: _Picture) -> Frame:
        import cv2

        ticks = round((picture.at_seconds - self._origin_seconds) / TIME_BASE)
        self._last_pts = max(ticks, self._last_pts + 1)
        frame = Frame(
            planes=(cv2.cvtColor(picture.image, cv2.COLOR_BGR2RGB),),
            format=RGB24,
            width=picture.image.shape[1],
            height=picture.image.shape[0],
            pts=self._last_pts,
            time_base=TIME_BASE,
            index=self._index,
            colour=SRGB,
            captured_at_seconds=picture.at_seconds,
        )
        self._index += 1
        return frame

    def _describe(self, rate: Fraction | None) -> SourceInfo:
        height, width = self._first.image.shape[:2]
        asked = (self._request.width or width, self._request.height or height)
        notes: tuple[str, ...] = ()
        if asked != (width, height):
            notes = (f"asked for {asked[0]}x{asked[1]}, the camera gives {width}x{height}",)
        return SourceInfo(
            name=f"camera {self._request.device}",
            width=width,
            height=height,
            format=RGB24,
            colour=SRGB,
            time_base=TIME_BASE,
            frame_rate=rate,
            live=True,
            notes=notes,
        )


@dataclass(frozen=True, slots=True)
class _Picture:
    """A BGR picture and when it was there."""

    image: npt.NDArray[Any]
    at_seconds: float


class _Grabber:
    """Reads one opened capture on its own thread, which also frees it: a read that hangs in the
    driver hangs only that thread."""

    def __init__(self, capture: Capture, clock: Clock) -> None:
        self._capture = capture
        self._clock = clock
        self._slot: LatestSlot[_Picture] = LatestSlot()
        self._stopped = threading.Event()
        self.failed = False
        self._thread = threading.Thread(target=self._read_all, name="rvm-camera", daemon=True)
        self._thread.start()

    def take(self, timeout_seconds: float) -> _Picture | None:
        """The newest picture that was not taken yet, or None if none comes in time."""
        try:
            return self._slot.get(timeout_seconds)
        except TimeoutError:
            return None

    def stop(self) -> None:
        """End the thread; does not wait long for one that hangs in the driver."""
        self._stopped.set()
        self._slot.cancel()
        if self._thread is not threading.current_thread():
            self._thread.join(_CLOSE_WAIT_SECONDS)

    def _read_all(self) -> None:
        try:
            while not self._stopped.is_set():
                good, image = self._capture.read()
                if not good or image is None:
                    break
                if not self._slot.put(_Picture(image, self._clock.now())):
                    break
        except Exception as error:
            logger.debug("camera read failed: %r", error)
        finally:
            self.failed = True
            self._slot.finish()
            self._capture.release()


def _reported_rate(capture: Capture) -> float | None:
    import cv2

    rate = capture.get(cv2.CAP_PROP_FPS)
    return rate if 0 < rate <= 1000 else None


def _kernel_cameras(folder: Path) -> list[CameraEntry]:
    found = []
    for entry in folder.glob("video*"):
        number = entry.name.removeprefix("video")
        try:
            # A camera has further nodes for metadata; its pictures come from the first.
            if number.isdigit() and (entry / "index").read_text().strip() == "0":
                name = (entry / "name").read_text().strip()
                found.append(CameraEntry(int(number), name, f"/dev/{entry.name}"))
        except OSError as error:
            logger.debug("cannot read %s: %r", entry, error)
    return sorted(found, key=lambda camera: camera.number)


def _cannot_open(device: int | str) -> str:
    cameras = list_cameras() if sys.platform.startswith("linux") else []
    known = ", ".join(f"{camera.number} ({camera.name})" for camera in cameras)
    path = device if isinstance(device, str) else f"/dev/video{device}"
    if Path(path).exists() and not os.access(path, os.R_OK | os.W_OK):
        return f"camera {device} may not be used: join the group 'video' and log in again"
    if known:
        return f"camera {device} does not open; found: {known}; is another program using it?"
    return f"camera {device} does not open: no camera was found; plug one in or name a video file"
