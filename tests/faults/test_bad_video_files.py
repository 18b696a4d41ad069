"""Files that are missing, empty, cut off, damaged or no video: one plain line, and good frames
before the damage are not lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import rvm.media.open
from rvm import convert
from rvm.errors import InputError, LostFramesError, UsageError
from rvm.media.decode import VideoReader
from rvm.media.open import MAX_PIXELS
from rvm.media.packets import MOST_DAMAGED_IN_A_ROW
from rvm.sources.synthetic import read_number
from tests.shared_data import shared_path
from tests.synth_clips import clip, truncate, write_clip


def one_line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    assert "Traceback" not in text
    assert "Errno" not in text
    return text


def refused(path: Path | str) -> str:
    with pytest.raises(InputError) as caught:
        VideoReader(path)
    return one_line(caught.value)


def read_into(numbers: list[int], reader: VideoReader) -> str:
    """Append the number of each frame; the one line of the error that ends it."""
    try:
        for frame in reader:
            numbers.append(read_number(frame))
    except InputError as error:
        return one_line(error)
    pytest.fail("ended without an error")


def test_missing(tmp_path: Path) -> None:
    assert "no such file" in refused(tmp_path / "nothing.mp4")


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    assert "empty" in refused(path)


def test_folder(tmp_path: Path) -> None:
    assert "folder" in refused(tmp_path)


def test_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.mp4"
    os.mkfifo(path)
    assert "not a regular file" in refused(path)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/proc/self/mem"])
def test_devices(path: str) -> None:
    if not Path(path).exists():
        pytest.skip("no such device here")
    refused(path)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "closed.mp4"
    write_clip(path, frames=2)
    path.chmod(0)
    if os.access(path, os.R_OK):  # root may read everything; let the system call fail instead
        real = Path.open

        def deny(self: Path, *arguments: object, **options: object) -> object:
            if self == path:
                raise PermissionError(13, "Permission denied")
            return real(self, *arguments, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(Path, "open", deny)
    assert "permission denied" in refused(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts", ".webm"])
def test_random_bytes(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(random.Random(0).randbytes(50_000))
    refused(path)


def test_text_renamed(tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("Dear diary, today I learned about containers.\n" * 50)
    assert "not a video file" in refused(path)


def test_picture_renamed(tmp_path: Path) -> None:
    path = tmp_path / "still.mp4"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(5000))
    refused(path)


def test_path_too_long_and_null_byte() -> None:
    refused("x" * 5000 + ".mp4")
    refused("a\0b.mp4")


def test_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), "s16", "mono")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert "no video" in refused(path)


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [(".mkv", "libx264"), (".webm", "libvpx-vp9"), (".avi", "mpeg4"), (".mov", "libx264")],
)
def test_cut_off_file_gives_all_it_has_and_then_says_so(
    suffix: str, codec: str, tmp_path: Path
) -> None:
    path = tmp_path / f"cut{suffix}"
    # The index comes first, as in files made for the web; otherwise a cut MOV has none at all.
    base = 1 / clip().rate
    write_clip(path, clip(suffix=suffix, codec=codec, frames=60, time_base=base, b_frames=0))
    if suffix == ".mov":
        _index_first(path)
    truncate(path, 0.6)
    numbers: list[int] = []
    with VideoReader(path) as reader:
        assert reader.info.frame_count == pytest.approx(60, abs=1)
        error = read_into(numbers, reader)
    assert "cut short" in error
    assert "of 60 frames" in error
    assert 10 <= len(numbers) < 60
    assert numbers == list(range(len(numbers)))


def test_cut_off_mp4_without_its_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    write_clip(path, frames=30)
    refused(truncate(path, 0.5))


def test_matroska_cut_only_in_its_last_index_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "cues.mkv"
    write_clip(path, clip(suffix=".mkv", frames=12))
    path.write_bytes(path.read_bytes()[:-5])
    with VideoReader(path) as reader:
        assert len(list(reader)) == 12


def test_a_part_before_the_cut_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "cut.mkv"
    write_clip(path, clip(suffix=".mkv", frames=60))
    truncate(path, 0.6)
    with VideoReader(path, end_seconds=0.5) as reader:
        assert [read_number(frame) for frame in reader] == list(range(15))


def _index_first(path: Path) -> None:
    """Rewrite a MOV so that its index lies before the pictures."""
    source = path.rename(path.with_name("source" + path.suffix))
    with (
        av.open(str(source)) as old,
        av.open(str(path), "w", container_options={"movflags": "faststart"}) as new,
    ):
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = stream
                new.mux(packet)


def damaged_clip(path: Path, first: int, count: int) -> None:
    """A Matroska file of intra pictures in which packets [first, first + count) are noise."""
    noise = random.Random(1)
    plain = path.with_name("plain.mkv")
    write_clip(plain, clip(suffix=".mkv", codec="mpeg4", frames=120, gop=1, b_frames=0))
    with av.open(str(plain)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(video=0)):
            if not packet.size:
                continue
            if first <= number < first + count:
                broken: av.Packet[Any] = av.Packet(bytes([0xFF] * 4) + noise.randbytes(20))
                broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
                packet = broken
            packet.stream = stream
            new.mux(packet)


def test_damaged_packets_are_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "scratched.mkv"
    damaged_clip(path, first=40, count=5)
    with VideoReader(path) as reader:
        frames = list(reader)
        assert reader.damaged == 5
    numbers = [read_number(frame) for frame in frames]
    assert numbers == [*range(40), *range(45, 120)]
    # What is left keeps its own time.
    assert frames[40].pts_seconds == pytest.approx(1.5, abs=1e-3)


def scratched_clip(path: Path, *numbers: int, suffix: str = ".mp4", **changes: Any) -> None:
    """60 frames of H.264 (a key frame every 20), bytes within some packets flipped."""
    write_clip(path, clip(suffix=suffix, frames=60, gop=20, b_frames=0, **changes))
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    noise, data = random.Random(5), bytearray(path.read_bytes())
    for number in numbers:
        start, size = packets[number].pos or 0, packets[number].size
        for _ in range(30):
            data[start + size // 3 + noise.randrange(size - size // 3)] ^= 0xFF
    path.write_bytes(data)


def counts(path: Path, **part: Any) -> tuple[int, int, int]:
    """Frames, how many of the input were damaged, and how many of those were concealed."""
    with VideoReader(path, **part) as reader:
        return sum(1 for _ in reader), reader.damaged, reader.concealed


def test_frames_that_the_decoder_conceals_are_kept_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "smeared.mp4"
    scratched_clip(path, 25, 28)
    assert counts(path) == (60, 2, 2)
    assert counts(path, start_seconds=0.9) == (33, 1, 1)  # the first lies before the part
    assert counts(path, end_seconds=0.8) == (24, 0, 0)


def test_skipped_packets_are_not_counted_as_concealed_pictures_too(tmp_path: Path) -> None:
    path = tmp_path / "scratched.mkv"
    damaged_clip(path, first=40, count=5)
    assert counts(path) == (115, 5, 0)


def test_a_smeared_video_ends_with_code_7_and_one_note(tmp_path: Path) -> None:
    path = tmp_path / "smeared.mp4"
    scratched_clip(path, 25)
    with pytest.raises(LostFramesError, match=r"1 damaged frame .*--max-loss 1") as caught:
        convert(path, tmp_path / "out.mkv", model="fake", background="none")
    report = caught.value.report
    assert report is not None
    assert (report.frames_out, report.damaged, report.concealed) == (60, 1, 1)
    assert sum("patched up by the decoder" in note for note in report.notes) == 1
    convert(path, tmp_path / "yes.mkv", model="fake", background="none", max_loss=1)


OPEN = "keyint=24:min-keyint=24:scenecut=0:bframes=3:open-gop=1"


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"x264-params": OPEN}),
        ("libx264", {"x264-params": "keyint=24:intra-refresh=1"}),
        ("libx265", {"x265-params": f"log-level=none:{OPEN}"}),
        ("mpeg2video", {"bf": "2", "g": "12"}),
    ],
)
def test_pictures_that_lack_what_came_before_a_seek_are_not_damage(
    tmp_path: Path, suffix: str, codec: str, options: dict[str, str]
) -> None:
    path = tmp_path / f"open{suffix}"
    write_clip(
        path, suffix=suffix, frames=72, codec=codec, rate=Fraction(25), b_frames=3,
        time_base=Fraction(1, 25), options=tuple(options.items()),
    )  # fmt: skip
    for start in (0.0, 0.5, 0.96, 1.0, 1.3, 2.0):
        frames, *damage = counts(path, start_seconds=start)
        assert frames > 0
        assert damage == [0, 0]


def test_a_broadcast_that_begins_without_a_keyframe_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "tuned_in.ts"
    write_clip(path, suffix=".ts", frames=72, gop=24, time_base=Fraction(1, 90000))
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 6 // 188 * 188 :])
    frames, *damage = counts(path)
    assert 0 < frames < 72
    assert damage == [0, 0]


def test_too_many_damaged_packets_in_a_row_end_it(tmp_path: Path) -> None:
    path = tmp_path / "ruined.mkv"
    damaged_clip(path, first=30, count=80)
    numbers: list[int] = []
    with VideoReader(path) as reader:
        assert "in a row" in read_into(numbers, reader)
        assert reader.damaged == MOST_DAMAGED_IN_A_ROW
    assert numbers == list(range(30))


def test_nothing_but_damage(tmp_path: Path) -> None:
    path = tmp_path / "dead.mkv"
    damaged_clip(path, first=0, count=120)
    refused(path)


def test_a_gigantic_picture_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.mp4"
    write_clip(path, frames=1)
    monkeypatch.setattr(rvm.media.open, "MAX_PIXELS", 160 * 96 - 1)
    assert "larger than" in refused(path)
    assert MAX_PIXELS >= 7680 * 4320


def test_a_header_that_lies_about_the_size_is_caught_by_the_decoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "grows.ts"
    grown_clip(path, 640)
    monkeypatch.setattr(rvm.media.open, "MAX_PIXELS", 200 * 100)
    with VideoReader(path) as reader:
        assert {frame.width for frame in reader} == {160}
        assert reader.damaged > 0


def grown_clip(path: Path, width: int) -> None:
    """A transport stream of four frames 160 pixels wide, then four of `width`."""
    parts = []
    for number, part_width in enumerate((160, width)):
        part = path.with_name(f"part{number}.ts")
        write_clip(part, clip(suffix=".ts", frames=4, width=part_width))
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))


def test_a_change_of_size_shows_in_the_frames(tmp_path: Path) -> None:
    path = tmp_path / "grows.ts"
    grown_clip(path, 320)
    with VideoReader(path) as reader:
        frames = list(reader)
    assert [frame.width for frame in frames] == [160] * 4 + [320] * 4
    assert [read_number(frame) for frame in frames] == [*range(4), *range(4)]


def test_start_after_the_end(tmp_path: Path) -> None:
    path = tmp_path / "short.mp4"
    write_clip(path, frames=12)
    with pytest.raises(InputError, match=r"lasts 0\.40 s"):
        VideoReader(path, start_seconds=5)


@pytest.mark.parametrize(("start", "end"), [(-1, None), (float("nan"), None), (2, 2), (2, 1)])
def test_a_part_that_makes_no_sense(start: float, end: float | None, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        VideoReader(tmp_path / "any.mp4", start_seconds=start, end_seconds=end)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts", ".avi"])
def test_flipped_bits_give_frames_or_one_plain_line(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"flip{suffix}"
    write_clip(path, clip(suffix=suffix, frames=12, time_base=1 / clip().rate))
    original = path.read_bytes()
    chance = random.Random(suffix)
    for _ in range(25):
        data = bytearray(original)
        for _ in range(chance.choice((1, 10, 100))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        try:
            with VideoReader(path) as reader:
                assert sum(1 for _ in reader) <= 100
        except InputError as error:
            one_line(error)


def test_nothing_reaches_standard_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.mp4"
    write_clip(path, clip(frames=30, options=(("movflags", "faststart"),)))
    truncate(path, 0.5)
    (tmp_path / "noise.mp4").write_bytes(random.Random(2).randbytes(9000))
    code = (
        "import sys\nfrom rvm.media.decode import VideoReader\n"
        "for name in sys.argv[1:]:\n"
        "    try: list(VideoReader(name))\n"
        "    except OSError as error: print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(path), str(tmp_path / "noise.mp4")],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert result.stderr == ""
    assert len(result.stdout.splitlines()) == 2


def test_closing_from_another_thread_ends_the_iteration(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    write_clip(path, frames=60)
    with VideoReader(path, loop=True) as reader:
        count = 0
        for _ in reader:
            count += 1
            if count == 100:
                thread = threading.Thread(target=reader.close)
                thread.start()
                thread.join(10)
                assert not thread.is_alive()
    assert 100 <= count <= 101
    assert list(reader) == []


BAD = {
    "bad_audio_only.mp4": "there is no video",
    "bad_init_segment_only.mp4": "not a single frame",
    "bad_header_only.mp4": "not a single frame",
    "bad_chunk_out_of_range.mp4": "not a video file that can be read",
    "bad_zero_stsc.mp4": "no frame can be decoded",
    "bad_case_1185230.mp4": "no frame can be decoded",
    "bad_encrypted.mp4": "damaged or encrypted",
    "bad_invalid_userdata.mp4": "not a single frame",
}


@pytest.mark.parametrize("name", BAD)
def test_each_bad_clip_is_refused_with_its_reason(name: str) -> None:
    assert BAD[name] in refused(shared_path(f"data/clips/{name}"))


def test_the_bad_clip_that_is_only_scratched() -> None:
    with VideoReader(shared_path("data/clips/bad_no_timescale.mp4")) as reader:
        count = sum(1 for _ in reader)
        # What refers to a skipped picture is made up by the decoder, and so counted, too.
        assert (count, reader.damaged - reader.concealed) == (170, 12)
        assert 0 < reader.concealed < 60
