"""A camera that is watched, with fake captures and a clock that does not wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rvm.clock import FakeClock
from rvm.errors import DeviceError
from rvm.frame import Frame
from rvm.sources.camera import (
    CameraEntry,
    CameraRequest,
    CameraSource,
    list_cameras,
    open_capture,
)
from rvm.sources.freshness import STALE_SECONDS, Freshness, back_off_seconds, digest

WIDTH, HEIGHT = 64, 48


def noise(number: int) -> np.ndarray[Any, Any]:
    """A BGR picture of a live sensor."""
    return np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


class FakeCapture:
    """Plays a list of events; each read takes 40 ms of the fake clock.

    An event is a picture, None (the read fails), "hang" (it blocks, and time passes), or "wait"
    (it blocks, and no time passes).
    """

    def __init__(self, clock: FakeClock, events: Iterator[Any], fps: float = 25.0) -> None:
        self.released = threading.Event()
        self.blocked = threading.Event()
        self.hung = threading.Event()
        self._clock = clock
        self._events = events
        self._fps = fps
        self._turn = threading.Semaphore(0)

    def let(self, count: int = 1) -> None:
        """Allow `count` more reads; keeps the camera's thread in step with the test."""
        self._turn.release(count)

    def read(self) -> tuple[bool, Any]:
        self._turn.acquire()
        if self.released.is_set():
            return False, None
        event = next(self._events, None)
        if isinstance(event, str):
            self._clock.advance(STALE_SECONDS if event == "hang" else 0)
            self.blocked.set()
            self.hung.wait(30)
            return False, None
        self._clock.advance(0.04)
        if event is None:
            return False, None
        return True, event

    def get(self, property: int) -> float:
        return self._fps

    def release(self) -> None:
        self.released.set()


class Bench:
    """Opens one scripted capture after the other; None is an attempt that fails."""

    def __init__(self, *scripts: list[Any] | None, fps: float = 25.0) -> None:
        self.clock = FakeClock(100.0)
        self.requests: list[tuple[float, CameraRequest]] = []
        self.captures: list[FakeCapture] = []
        self._scripts = list(scripts)
        self._fps = fps

    def open(self, request: CameraRequest) -> FakeCapture | None:
        self.requests.append((self.clock.now(), request))
        script = self._scripts.pop(0) if self._scripts else None
        if script is None:
            return None
        capture = FakeCapture(self.clock, iter(script), self._fps)
        capture.let(10_000)
        self.captures.append(capture)
        return capture

    def source(self, **options: Any) -> CameraSource:
        return CameraSource(opener=self.open, clock=self.clock, **options)

    def end(self) -> None:
        for capture in self.captures:
            capture.hung.set()
            capture.let(10)


class OneByOne(Bench):
    """A bench whose captures read only when the test takes a frame, so that none is replaced."""

    def open(self, request: CameraRequest) -> FakeCapture | None:
        capture = super().open(request)
        if capture is not None:
            while capture._turn.acquire(blocking=False):
                pass
            capture.let()
        return capture

    def take(self, frames: Iterator[Frame]) -> Frame:
        frame = next(frames)
        self.captures[-1].let()
        return frame


@pytest.fixture(autouse=True)
def _no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that the test holds in `read` is not waited for."""
    monkeypatch.setattr("rvm.sources.camera._CLOSE_WAIT_SECONDS", 0.02)


@pytest.fixture
def bench() -> Iterator[Callable[..., OneByOne]]:
    benches: list[OneByOne] = []

    def make(*scripts: list[Any] | None, **options: Any) -> OneByOne:
        benches.append(OneByOne(*scripts, **options))
        return benches[-1]

    yield make
    for made in benches:
        made.end()


def test_pictures_arrive_as_rgb_in_time(bench: Callable[..., OneByOne]) -> None:
    desk = bench([noise(1), noise(2), noise(3)])
    source = desk.source(width=WIDTH, height=HEIGHT, fps=25)
    frames = iter(source)
    got = [desk.take(frames) for _ in range(3)]
    source.close()
    assert [np.array_equal(f.planes[0][..., ::-1], noise(n)) for n, f in enumerate(got, 1)] == [
        True, True, True,
    ]  # fmt: skip
    assert [frame.pts for frame in got] == [0, 3600, 7200]  # 40 ms at 90 kHz
    assert [frame.index for frame in got] == [0, 1, 2]
    assert [round(frame.captured_at_seconds, 2) for frame in got] == [100.04, 100.08, 100.12]
    assert desk.captures[0].released.wait(10)
    assert source.info.live
    assert source.info.frame_rate == 25
    assert source.info.notes == ()


def test_it_reports_what_the_camera_really_gives(bench: Callable[..., OneByOne]) -> None:
    source = bench([noise(1)], fps=0.0).source(width=1280, height=720, fps=30)
    assert (source.info.width, source.info.height) == (WIDTH, HEIGHT)
    assert source.info.frame_rate == 30
    assert source.info.notes == ("asked for 1280x720, the camera gives 64x48",)
    source.close()


@pytest.mark.parametrize("loss", [None, "hang"])
def test_a_lost_camera_is_noticed_and_reopened(
    loss: str | None, bench: Callable[..., OneByOne], caplog: pytest.LogCaptureFixture
) -> None:
    desk = bench([noise(1), noise(2), loss], None, None, [noise(3), noise(4)])
    source = desk.source()
    frames = iter(source)
    before = [desk.take(frames), desk.take(frames)]
    lost_at = before[-1].captured_at_seconds
    with caplog.at_level(logging.WARNING):
        after = desk.take(frames)
    source.close()
    assert source.reopened == 1
    assert np.array_equal(after.planes[0][..., ::-1], noise(3))
    assert after.index == 2
    assert (after.pts or 0) > (before[-1].pts or 0)
    attempts = [when for when, _ in desk.requests[1:]]
    # Noticed within 2 s; then 0.25, 0.5 and 1 s between attempts.
    assert attempts[0] - lost_at <= 2 + 0.25
    assert np.diff(attempts) == pytest.approx([0.5, 1.0])
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_a_driver_that_repeats_its_last_picture_is_noticed(
    bench: Callable[..., OneByOne],
) -> None:
    frozen = noise(2)
    desk = bench([noise(1)] + [frozen] * 100, [noise(3), noise(4)])
    source = desk.source()
    frames = iter(source)
    got = [desk.take(frames)]
    while source.reopened == 0:
        got.append(desk.take(frames))
    source.close()
    noticed = desk.requests[1][0] - 100.08  # when the frozen picture was new
    assert STALE_SECONDS <= noticed <= 2 + 0.25
    assert np.array_equal(got[-1].planes[0][..., ::-1], noise(3))


def test_a_still_scene_is_reopened_once_and_then_believed(
    bench: Callable[..., OneByOne],
) -> None:
    still = np.zeros((HEIGHT, WIDTH, 3), np.uint8)  # a covered lens
    desk = bench([still] * 200, [still] * 200 + [noise(5)] * 100, [noise(6)])
    source = desk.source()
    frames = iter(source)
    for _ in range(200):
        desk.take(frames)
    assert source.reopened == 1
    # Once it moved, stillness is suspicious again.
    while source.reopened == 1:
        desk.take(frames)
    source.close()
    assert source.reopened == 2


def test_a_camera_that_changes_size_says_so_in_the_frame(bench: Callable[..., OneByOne]) -> None:
    small = np.random.default_rng(9).integers(0, 256, (24, 32, 3), np.uint8)
    desk = bench([noise(1), None], [small])
    source = desk.source()
    frames = iter(source)
    assert desk.take(frames).size == (64, 48)
    assert desk.take(frames).size == (32, 24)
    source.close()


def test_only_the_newest_picture_waits(bench: Callable[..., OneByOne]) -> None:
    desk = bench([noise(number) for number in range(1, 9)] + ["wait"])
    source = desk.source()
    desk.captures[0].let(100)
    assert desk.captures[0].blocked.wait(10)  # the camera ran ahead while nobody took anything
    frames = iter(source)
    next(frames)
    newest = next(frames)
    source.close()
    assert np.array_equal(newest.planes[0][..., ::-1], noise(8))


def test_a_missing_camera(bench: Callable[..., OneByOne]) -> None:
    with pytest.raises(DeviceError, match="does not open") as caught:
        bench(None).source(device=77)
    assert caught.value.exit_code == 5
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("script", [[None], ["hang"]])
def test_a_camera_without_pictures(
    script: list[Any], bench: Callable[..., OneByOne], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rvm.sources.camera.FIRST_PICTURE_SECONDS", STALE_SECONDS)
    with pytest.raises(DeviceError, match="no picture"):
        bench(script).source()


def test_close_ends_the_wait_for_a_lost_camera(bench: Callable[..., OneByOne]) -> None:
    desk = bench([noise(1), None])
    source = desk.source()
    frames = iter(source)
    desk.take(frames)
    attempts = threading.Event()
    real_open = source._opener

    def counting(request: CameraRequest) -> Any:
        if len(desk.requests) > 5:
            attempts.set()
        return real_open(request)

    source._opener = counting
    rest: list[Frame] = []
    thread = threading.Thread(target=lambda: rest.extend(frames))
    thread.start()
    assert attempts.wait(10)
    source.close()
    thread.join(10)
    assert not thread.is_alive()
    assert rest == []
    assert source.reopened == 0


def test_back_off_doubles_up_to_five_seconds() -> None:
    pauses = back_off_seconds()
    assert [next(pauses) for _ in range(7)] == [0.25, 0.5, 1, 2, 4, 5, 5]


def test_digest_differs_with_one_step_of_noise() -> None:
    picture = noise(1)
    other = picture.copy()
    other[8, 16, 0] ^= 1
    assert digest(picture) == digest(picture.copy())
    assert digest(picture) != digest(other)


def test_freshness_by_hand() -> None:
    fresh = Freshness(10.0, picture=1)
    fresh.saw(1, 11.0)
    assert not fresh.is_stale(11.4)
    assert fresh.is_stale(11.5)
    fresh.saw(2, 11.6)
    assert not fresh.is_stale(13.0)
    assert fresh.is_stale(13.1)


def test_the_kernels_list_of_cameras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    for node, index, name in (
        ("video10", 0, "Capture"),
        ("video0", 0, "Webcam"),
        ("video1", 1, "x"),
    ):
        (tmp_path / node).mkdir()
        (tmp_path / node / "index").write_text(f"{index}\n")
        (tmp_path / node / "name").write_text(f"{name}\n")
    (tmp_path / "video2").mkdir()  # just unplugged
    assert list_cameras(system_folder=tmp_path) == [
        CameraEntry(0, "Webcam", "/dev/video0"),
        CameraEntry(10, "Capture", "/dev/video10"),
    ]
    assert list_cameras(system_folder=tmp_path / "none") == []


def test_elsewhere_cameras_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")
    desk = Bench([], [], None)
    assert [camera.number for camera in list_cameras(opener=desk.open)] == [0, 1]
    assert all(capture.released.is_set() for capture in desk.captures)


class FakeOpenCv:
    """Records what is set on a `cv2.VideoCapture`."""

    def __init__(self, opens: bool = True) -> None:
        self.opens = opens
        self.settings: list[tuple[int, float]] = []
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802
        return self.opens

    def set(self, property: int, value: float) -> None:
        self.settings.append((property, value))

    def release(self) -> None:
        self.released = True


@pytest.mark.parametrize(
    ("height", "mjpg"), [(480, False), (720, True), (1080, True), (None, False)]
)
def test_what_is_asked_of_the_driver(
    height: int | None, mjpg: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cv2

    fake: Any = FakeOpenCv()
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: fake)
    width = None if height is None else height * 16 // 9
    opened: Any = open_capture(CameraRequest(0, width, height, 30))
    assert opened is fake
    settings = dict(fake.settings)
    assert settings[cv2.CAP_PROP_BUFFERSIZE] == 1
    assert settings.get(cv2.CAP_PROP_FRAME_HEIGHT) == height
    assert settings[cv2.CAP_PROP_FPS] == 30
    assert (settings.get(cv2.CAP_PROP_FOURCC) == cv2.VideoWriter.fourcc(*"MJPG")) is mjpg
    if mjpg:  # drivers take a size only after the format that allows it
        order = [property for property, _ in fake.settings]
        assert order.index(cv2.CAP_PROP_FOURCC) < order.index(cv2.CAP_PROP_FRAME_WIDTH)


def test_a_capture_that_does_not_open_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    import cv2

    fake = FakeOpenCv(opens=False)
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: fake)
    assert open_capture(CameraRequest(0)) is None
    assert fake.released


def test_opening_a_camera_that_is_not_there_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    assert open_capture(CameraRequest(93)) is None
    assert capfd.readouterr() == ("", "")
