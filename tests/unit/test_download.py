"""`rvm models pull` against a server on this machine: resume, damage, tricks, no network."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rvm.errors import ModelError, ModelHashError
from rvm.matting.download import pull
from rvm.matting.weights import ModelEntry

DATA = bytes(range(256)) * 1000


class Server(http.server.ThreadingHTTPServer):
    """Serves `DATA` with resume, and misbehaves on request."""

    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = DATA
        self.cut_after: list[int] = []  # for each request in turn: bytes to send, then hang up
        self.ranges = True
        self.redirect: str | None = None
        self.requests: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/tiny.onnx"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        if self.server.redirect:
            self.send_response(302)
            self.send_header("Location", self.server.redirect)
            self.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        start = start if self.server.ranges else 0
        body = self.server.body[start:]
        self.send_response(206 if start else 200)
        if start:
            total = len(self.server.body)
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        keep = self.server.cut_after.pop(0) if self.server.cut_after else len(body)
        self.wfile.write(body[:keep])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("RVM_MODEL_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("RVM_OFFLINE", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def entry(server: Server) -> ModelEntry:
    return ModelEntry(
        name="tiny",
        description="a test",
        licence="MIT",
        contract="rvm",
        format="onnx",
        precision="fp32",
        url=server.url,
        sha256=hashlib.sha256(DATA).hexdigest(),
        bytes=len(DATA),
    )


def part_of(entry: ModelEntry) -> Path:
    return entry.path.with_name(entry.path.name + ".part")


def test_a_file_is_fetched_once(server: Server, entry: ModelEntry) -> None:
    seen: list[tuple[int, int]] = []
    path = pull(entry, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert entry.status == "downloaded"
    assert not part_of(entry).exists()
    pull(entry)
    assert len(server.requests) == 1


def test_a_part_is_continued(server: Server, entry: ModelEntry) -> None:
    part_of(entry).parent.mkdir(parents=True)
    part_of(entry).write_bytes(DATA[:1234])
    assert pull(entry).read_bytes() == DATA
    assert server.requests == ["bytes=1234-"]


def test_a_part_begins_anew_when_the_server_cannot_continue(
    server: Server, entry: ModelEntry
) -> None:
    server.ranges = False
    part_of(entry).parent.mkdir(parents=True)
    part_of(entry).write_bytes(b"old bytes of some other file")
    assert pull(entry).read_bytes() == DATA


def test_a_connection_that_breaks_is_taken_up_again(server: Server, entry: ModelEntry) -> None:
    server.cut_after = [5000, 100_000]
    assert pull(entry).read_bytes() == DATA
    assert server.requests == [None, "bytes=5000-", "bytes=105000-"]


def test_a_server_that_keeps_breaking_leaves_the_part(server: Server, entry: ModelEntry) -> None:
    server.cut_after = [1000, 1000, 1000]
    with pytest.raises(ModelError, match=r"3000 of 256000 bytes; run the same command again"):
        pull(entry)
    assert part_of(entry).stat().st_size == 3000
    assert not entry.path.exists()


@pytest.mark.parametrize("body", [bytes(len(DATA)), DATA + b"x", DATA * 3])
def test_another_file_is_thrown_away(server: Server, entry: ModelEntry, body: bytes) -> None:
    server.body = body
    with pytest.raises(ModelHashError, match="thrown away"):
        pull(entry)
    assert not entry.path.exists()
    assert not part_of(entry).exists()


def test_a_damaged_file_is_replaced(server: Server, entry: ModelEntry) -> None:
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(bytes(len(DATA)))
    assert pull(entry).read_bytes() == DATA


def test_offline_asks_nobody(
    server: Server, entry: ModelEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RVM_OFFLINE", "1")
    with pytest.raises(ModelError, match="RVM_OFFLINE"):
        pull(entry)
    assert server.requests == []
    monkeypatch.delenv("RVM_OFFLINE")
    pull(entry)
    monkeypatch.setenv("RVM_OFFLINE", "1")
    pull(entry)  # it is here already


def test_an_unpinned_model_is_not_fetched(server: Server, entry: ModelEntry) -> None:
    with pytest.raises(ModelError, match="--model PATH"):
        pull(dataclasses.replace(entry, sha256=None, bytes=None))
    assert server.requests == []


@pytest.mark.parametrize(
    "url", ["http://example.invalid/x.onnx", "file:///etc/hostname", "ftp://x/y"]
)
def test_only_https_is_asked(server: Server, entry: ModelEntry, url: str) -> None:
    with pytest.raises(ModelError, match="refusing"):
        pull(dataclasses.replace(entry, url=url))
    server.redirect = url
    with pytest.raises(ModelError, match=r"refusing|not allowed"):
        pull(entry)


def test_a_server_that_is_not_there(entry: ModelEntry, server: Server) -> None:
    absent = dataclasses.replace(entry, url="http://127.0.0.1:9/tiny.onnx")
    with pytest.raises(ModelError, match="run the same command again"):
        pull(absent)


def test_two_at_once_fetch_once(server: Server, entry: ModelEntry) -> None:
    threads = [threading.Thread(target=pull, args=(entry,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entry.path.read_bytes() == DATA
    assert len(server.requests) == 1


def test_a_folder_that_cannot_be_written(
    server: Server, entry: ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    monkeypatch.setenv("RVM_MODEL_DIR", str(blocker / "models"))
    with pytest.raises(ModelError, match="cannot store"):
        pull(entry)
