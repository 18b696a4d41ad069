"""What a user typed becomes one sink; several sinks end together."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest

from rvm import sinks
from rvm.errors import OutputError, UsageError
from rvm.frame import Composite
from rvm.sinks import open_live_sink, open_sinks
from rvm.sinks.base import Sink
from rvm.sinks.encoded import Encoding
from rvm.sinks.images import ImagesSink
from rvm.sinks.matte_file import MatteFileSink
from rvm.sinks.null import NullSink
from rvm.sinks.tee import TeeSink
from rvm.sinks.times import OutputClock
from rvm.sinks.video_file import VideoFileSink
from tests.composites import composite, composites, decoded, info_of, shot

INFO = info_of(shot())


def test_one_output_is_one_sink(tmp_path: Path) -> None:
    for spec, kind in (
        (tmp_path / "a.mp4", VideoFileSink),
        (f"{tmp_path}/shots/", ImagesSink),
        ("null", NullSink),
    ):
        sink = open_sinks(spec, info=INFO)
        assert type(sink) is kind
        sink.abort()


def test_the_matte_alone_will_do(tmp_path: Path) -> None:
    sink = open_sinks(None, tmp_path / "m.mkv", info=INFO)
    assert type(sink) is MatteFileSink
    sink.abort()


def test_picture_matte_and_foreground_together(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.mp4", "m.mkv", "f.mov")]
    sink = open_sinks(*paths, info=INFO, codec="x264", crf=30)
    assert type(sink) is TeeSink
    for item in composites(shot()):
        sink.write(item)
    sink.close()
    assert sink.frames_written == 6
    assert [len(decoded(path)) for path in paths] == [6, 6, 6]
    with av.open(str(paths[1])) as container:
        assert container.streams.video[0].codec_context.name == "ffv1"


def test_a_chosen_codec_is_the_matte_s_when_it_is_all(tmp_path: Path) -> None:
    sink = open_sinks(None, tmp_path / "m.mkv", info=INFO, codec="x265", crf=10)
    sink.write(composite(shot(), 0))
    sink.close()
    with av.open(str(tmp_path / "m.mkv")) as container:
        assert container.streams.video[0].codec_context.name == "hevc"


def test_nothing_to_write_and_names_given_twice(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing to write: give -o OUTPUT"):
        open_sinks(None, info=INFO)
    with pytest.raises(UsageError, match="two outputs have the same name"):
        open_sinks(tmp_path / "a.mkv", tmp_path / "a.mkv", info=INFO)


def test_a_recording_is_encoded_on_the_gpu_that_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[Encoding] = []

    def opened(*_: object, encoding: Encoding, **__: object) -> Sink:
        chosen.append(encoding)
        return NullSink()

    monkeypatch.setattr(sinks, "_open_picture", opened)
    open_live_sink(tmp_path / "a.mp4", info=INFO, gpu=3)
    open_sinks(tmp_path / "a.mp4", info=INFO, gpu=2)
    assert [encoding.gpu for encoding in chosen] == [3, 2]


def test_live_recording_has_no_sound_of_the_source(tmp_path: Path) -> None:
    sink = open_live_sink(tmp_path / "a.mp4", info=INFO)
    assert type(sink) is VideoFileSink
    assert not sink.live
    sink.abort()


class Breaking(Sink):
    """Fails at one call; remembers how it ended."""

    def __init__(self, at: str = "") -> None:
        self.at = at
        self.ended: list[str] = []

    def write(self, composite: Composite) -> None:
        self._maybe("write")
        self.frames_written += 1

    def close(self) -> None:
        self.ended.append("close")
        self._maybe("close")

    def abort(self) -> None:
        self.ended.append("abort")
        self._maybe("abort")

    def _maybe(self, what: str) -> None:
        if what == self.at:
            raise OutputError(f"{what} failed")


def test_one_failing_member_does_not_spoil_the_others() -> None:
    good, bad, late = Breaking(), Breaking("write"), Breaking()
    tee = TeeSink([good, bad, late])
    with pytest.raises(OutputError, match="write failed"):
        tee.write(composite(shot(), 0))
    tee.abort()
    assert (good.ended, bad.ended, late.ended) == (["close"], ["abort"], ["close"])
    assert tee.frames_written == 0


def test_every_member_is_closed_even_if_one_fails_to() -> None:
    members = [Breaking("close"), Breaking(), Breaking("close")]
    with pytest.raises(OutputError, match="close failed"):
        TeeSink(members).close()
    assert [member.ended for member in members] == [["close"]] * 3


def test_giving_up_aborts_every_member() -> None:
    members = [Breaking(), Breaking("abort"), Breaking()]
    with pytest.raises(OutputError):
        TeeSink(members).abort()
    assert [member.ended for member in members] == [["abort"]] * 3


def test_decode_times_that_an_encoder_left_undefined_are_repaired() -> None:
    clock = OutputClock(Fraction(25))
    clock.begin(composite(shot(), 0).picture, Fraction(0))
    repaired = []
    for pts, dts in ((0, -(10**14)), (1024, 7 * 10**15), (512, 3)):
        packet = av.Packet(b"x")
        packet.time_base, packet.pts, packet.dts = Fraction(1, 12800), pts, dts
        clock.repair_decode_time(packet)
        repaired.append(packet.dts)
    assert repaired == [-16, -15, 3]


def test_sane_decode_times_are_left_alone() -> None:
    clock = OutputClock(Fraction(25))
    packet = av.Packet(b"x")
    packet.time_base, packet.pts, packet.dts = Fraction(1, 25), 4, -2
    clock.repair_decode_time(packet)
    assert packet.dts == -2
