"""Media that tells a player to open something else: nothing but the named file is ever opened.

The kernel itself is asked (inotify) whether the secret file was opened, because FFmpeg does its
own opening, out of Python's sight; a listener on a local port counts connections.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rvm.errors import InputError, UnsafeInputError
from rvm.media.open import open_input, open_stream
from rvm.sources import open_source
from tests.synth_clips import clip, write_clip

IN_OPEN = 0x20


class OpenWatch:
    """Counts openings of one file by anyone, through inotify."""

    def __init__(self, path: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._queue = self._libc.inotify_init1(os.O_NONBLOCK)
        watch = self._libc.inotify_add_watch(self._queue, os.fsencode(path), IN_OPEN)
        assert self._queue >= 0
        assert watch >= 0

    def count(self) -> int:
        try:
            events = os.read(self._queue, 65536)
        except BlockingIOError:
            return 0
        count = position = 0
        while position < len(events):
            *_, length = struct.unpack_from("iIII", events, position)
            position += 16 + length
            count += 1
        return count

    def close(self) -> None:
        os.close(self._queue)


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A real, playable file that nobody named."""
    folder = tmp_path / "private"
    folder.mkdir()
    path = folder / "secret.ts"
    write_clip(path, clip(suffix=".ts", frames=3))
    return path


@pytest.fixture
def opened(secret: Path) -> Iterator[Callable[[], int]]:
    if not sys.platform.startswith("linux"):
        pytest.skip("inotify is Linux only")
    watch = OpenWatch(secret)
    yield watch.count
    watch.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


def address(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}/x.ts"


def connections(server: socket.socket) -> int:
    count = 0
    while True:
        try:
            server.accept()[0].close()
        except BlockingIOError:
            return count
        count += 1


def m3u8(target: str) -> str:
    lines = ("#EXTM3U", "#EXT-X-TARGETDURATION:1", "#EXTINF:1,", target, "#EXT-X-ENDLIST", "")
    return "\n".join(lines)


SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
MPD = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011">'
    '<Period><AdaptationSet mimeType="video/mp2t"><Representation id="1" bandwidth="1">'
    "<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>"
)

#: name of the file to write (None: the text itself is given as the path), and its text.
FORMS: dict[str, tuple[str | None, str]] = {
    "m3u8 to a file": ("list.m3u8", m3u8("file://{secret}")),
    "m3u8 renamed": ("movie.mp4", m3u8("{secret}")),
    "m3u8 to http": ("list.m3u8", m3u8("{url}")),
    "ffconcat renamed": ("movie.mp4", "ffconcat version 1.0\nfile '{secret}'\n"),
    "concat protocol": (None, "concat:{secret}|{secret}"),
    "subfile protocol": (None, "subfile,,start,0,end,0,,:{secret}"),
    "data protocol": (None, "data:text/plain,#EXTM3U%0A#EXTINF:1,%0A{secret}"),
    "http": (None, "{url}"),
    "lavfi": (None, "lavfi:testsrc"),
    "lavfi movie": (None, "movie={secret}"),
    "sdp": ("call.sdp", SDP),
    "mpd": ("list.mpd", MPD),
    # more of the same kind
    "file protocol": (None, "file:{secret}"),
    "crypto protocol": (None, "crypto:{secret}"),
    "cache protocol": (None, "cache:{url}"),
    "async protocol": (None, "async:{secret}"),
    "tee muxer name": (None, "tee:{secret}"),
    "rtsp": (None, "rtsp://127.0.0.1:{port}/x"),
    "gopher": (None, "gopher://127.0.0.1:{port}/x"),
    "pls playlist": ("list.pls", "[playlist]\nFile1={url}\n"),
    "byte order mark": ("movie.mkv", "\ufeff" + m3u8("{url}")),
    "indented m3u8": ("movie.mp4", "\n\n  " + m3u8("{secret}")),
    "image pattern": (None, "{folder}/%03d.png"),
    "image glob": (None, "{folder}/*.ts"),
    "null byte": (None, "{secret}\0.mp4"),
}


@pytest.mark.parametrize("form", FORMS)
def test_nothing_else_is_opened(
    form: str,
    tmp_path: Path,
    secret: Path,
    opened: Callable[[], int],
    listener: socket.socket,
) -> None:
    name, text = FORMS[form]
    port = listener.getsockname()[1]
    folder = secret.parent
    text = text.format(secret=secret, url=address(listener), port=port, folder=folder, target="x")
    path = text
    if name is not None:
        path = str(tmp_path / name)
        Path(path).write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        open_input(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        open_source(path)
    assert opened() == 0
    assert connections(listener) == 0


def test_the_watch_sees_an_opening(secret: Path, opened: Callable[[], int]) -> None:
    # Without this the test above would pass with a broken watch.
    open_input(secret).close()
    assert opened() > 0


def test_the_listener_sees_a_connection(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()):
        pass
    assert connections(listener) == 1


@pytest.mark.parametrize("form", ["m3u8 to a file", "concat protocol", "http"])
def test_it_is_called_unsafe(form: str, tmp_path: Path, secret: Path) -> None:
    name, text = FORMS[form]
    text = text.format(secret=secret, url="http://127.0.0.1:9/x", port=9, folder=".", target="x")
    path = text
    if name is not None:
        path = str(tmp_path / name)
        Path(path).write_text(text, encoding="utf-8")
    with pytest.raises(UnsafeInputError):
        open_input(path)


@pytest.mark.parametrize(
    "name",
    ["a:b.mp4", "concat:x.mp4", "http:x.mp4", "movie=y.mp4", "%03d.mp4", "-i.mp4", "файл 1.mp4"],
)
def test_a_file_may_have_any_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "plain.mp4", frames=2)
    try:
        shutil.copy(tmp_path / "plain.mp4", tmp_path / name)
    except OSError:
        pytest.skip("this file system has no such names")
    monkeypatch.chdir(tmp_path)
    for path in (name, str(tmp_path / name)):
        with open_input(path) as container:
            assert container.streams.video[0].width == 160


def test_a_symbolic_link_is_the_file_it_names(tmp_path: Path) -> None:
    write_clip(tmp_path / "plain.mp4", frames=2)
    (tmp_path / "link.mp4").symlink_to("plain.mp4")
    open_input(tmp_path / "link.mp4").close()
    (tmp_path / "null.mp4").symlink_to("/dev/null")
    with pytest.raises(InputError, match="not a regular file"):
        open_input(tmp_path / "null.mp4")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "file:///etc/hostname", "concat:x", "x.mp4"])
def test_only_network_cameras_may_be_streams(url: str) -> None:
    with pytest.raises(UnsafeInputError, match="rtsp://"):
        open_stream(url)


def test_a_password_is_not_repeated(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    with pytest.raises(InputError) as caught:
        open_stream(f"http://user:hunter2@127.0.0.1:{port}/x", open_seconds=1)
    assert "hunter2" not in str(caught.value)


def test_a_playlist_behind_http_is_refused(secret: Path, opened: Callable[[], int]) -> None:
    from threading import Thread

    body = m3u8(f"file://{secret}").encode()

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                head = f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                connection.sendall(head + body)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Thread(target=serve, args=(server,), daemon=True)
        thread.start()
        with pytest.raises(InputError):
            open_stream(address(server), open_seconds=2)
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    assert opened() == 0
