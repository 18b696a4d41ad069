"""A network camera, played by a small HTTP server on this machine."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvm.clock import FakeClock
from rvm.errors import InputError, UnsafeInputError
from rvm.sources import open_source
from rvm.sources.stream import StreamSource
from rvm.sources.synthetic import read_number
from tests.synth_clips import clip, write_clip


class CameraServer:
    """Sends the same transport stream to everyone who connects, then hangs up or falls silent."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.silent = False
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://user:secret@127.0.0.1:{self._socket.getsockname()[1]}/live.ts"

    def close(self) -> None:
        if not self._over.is_set():
            self._over.set()
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._send, args=(connection,), daemon=True).start()

    def _send(self, connection: socket.socket) -> None:
        with connection:
            connection.recv(4096)
            head = b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n"
            try:
                connection.sendall(head + self.data)
            except OSError:
                return
            if self.silent:
                self._over.wait(30)


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[CameraServer]:
    path = tmp_path / "live.ts"
    write_clip(path, clip(suffix=".ts", frames=60, b_frames=0))
    server = CameraServer(path.read_bytes())
    yield server
    server.close()


@pytest.mark.parametrize("silent", [False, True])
def test_it_is_opened_again_and_time_goes_on(silent: bool, camera: CameraServer) -> None:
    camera.silent = silent
    with StreamSource(camera.url, read_seconds=0.3, clock=FakeClock()) as source:
        assert source.info.live
        assert source.info.frame_count is None
        frames = []
        for frame in source:
            frames.append(frame)
            if len(frames) == 130:
                break
        assert source.reopened == 2
    numbers = [read_number(frame) for frame in frames]
    assert numbers[:59] == list(range(59))
    assert numbers.count(0) == 3
    times = [frame.pts or 0 for frame in frames]
    assert times == sorted(set(times))
    assert [frame.index for frame in frames] == list(range(130))
    assert all(frame.captured_at_seconds > 0 for frame in frames)


def test_closing_ends_it(camera: CameraServer) -> None:
    source = StreamSource(camera.url, clock=FakeClock())
    count = 0
    for _ in source:
        count += 1
        if count == 5:
            source.close()
    assert count == 5


def test_the_password_is_not_shown(camera: CameraServer) -> None:
    with StreamSource(camera.url) as source:
        assert "secret" not in source.info.name
        assert source.info.original is None


def test_only_a_live_run_may_connect(camera: CameraServer) -> None:
    with pytest.raises(UnsafeInputError):
        open_source(camera.url)
    assert camera.connections == 0
    with open_source(camera.url, live=True) as source:
        assert isinstance(source, StreamSource)


def test_nobody_answers(camera: CameraServer) -> None:
    url = camera.url
    camera.close()
    with pytest.raises(InputError, match="does not open"):
        StreamSource(url, open_seconds=1)
