"""The display an HDR picture was graded on, and its brightness, survive."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from rvm.frame import Composite, Matte
from rvm.media.decode import VideoReader
from rvm.media.hdr10 import Hdr10, MasteringDisplay
from rvm.sinks.encoded import Encoding
from rvm.sinks.matte_file import MatteFileSink
from rvm.sinks.video_file import VideoFileSink
from tests.composites import matte_of
from tests.synth_clips import write_clip

P3 = MasteringDisplay(
    red=(Fraction("0.68"), Fraction("0.32")),
    green=(Fraction("0.265"), Fraction("0.69")),
    blue=(Fraction("0.15"), Fraction("0.06")),
    white=(Fraction("0.3127"), Fraction("0.329")),
    darkest=Fraction("0.0005"),
    brightest=Fraction(1000),
)
DISPLAY = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,5)"


def hdr_clip(path: Path, metadata: str) -> None:
    write_clip(
        path, codec="libx265", pix_fmt="yuv420p10le", width=128, height=128, frames=6,
        matrix=9, primaries=9, transfer=16, range=1,
        options=(("x265-params", f"log-level=none:{metadata}"),),
    )  # fmt: skip


def convert(source: Path, target: Path, codec: str) -> VideoFileSink | MatteFileSink:
    encoding = Encoding(codec, preset="12" if codec == "av1" else None)
    with VideoReader(source) as reader:
        kind = MatteFileSink if "matte" in target.name else VideoFileSink
        sink = kind(target, info=reader.info, encoding=encoding)
        for frame in reader:
            sink.write(Composite(frame, Matte(matte_of(frame.width, frame.height)), frame))
    sink.close()
    return sink


def hdr10_in(path: Path) -> Hdr10 | None:
    with VideoReader(path) as reader:
        return reader.info.hdr10


@pytest.mark.parametrize(
    ("name", "codec"),
    [("out.mp4", "x265"), ("out.mkv", "x265"), ("out.mp4", "x264"), ("out.mkv", "av1")],
)
def test_it_is_carried_over(tmp_path: Path, name: str, codec: str) -> None:
    hdr_clip(tmp_path / "hdr.mp4", f"{DISPLAY}:max-cll=1000,400")
    assert hdr10_in(tmp_path / "hdr.mp4") == Hdr10(P3, (1000, 400))
    assert convert(tmp_path / "hdr.mp4", tmp_path / name, codec).notes == ()
    found = hdr10_in(tmp_path / name)
    assert found is not None
    assert found.display is not None
    assert found.light == (1000, 400)
    if codec != "av1":
        assert found.display == P3
        return
    # AV1 counts in other steps than H.265.
    for kind in ("red", "green", "blue", "white"):
        assert getattr(found.display, kind) == pytest.approx(getattr(P3, kind), abs=1e-4)
    assert found.display.brightest == 1000
    assert found.display.darkest == pytest.approx(P3.darkest, abs=1e-4)


def test_what_is_missing_is_not_made_up(tmp_path: Path) -> None:
    hdr_clip(tmp_path / "light.mp4", "max-cll=600,200")
    convert(tmp_path / "light.mp4", tmp_path / "out.mkv", "x265")
    assert hdr10_in(tmp_path / "out.mkv") == Hdr10(None, (600, 200))
    write_clip(tmp_path / "sdr.mp4", frames=2)
    assert hdr10_in(tmp_path / "sdr.mp4") is None


def test_an_encoder_that_does_not_take_it_is_named(tmp_path: Path) -> None:
    hdr_clip(tmp_path / "hdr.mp4", DISPLAY)
    sink = convert(tmp_path / "hdr.mp4", tmp_path / "out.mov", "prores")
    (note,) = (note for note in sink.notes if "HDR10" in note)
    assert "prores does not take it here; x264, x265, av1 do" in note
    assert hdr10_in(tmp_path / "out.mov") is None
    assert convert(tmp_path / "hdr.mp4", tmp_path / "matte.mkv", "auto").notes == ()
