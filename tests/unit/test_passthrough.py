"""What an output keeps of the original: sound, subtitles, chapters and tags, at the same times."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from rvm.frame import Composite, Matte
from rvm.media.decode import VideoReader
from rvm.sinks.clipping import cue_seconds
from rvm.sinks.encoded import Encoding
from rvm.sinks.passthrough import Passthrough
from rvm.sinks.video_file import VideoFileSink
from rvm.sources.synthetic import read_number
from tests.composites import matte_of, packets_of, times_of
from tests.shared_data import shared_path
from tests.synth_clips import write_clip

LOSSLESS = Encoding("x264", crf=0, preset="ultrafast")
MILLISECOND = Fraction(1, 1000)


def convert(
    source: Path,
    target: Path,
    *,
    frames: int | None = None,
    keep_audio: bool = True,
    alpha: bool = False,
    **part: Any,
) -> VideoFileSink:
    """Every frame of `source`, untouched, into `target`."""
    encoding = LOSSLESS if target.suffix != ".webm" else Encoding(preset="8")
    with VideoReader(source, **part) as reader:
        sink = VideoFileSink(
            target, info=reader.info, encoding=encoding, alpha=alpha, keep_audio=keep_audio
        )
        for number, frame in enumerate(reader):
            if number == frames:
                break
            sink.write(Composite(frame, Matte(matte_of(frame.width, frame.height)), frame))
    sink.close()
    return sink


def numbers_of(path: Path) -> list[tuple[int, Fraction]]:
    """(number burnt into it, time) of every frame."""
    with VideoReader(path) as reader:
        return [(read_number(frame), (frame.pts or 0) * frame.time_base) for frame in reader]


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """Two seconds with sound, uneven frame times, B-frames."""
    path = tmp_path / "talk.mp4"
    write_clip(path, frames=48, variable=True, audio=True)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_sound_is_copied_untouched(talk: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"out{suffix}"
    assert convert(talk, target).notes == ()
    before, after = packets_of(talk, "audio"), packets_of(target, "audio")
    assert [data for data, _ in before] == [data for data, _ in after]
    exact = suffix != ".mkv"
    for (_, was), (_, time) in zip(before, after, strict=True):
        assert time == was if exact else abs(time - was) <= MILLISECOND
    for was, time in zip(times_of(talk), times_of(target), strict=True):
        assert time == was if exact else abs(time - was) <= MILLISECOND


def test_the_whole_length_is_kept(talk: Path, tmp_path: Path) -> None:
    convert(talk, tmp_path / "out.mp4")
    with av.open(str(talk)) as before, av.open(str(tmp_path / "out.mp4")) as after:
        assert before.duration is not None
        assert after.duration is not None
        assert abs(before.duration - after.duration) < av.time_base / 30


def test_sound_and_picture_are_interleaved(talk: Path, tmp_path: Path) -> None:
    convert(talk, tmp_path / "out.mp4")
    last: dict[str, float] = {"video": 0.0, "audio": 0.0}
    with av.open(str(tmp_path / "out.mp4")) as container:
        for packet in container.demux():
            if packet.dts is not None and packet.size:
                last[packet.stream.type] = float(packet.dts * packet.time_base)
                # a fragment lasts from one key frame to the next, and they come every second
                assert abs(last["video"] - last["audio"]) <= 1.2


def test_sound_can_be_left_out(talk: Path, tmp_path: Path) -> None:
    convert(talk, tmp_path / "out.mp4", keep_audio=False)
    assert packets_of(tmp_path / "out.mp4", "audio") == []


def test_sound_that_the_container_cannot_hold_is_named(talk: Path, tmp_path: Path) -> None:
    sink = convert(talk, tmp_path / "out.webm")
    assert sink.notes == ("sound stream 1 (aac) left out: .webm cannot hold it; .mp4 can",)
    sink = convert(talk, tmp_path / "cutout.webm", frames=2, alpha=True)
    assert sink.notes == ("sound stream 1 (aac) left out: .webm cannot hold it; .mov can",)


@pytest.mark.parametrize(("start", "end"), [(0.5, None), (0.513, 1.2), (0.0, 0.8)])
def test_a_part_keeps_sound_and_picture_together(
    talk: Path, tmp_path: Path, start: float, end: float | None
) -> None:
    convert(talk, tmp_path / "out.mp4", start_seconds=start, end_seconds=end)
    shift = Fraction(str(start))
    until = None if end is None else Fraction(str(end))
    times = dict(numbers_of(talk))
    got = numbers_of(tmp_path / "out.mp4")
    inside = [n for n, time in times.items() if shift <= time and (until is None or time < until)]
    assert [number for number, _ in got] == inside
    for number, time in got:
        assert abs(times[number] - shift - time) <= MILLISECOND
    sound = packets_of(talk, "audio")
    expected = [
        (data, time) for data, time in sound
        if (time >= shift or not start) and (until is None or time < until)
    ]  # fmt: skip
    after = packets_of(tmp_path / "out.mp4", "audio")
    assert [data for data, _ in after] == [data for data, _ in expected]
    for (_, was), (_, time) in zip(expected, after, strict=True):
        assert abs(was - shift - time) <= MILLISECOND


def test_a_run_cut_short_ends_the_sound_with_the_picture(tmp_path: Path) -> None:
    write_clip(tmp_path / "long.mp4", frames=120, audio=True)
    convert(tmp_path / "long.mp4", tmp_path / "out.mp4", frames=30)
    sound = packets_of(tmp_path / "out.mp4", "audio")
    assert 0.95 < sound[-1][1] < 1.0
    everything = packets_of(tmp_path / "long.mp4", "audio")
    assert [data for data, _ in sound] == [data for data, _ in everything[: len(sound)]]


def test_sound_that_outlasts_the_picture_is_kept_whole(tmp_path: Path) -> None:
    source = tmp_path / "slides.mkv"
    with av.open(str(source), "w") as container:
        video: Any = container.add_stream("libx264", rate=10, width=64, height=64)
        sound: Any = container.add_stream("aac", rate=48000, layout="stereo")
        for index in range(5):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for start in range(0, 4 * 48000, 1024):
            piece = av.AudioFrame("fltp", "stereo", 1024)
            for plane in piece.planes:
                plane.update(bytes(plane.buffer_size))
            piece.sample_rate, piece.pts = 48000, start
            container.mux(sound.encode(piece))
        container.mux(sound.encode())
    convert(source, tmp_path / "out.mkv")
    assert len(packets_of(tmp_path / "out.mkv", "audio")) == len(packets_of(source, "audio"))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_transport_stream_starts_at_zero(suffix: str, tmp_path: Path) -> None:
    write_clip(
        tmp_path / "tv.ts", suffix=".ts", frames=30, audio=True, time_base=Fraction(1, 90000)
    )
    target = tmp_path / f"out{suffix}"
    convert(tmp_path / "tv.ts", target)
    before, after = times_of(tmp_path / "tv.ts"), times_of(target)
    with av.open(str(tmp_path / "tv.ts")) as container:
        shift = Fraction(container.start_time or 0, av.time_base)
    assert shift > 0
    assert 0 <= after[0] < Fraction(1, 10)
    for was, time in zip(before, after, strict=True):
        assert abs(was - shift - time) <= MILLISECOND
    sound = packets_of(tmp_path / "tv.ts", "audio"), packets_of(target, "audio")
    assert len(sound[0]) == len(sound[1])
    for (data, was), (copied, time) in zip(*sound, strict=True):
        assert data.endswith(copied)  # all but the header that only a transport stream needs
        assert abs(was - shift - time) <= MILLISECOND


def rich(path: Path) -> None:
    """A film with two languages, subtitles, chapters and a title."""
    with av.open(str(path), "w") as container:
        container.metadata.update(title="A walk", artist="Somebody", encoder="old")
        video: Any = container.add_stream("libx264", rate=25, width=64, height=64)
        video.metadata["language"] = "dan"
        tracks: list[Any] = []
        for language in ("eng", "deu"):
            sound = container.add_stream("aac", rate=48000, layout="mono")
            sound.metadata.update(language=language, title=f"in {language}")
            tracks.append(sound)
        words: Any = container.add_mux_stream("subrip")
        words.metadata["language"] = "fra"
        words.time_base = Fraction(1, 1000)
        container.set_chapters(
            [
                {"id": 1, "start": 0, "end": 1000, "time_base": Fraction(1, 1000),
                 "metadata": {"title": "Out"}},
                {"id": 2, "start": 1000, "end": 2000, "time_base": Fraction(1, 1000),
                 "metadata": {"title": "Back"}},
            ]
        )  # fmt: skip
        for index in range(50):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for number, sound in enumerate(tracks):
            for start in range(0, 2 * 48000, 1024):
                piece = av.AudioFrame("fltp", "mono", 1024)
                piece.planes[0].update(bytes([number]) * piece.planes[0].buffer_size)
                piece.sample_rate, piece.pts = 48000, start
                container.mux(sound.encode(piece))
            container.mux(sound.encode())
        for second in (0, 1):
            packet = av.Packet(f"line {second}".encode())
            packet.stream, packet.time_base = words, Fraction(1, 1000)
            packet.pts = packet.dts = second * 1000
            packet.duration = 500
            container.mux(packet)


def test_tracks_subtitles_chapters_and_tags_are_kept(tmp_path: Path) -> None:
    rich(tmp_path / "film.mkv")
    assert convert(tmp_path / "film.mkv", tmp_path / "out.mkv").notes == ()
    with av.open(str(tmp_path / "out.mkv")) as container:
        kinds = [(stream.type, stream.metadata.get("language")) for stream in container.streams]
        assert kinds == [
            ("video", "dan"), ("audio", "eng"), ("audio", "deu"), ("subtitle", "fra"),
        ]  # fmt: skip
        assert container.streams[2].metadata["title"] == "in deu"
        assert container.metadata["title"] == "A walk"
        assert container.metadata["ARTIST"] == "Somebody"
        chapters = [
            (c["metadata"]["title"], c["start"] * (c["time_base"] or 0))
            for c in container.chapters()
        ]
        assert chapters == [("Out", 0), ("Back", 1)]
    for index in (0, 1):
        before = packets_of(tmp_path / "film.mkv", "audio", index)
        after = packets_of(tmp_path / "out.mkv", "audio", index)
        assert [data for data, _ in before] == [data for data, _ in after]
    lines = packets_of(tmp_path / "out.mkv", "subtitle")
    assert lines == [(b"line 0", Fraction(0)), (b"line 1", Fraction(1))]


def test_mp4_keeps_what_it_can_and_names_the_rest(tmp_path: Path) -> None:
    rich(tmp_path / "film.mkv")
    sink = convert(tmp_path / "film.mkv", tmp_path / "out.mp4")
    assert sink.notes == ("subtitle stream 3 (srt) left out: .mp4 cannot hold it; .mkv can",)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.metadata["title"] == "A walk"
        assert [c["metadata"]["title"] for c in container.chapters()] == ["Out", "Back"]
        assert [s.metadata["language"] for s in container.streams.audio] == ["eng", "deu"]


def test_the_original_is_read_in_step_and_not_ahead(tmp_path: Path) -> None:
    """Sparse subtitles must not make it read a whole film to find the next one."""
    rich(tmp_path / "film.mkv")
    passthrough = Passthrough(tmp_path / "film.mkv")
    with av.open(io.BytesIO(), "w", format="matroska") as output:
        passthrough.attach(output, "webm", Fraction(0))  # takes neither AAC nor SubRip
        assert list(passthrough.until(Fraction(10))) == []
        assert passthrough._position == 0
    passthrough.close()
    silent = Passthrough(tmp_path / "film.mkv")
    with av.open(io.BytesIO(), "w", format="matroska") as output:
        silent.attach(output, "mkv", Fraction(0))
        list(silent.until(Fraction(1, 10)))
        assert silent._position <= Fraction(12, 10)
    silent.close()


def test_chapters_move_with_the_start(tmp_path: Path) -> None:
    rich(tmp_path / "film.mkv")
    convert(tmp_path / "film.mkv", tmp_path / "out.mkv", start_seconds=0.6)
    with av.open(str(tmp_path / "out.mkv")) as container:
        starts = [c["start"] * (c["time_base"] or 1) for c in container.chapters()]
        assert [round(float(start), 3) for start in starts] == [0, 0.4]


def cues_of(path: Path, index: int = 0) -> list[tuple[bytes, float, float]]:
    """(words, from, to) of every cue that is not empty, in seconds."""
    found = []
    with av.open(str(path)) as container:
        for packet in container.demux(container.streams.subtitles[index]):
            words = bytes(packet).lstrip(b"\0")
            if packet.size and words and packet.pts is not None:
                begin, length = packet.pts * packet.time_base, cue_seconds(packet)
                found.append((words, round(float(begin), 3), round(float(begin + length), 3)))
    return found


def chapters_of(path: Path) -> list[tuple[str, float, float]]:
    """(title, from, to) of every chapter, in seconds."""
    found = []
    with av.open(str(path)) as container:
        for chapter in container.chapters():
            time_base = chapter["time_base"] or Fraction(1)
            begin, end = float(chapter["start"] * time_base), float(chapter["end"] * time_base)
            found.append((chapter["metadata"]["title"], round(begin, 3), round(end, 3)))
    return found


def seconds_of(path: Path) -> float:
    with av.open(str(path)) as container:
        return (container.duration or 0) / av.time_base


@pytest.mark.parametrize(
    ("start", "end", "cues", "chapters"),
    [
        (0.0, 0.3, [(b"line 0", 0, 0.3)], [("Out", 0, 0.3)]),
        (0.2, 1.2, [(b"line 0", 0, 0.3), (b"line 1", 0.8, 1)], [("Out", 0, 0.8), ("Back", 0.8, 1)]),
        (0.5, 1.0, [], [("Out", 0, 0.5)]),
        (1.2, None, [(b"line 1", 0, 0.3)], [("Back", 0, 0.8)]),
    ],
)
def test_subtitles_and_chapters_are_cut_to_the_part(
    tmp_path: Path,
    start: float,
    end: float | None,
    cues: list[tuple[bytes, float, float]],
    chapters: list[tuple[str, float, float]],
) -> None:
    rich(tmp_path / "film.mkv")
    out = tmp_path / "out.mkv"
    convert(tmp_path / "film.mkv", out, start_seconds=start, end_seconds=end)
    assert cues_of(out) == cues
    assert chapters_of(out) == chapters
    assert seconds_of(out) == pytest.approx((end or 2.0) - start, abs=0.05)
    convert(tmp_path / "film.mkv", tmp_path / "out.mov", start_seconds=start, end_seconds=end)
    assert chapters_of(tmp_path / "out.mov") == chapters
    assert seconds_of(tmp_path / "out.mov") == pytest.approx((end or 2.0) - start, abs=0.05)


def test_real_subtitles_in_mp4_end_with_the_part(tmp_path: Path) -> None:
    source = shared_path("data/clips/fmt_two_video_two_audio.mp4")
    out = tmp_path / "out.mp4"
    convert(source, out, end_seconds=1.0)
    assert [cue[1:] for cue in cues_of(out)] == [(0.21, 1.0)]
    assert seconds_of(out) == pytest.approx(1.0, abs=0.05)
    convert(source, out.with_name("later.mp4"), start_seconds=8.0, end_seconds=9.0)
    assert [cue[1:] for cue in cues_of(out.with_name("later.mp4"), 1)] == [(0, 0.35), (0.35, 1.0)]


def test_a_cue_from_before_the_last_keyframe_is_on_screen_at_the_start(tmp_path: Path) -> None:
    source = tmp_path / "long.mkv"
    with av.open(str(source), "w") as container:
        video: Any = container.add_stream("libx264", rate=10, width=64, height=64)
        video.codec_context.gop_size = 10
        words: Any = container.add_mux_stream("subrip")
        words.time_base = Fraction(1, 1000)
        container.start_encoding()
        packet = av.Packet(b"still here")
        packet.stream, packet.time_base = words, Fraction(1, 1000)
        packet.pts = packet.dts = 500
        packet.duration = 7000
        container.mux(packet)
        for index in range(80):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode())
    convert(source, tmp_path / "out.mkv", start_seconds=6.0)
    assert cues_of(tmp_path / "out.mkv") == [(b"still here", 0, 1.5)]


def test_rotation_is_applied_and_not_written_again(tmp_path: Path) -> None:
    write_clip(tmp_path / "phone.mp4", rotation=90, frames=4)
    convert(tmp_path / "phone.mp4", tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.rotation, frame.width, frame.height) == (0, 96, 160)
    assert [number for number, _ in numbers_of(tmp_path / "out.mp4")] == [0, 1, 2, 3]


def test_a_cover_picture_is_kept_by_mkv_and_named_by_mp4(tmp_path: Path) -> None:
    source = shared_path("data/clips/odd_cover_art.mp4")
    assert convert(source, tmp_path / "out.mkv").notes == ()
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert [stream.type for stream in container.streams] == ["video", "audio", "video"]
    assert convert(source, tmp_path / "out.mp4").notes == (
        "cover picture left out: .mp4 is written without; .mkv can",
    )


@pytest.mark.parametrize(
    "name", ["talk_man_kitchen.mp4", "fmt_two_video_two_audio.mp4", "odd_one_frame_audio.mp4"]
)
def test_real_clips_keep_their_sound(name: str, tmp_path: Path) -> None:
    source = shared_path(f"data/clips/{name}")
    convert(source, tmp_path / "out.mp4")
    assert times_of(source) == times_of(tmp_path / "out.mp4")
    for index in range(2):
        before = packets_of(source, "audio", index)
        assert packets_of(tmp_path / "out.mp4", "audio", index) == before
