"""A missing tail shows in the outer structure of a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from rvm.media.truncation import missing_bytes
from tests.synth_clips import clip, write_clip

SUFFIXES = [".mp4", ".mov", ".mkv", ".webm", ".avi"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("cut", [0, 1, 100, 1000])
def test_exactly_what_was_cut_off_is_missing(suffix: str, cut: int, tmp_path: Path) -> None:
    path = tmp_path / f"clip{suffix}"
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(suffix, "libx264")
    write_clip(path, clip(suffix=suffix, codec=codec, frames=12, time_base=1 / clip().rate))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - cut])
    if suffix in (".mp4", ".mov") and cut == 1000:
        # The cut goes through several boxes; only the last one that began is missed.
        assert 0 < missing_bytes(path) <= cut
    else:
        assert missing_bytes(path) == cut


def test_fragmented_mp4(tmp_path: Path) -> None:
    import av

    from tests.synth_clips import video_frame

    path, spec = tmp_path / "live.mp4", clip(frames=12)
    options = {"movflags": "frag_keyframe+empty_moov"}
    with av.open(str(path), "w", container_options=options) as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "4"})
        stream.width, stream.height = spec.width, spec.height
        for index in range(12):
            container.mux(stream.encode(video_frame(spec, index)))
        container.mux(stream.encode())
    assert missing_bytes(path) == 0
    path.write_bytes(path.read_bytes()[:-7])
    assert missing_bytes(path) == 7


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"RIFF",
        b"\x1a\x45\xdf\xa3",
        b"\x1a\x45\xdf\xa3\x00\x00",
        b"\x00\x00\x00\x03ftyp" + bytes(20),
        b"G" * 1000,
        # a segment of unknown size, as a live recording has: 0x01 and seven 0xff
        b"\x1a\x45\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff\x00",
        # a box "to the end of the file"
        b"\x00\x00\x00\x08free\x00\x00\x00\x00mdat" + bytes(50),
    ],
)
def test_unknown_is_complete(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert missing_bytes(path) == 0


def test_a_box_with_a_64_bit_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    # 8 bytes of free; then an mdat of 40 bytes (size field 1, then 64 bits), 30 of them there
    head = b"\x00\x00\x00\x08free"
    box = b"\x00\x00\x00\x01mdat" + (40).to_bytes(8, "big") + bytes(14)
    path.write_bytes(head + box)
    assert missing_bytes(path) == 10


def test_a_missing_file_is_not_our_business(tmp_path: Path) -> None:
    assert missing_bytes(tmp_path / "nothing") == 0
