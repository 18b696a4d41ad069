"""The contract of `rvm.sources.base`, for every kind of source in the registry."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rvm.clock import FakeClock
from rvm.frame import PIXEL_FORMATS, Frame
from rvm.sources import SOURCES
from rvm.sources.base import Source
from rvm.sources.camera import CameraSource
from rvm.sources.file import FileSource
from rvm.sources.images import ImagesSource
from rvm.sources.paced import PacedSource
from rvm.sources.stream import StreamSource
from rvm.sources.synthetic import SyntheticSource
from tests.synth_clips import clip, write_clip

COUNT = 12


class NoiseCamera:
    """A capture that never repeats itself."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(0)

    def read(self) -> tuple[bool, Any]:
        return True, self._random.integers(0, 256, (48, 64, 3), np.uint8)

    def get(self, property: int) -> float:
        return 30.0

    def release(self) -> None: ...


def serve(data: bytes, server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + data)


@pytest.fixture(params=sorted(SOURCES))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Source]]:
    """Opens a new source of the kind; a new kind needs a line here, or this fails."""
    movie = tmp_path / "movie.ts"
    write_clip(movie, clip(suffix=".ts", frames=COUNT, b_frames=0))
    (tmp_path / "images").mkdir()
    for number in range(COUNT):
        cv2.imwrite(str(tmp_path / f"images/{number}.png"), np.full((4, 6, 3), number, np.uint8))
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(movie.read_bytes(), server), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        makers: dict[str, Callable[[], Source]] = {
            "file": lambda: FileSource(movie),
            "stream": lambda: StreamSource(url, clock=FakeClock()),
            "camera": lambda: CameraSource(opener=lambda _: NoiseCamera()),
            "images": lambda: ImagesSource(tmp_path / "images"),
            "synthetic": lambda: SyntheticSource(COUNT, width=64, height=48),
            "paced": lambda: PacedSource(FileSource(movie), FakeClock(1.0)),
        }
        yield makers[request.param]
        server.shutdown(socket.SHUT_RDWR)


def take(source: Source, count: int = COUNT) -> list[Frame]:
    return [frame for frame, _ in zip(source, range(count), strict=False)]


def test_info_is_complete_before_the_first_frame(make: Callable[[], Source]) -> None:
    with make() as source:
        info = source.info
        assert info.name
        assert info.format in PIXEL_FORMATS.values()
        assert info.time_base > 0
        first = next(iter(source))
        assert (first.width, first.height, first.format) == (info.width, info.height, info.format)
        assert (first.colour, first.time_base) == (info.colour, info.time_base)
        assert first.sample_aspect == info.sample_aspect


def test_order_and_time(make: Callable[[], Source]) -> None:
    with make() as source:
        frames = take(source)
    assert len(frames) == COUNT
    indices = [frame.index for frame in frames]
    assert indices == sorted(set(indices))
    assert indices[0] == 0
    times = [frame.pts_seconds for frame in frames]
    assert all(time is not None for time in times)
    assert times == sorted(times)  # type: ignore[type-var]


def test_planes_have_their_shape_type_and_contiguous_samples(make: Callable[[], Source]) -> None:
    with make() as source:
        for frame in take(source, 3):
            shapes = frame.format.plane_shapes(frame.width, frame.height)
            assert tuple(plane.shape for plane in frame.planes) == shapes
            for plane in frame.planes:
                assert plane.dtype == frame.format.dtype
                assert plane.strides[-1] == plane.itemsize
                assert int(plane.max()) <= frame.format.max_value


def test_live_frames_say_when_they_were_captured(make: Callable[[], Source]) -> None:
    with make() as source:
        captured = [frame.captured_at_seconds for frame in take(source, 3)]
        assert all((seconds > 0) == source.info.live for seconds in captured)


def test_frames_stay_good_after_the_next_ones_and_after_close(make: Callable[[], Source]) -> None:
    with make() as source:
        frames = take(source, 5)
        sums = [[int(plane.sum()) for plane in frame.planes] for frame in frames]
        take(source, 3)
    assert [[int(plane.sum()) for plane in frame.planes] for frame in frames] == sums


def test_claims_hold(make: Callable[[], Source]) -> None:
    with make() as source:
        if source.info.frame_count is not None:
            assert len(list(source)) == source.info.frame_count == COUNT


def test_close_may_be_called_again_and_ends_the_iteration(make: Callable[[], Source]) -> None:
    source = make()
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert len(list(frames)) <= 1


def test_close_before_the_first_frame(make: Callable[[], Source]) -> None:
    source = make()
    source.close()
    assert len(take(source)) <= 1


def test_close_from_another_thread_ends_a_reader(make: Callable[[], Source]) -> None:
    source = make()
    started = threading.Event()

    def read() -> None:
        for _ in source:
            started.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert started.wait(30)
    source.close()
    reader.join(30)
    assert not reader.is_alive()


def test_counters_start_at_zero(make: Callable[[], Source]) -> None:
    with make() as source:
        assert (source.damaged, source.reopened) == (0, 0)
