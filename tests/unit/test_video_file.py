"""Encoded files: what goes in comes out again: samples, tags, times, shape, alpha."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rvm.errors import InputError, OutputError, UsageError
from rvm.frame import PIXEL_FORMATS, ColourTags, Composite
from rvm.media.decode import VideoReader
from rvm.sinks.encoded import Encoding
from rvm.sinks.matte_file import MatteFileSink
from rvm.sinks.video_file import VideoFileSink
from tests.composites import (
    Shot,
    composite,
    composites,
    decoded,
    info_of,
    planes_of,
    shot,
    times_of,
)

FAST = {
    "x264": "ultrafast", "x265": "ultrafast", "vp9": "8", "av1": "13", "prores": None, "ffv1": None
}  # fmt: skip
LOSSLESS = Encoding("x264", crf=0, preset="ultrafast")


def encode(
    path: Path, spec: Shot, encoding: Encoding | None = None, **options: Any
) -> VideoFileSink:
    info = options.pop("info", None) or info_of(spec)
    sink = VideoFileSink(path, info=info, encoding=encoding, alpha=spec.transparent, **options)
    for item in composites(spec):
        sink.write(item)
    sink.close()
    return sink


def fast(codec: str) -> Encoding:
    return Encoding(codec, preset=FAST[codec])


# ── samples ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p", "yuv444p"])
def test_lossless_x264_gives_back_the_very_planes(name: str, tmp_path: Path) -> None:
    spec = shot(format=name)
    encode(tmp_path / "a.mp4", spec, LOSSLESS)
    for item, picture in zip(composites(spec), decoded(tmp_path / "a.mp4"), strict=True):
        assert all(
            (a == b).all() for a, b in zip(item.picture.planes, planes_of(picture), strict=True)
        )


@pytest.mark.parametrize("name", [n for n, p in PIXEL_FORMATS.items() if p.family == "yuv"])
@pytest.mark.parametrize("size", [(96, 64), (33, 17)])
def test_ffv1_gives_back_the_very_planes(name: str, size: tuple[int, int], tmp_path: Path) -> None:
    spec = shot(format=name, width=size[0], height=size[1], count=2)
    sink = encode(tmp_path / "a.mkv", spec, Encoding("ffv1"))
    assert sink.notes == ()
    for item, frame in zip(composites(spec), VideoReader(tmp_path / "a.mkv"), strict=True):
        assert frame.format == item.picture.format
        assert all((a == b).all() for a, b in zip(item.picture.planes, frame.planes, strict=True))


@pytest.mark.parametrize("name", ["rgb24", "rgb48"])
def test_ffv1_keeps_rgb(name: str, tmp_path: Path) -> None:
    spec = shot(format=name, count=2)
    encode(tmp_path / "a.mkv", spec, Encoding("ffv1"))
    for item, frame in zip(composites(spec), VideoReader(tmp_path / "a.mkv"), strict=True):
        assert frame.format == item.picture.format
        assert (frame.planes[0] == item.picture.planes[0]).all()


@pytest.mark.parametrize("codec", FAST)
@pytest.mark.parametrize("name", ["yuv420p", "yuv420p10", "rgb24"])
def test_every_codec_gives_back_nearly_the_picture(codec: str, name: str, tmp_path: Path) -> None:
    suffix = {"vp9": "webm", "prores": "mov", "ffv1": "mkv"}.get(codec, "mp4")
    spec = shot(format=name, width=128, height=96, count=3)
    encode(tmp_path / f"a.{suffix}", spec, fast(codec))
    read = list(VideoReader(tmp_path / f"a.{suffix}"))
    assert len(read) == 3
    from rvm.colour.rgb import to_display

    for item, frame in zip(composites(spec), read, strict=True):
        error = np.abs(to_display(item.picture) - to_display(frame)).mean() * 255
        assert error < (4 if codec == "av1" else 2.5)
    if name == "yuv420p10" and codec != "vp9":
        assert read[0].format.depth == 10


# ── tags, shape, times ───────────────────────────────────────────────────────────────────────

TAGS = [
    ColourTags("bt601", "limited", "bt601-525"),
    ColourTags("bt601", "full", "bt601-625"),
    ColourTags("bt601", "full", "bt709", "srgb"),
    ColourTags("bt709", "limited"),
    ColourTags("bt709", "full"),
    ColourTags("bt2020", "limited", "bt2020", "pq"),
    ColourTags("bt2020", "full", "bt2020", "hlg"),
    ColourTags("bt709", "limited", "display-p3", "srgb"),
    ColourTags("bt709", "full", "bt709", "linear"),
]


@pytest.mark.parametrize(
    "tags", TAGS, ids=lambda t: f"{t.matrix}-{t.range}-{t.primaries}-{t.transfer}"
)
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [
        ("x264", "mp4"),
        ("x264", "mkv"),
        ("x265", "mov"),
        ("vp9", "webm"),
        ("av1", "mp4"),
        ("ffv1", "mkv"),
    ],
)
def test_colour_tags_survive(codec: str, suffix: str, tags: ColourTags, tmp_path: Path) -> None:
    encode(tmp_path / f"a.{suffix}", shot(colour=tags, count=2), fast(codec))
    with VideoReader(tmp_path / f"a.{suffix}") as reader:
        assert reader.info.colour == tags


def test_prores_has_no_full_range_and_converts(tmp_path: Path) -> None:
    spec = shot(colour=ColourTags("bt709", "full"), count=1)
    sink = encode(tmp_path / "a.mov", spec, Encoding("prores"))
    assert sink.notes == ("stored with limited range: prores has no other",)
    frame = next(iter(VideoReader(tmp_path / "a.mov")))
    assert frame.colour == ColourTags("bt709", "limited")
    expected = composite(spec, 0).picture.planes[0] * (219 / 255) + 16
    assert np.abs(frame.planes[0] / 4 - expected).max() < 2.5


@pytest.mark.parametrize(
    ("codec", "suffix"), [("x264", "mp4"), ("x265", "mkv"), ("av1", "mp4"), ("prores", "mov")]
)
def test_pixel_shape_survives(codec: str, suffix: str, tmp_path: Path) -> None:
    spec = shot(sample_aspect=Fraction(16, 11), count=2)
    assert encode(tmp_path / f"a.{suffix}", spec, fast(codec)).notes == ()
    with VideoReader(tmp_path / f"a.{suffix}") as reader:
        assert reader.info.sample_aspect == Fraction(16, 11)


def test_where_the_pixel_shape_has_no_place_it_is_said(tmp_path: Path) -> None:
    spec = shot(sample_aspect=Fraction(16, 11), count=1)
    assert "pixel shape 16/11 is not stored" in encode(tmp_path / "a.webm", spec).notes[0]


UNEVEN = (0, 3000, 6100, 9000, 15000, 18003, 21000, 27001, 30000, 90000)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("x264", "mp4"), ("x264", "mov"), ("x265", "mp4"), ("av1", "mp4"), ("prores", "mov")],
)
@pytest.mark.parametrize("first", [0, 1921])
def test_uneven_times_survive_exactly(codec: str, suffix: str, first: int, tmp_path: Path) -> None:
    times = tuple(first + time for time in UNEVEN)
    spec = shot(pts=times, time_base=Fraction(1, 90000), step=3000)
    encode(tmp_path / f"a.{suffix}", spec, fast(codec))
    assert times_of(tmp_path / f"a.{suffix}") == [time * spec.time_base for time in times]


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_matroska_rounds_times_to_milliseconds(suffix: str, tmp_path: Path) -> None:
    spec = shot(pts=UNEVEN, time_base=Fraction(1, 90000), step=3000)
    encode(tmp_path / f"a.{suffix}", spec)
    expected = [round(time * spec.time_base * 1000) for time in UNEVEN]
    assert [round(time * 1000) for time in times_of(tmp_path / f"a.{suffix}")] == expected


@pytest.mark.parametrize("time_base", ["1/25", "1001/30000", "1/1000", "1/1000000", "1/1000000000"])
def test_any_time_base_survives_exactly(time_base: str, tmp_path: Path) -> None:
    base = Fraction(time_base)
    step = max(1, round(Fraction(1, 25) / base))
    spec = shot(time_base=base, step=step)
    encode(tmp_path / "a.mp4", spec, fast("x264"))
    assert times_of(tmp_path / "a.mp4") == [time * base for time in spec.times]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
def test_the_last_frame_lasts_as_long_as_it_should(suffix: str, tmp_path: Path) -> None:
    encode(tmp_path / f"a.{suffix}", shot(count=7))
    with av.open(str(tmp_path / f"a.{suffix}")) as container:
        assert container.duration is not None
        assert abs(container.duration / av.time_base - 7 / 25) < 0.002


def test_times_that_stand_still_are_moved_on_and_said(tmp_path: Path) -> None:
    spec = shot(pts=(0, 512, 512, 512, 2048))
    sink = encode(tmp_path / "a.mp4", spec, fast("x264"))
    assert sink.notes == ("2 frames had no later time than the one before",)
    assert times_of(tmp_path / "a.mp4") == [t * spec.time_base for t in (0, 512, 513, 514, 2048)]


def test_frames_without_a_time_come_at_the_nominal_rate(tmp_path: Path) -> None:
    import dataclasses

    sink = VideoFileSink(tmp_path / "a.mp4", info=info_of(shot()))
    for item in composites(shot()):
        picture = dataclasses.replace(item.picture, pts=None, duration=None)
        sink.write(Composite(picture, item.matte, picture))
    sink.close()
    assert times_of(tmp_path / "a.mp4") == [Fraction(index, 25) for index in range(6)]


# ── sizes ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("codec", FAST)
@pytest.mark.parametrize("size", [(97, 65), (97, 64), (96, 65)])
def test_odd_sizes(codec: str, size: tuple[int, int], tmp_path: Path) -> None:
    suffix = {"vp9": "webm", "prores": "mov", "ffv1": "mkv"}.get(codec, "mp4")
    spec = shot(width=size[0], height=size[1], count=2)
    sink = encode(tmp_path / f"a.{suffix}", spec, fast(codec))
    picture = decoded(tmp_path / f"a.{suffix}")[0]
    if codec in ("vp9", "prores", "ffv1"):
        assert (picture.width, picture.height) == size
        assert sink.notes == ()
    else:
        even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        assert (picture.width, picture.height) == even
        assert f"padded to {even[0]}x{even[1]} by repeating the edge" in sink.notes[0]


def test_odd_sizes_of_444_need_no_padding(tmp_path: Path) -> None:
    spec = shot(format="yuv444p", width=97, height=65, count=2)
    assert encode(tmp_path / "a.mp4", spec, fast("x264")).notes == ()


@pytest.mark.parametrize("size", [(2, 2), (1, 1), (16, 2)])
def test_tiny_pictures(size: tuple[int, int], tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", shot(width=size[0], height=size[1], count=3), fast("x264"))
    assert len(decoded(tmp_path / "a.mp4")) == 3


def test_a_size_change_in_mid_stream_is_one_line_and_keeps_what_came_before(tmp_path: Path) -> None:
    sink = VideoFileSink(tmp_path / "a.mp4", info=info_of(shot()))
    for item in composites(shot())[:3]:
        sink.write(item)
    with pytest.raises(InputError, match=r"changes from 96x64 to 64x96 at frame 3; a video file"):
        sink.write(composite(shot(width=64, height=96), 3))
    sink.close()
    assert len(decoded(tmp_path / "a.mp4")) == 3


# ── alpha ────────────────────────────────────────────────────────────────────────────────────


def alpha_of(picture: av.VideoFrame) -> np.ndarray[Any, Any]:
    """Alpha 0..255 of a decoded frame."""
    name = picture.format.name
    if name == "bgra":
        return picture.to_ndarray()[..., [2, 1, 0, 3]][..., 3].astype(float)
    depth = int(name.split("p")[1].removesuffix("le") or 8)
    return planes_of(picture, depth)[3].astype(float) * 255 / ((1 << depth) - 1)


@pytest.mark.parametrize("name", ["yuv420p", "yuv422p10", "rgb24"])
@pytest.mark.parametrize(("suffix", "tolerance"), [("mov", 0.5), ("webm", 3.0), ("mkv", 0.25)])
def test_alpha_survives(suffix: str, tolerance: float, name: str, tmp_path: Path) -> None:
    spec = shot(format=name, transparent=True, count=3)
    encode(tmp_path / f"a.{suffix}", spec)
    pictures = decoded(tmp_path / f"a.{suffix}", "libvpx-vp9" if suffix == "webm" else None)
    for item, picture in zip(composites(spec), pictures, strict=True):
        assert np.abs(alpha_of(picture) - item.matte.alpha).max() <= tolerance
    if suffix == "mov":
        assert alpha_of(pictures[0]).max() == 255
        assert alpha_of(pictures[0]).min() == 0


def test_ffv1_keeps_straight_colours_under_alpha_zero(tmp_path: Path) -> None:
    spec = shot(transparent=True, count=1)
    encode(tmp_path / "a.mkv", spec)
    planes = planes_of(decoded(tmp_path / "a.mkv")[0])
    assert all(
        (a == b).all() for a, b in zip(planes, composite(spec, 0).picture.planes, strict=False)
    )


def test_mp4_says_at_once_what_holds_transparency(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.mp4 cannot hold transparency; use \.mov"):
        VideoFileSink(tmp_path / "a.mp4", info=info_of(shot()), alpha=True)
    assert list(tmp_path.iterdir()) == []


# ── mattes ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [(96, 64), (33, 17)])
def test_an_mkv_matte_is_lossless_gray_and_full_range(
    size: tuple[int, int], tmp_path: Path
) -> None:
    spec = shot(width=size[0], height=size[1])
    sink = MatteFileSink(tmp_path / "m.mkv", info=info_of(spec))
    for item in composites(spec):
        sink.write(item)
    sink.close()
    for item, picture in zip(composites(spec), decoded(tmp_path / "m.mkv"), strict=True):
        assert (picture.format.name, picture.color_range) == ("gray", 2)
        assert (planes_of(picture)[0] == item.matte.alpha).all()


@pytest.mark.parametrize("suffix", ["mp4", "mov", "webm"])
def test_a_lossy_matte_has_luma_for_alpha_in_full_range(suffix: str, tmp_path: Path) -> None:
    sink = MatteFileSink(tmp_path / f"m.{suffix}", info=info_of(shot()))
    for item in composites(shot()):
        sink.write(item)
    sink.close()
    for item, picture in zip(composites(shot()), decoded(tmp_path / f"m.{suffix}"), strict=True):
        assert picture.color_range == 2
        luma, blue, red = planes_of(picture)
        assert np.abs(luma.astype(int) - item.matte.alpha).mean() < 1.5
        assert {*blue.ravel(), *red.ravel()} <= {127, 128, 129}


def test_a_matte_keeps_the_times(tmp_path: Path) -> None:
    spec = shot(pts=UNEVEN, time_base=Fraction(1, 90000))
    sink = MatteFileSink(tmp_path / "m.mp4", info=info_of(spec))
    for item in composites(spec):
        sink.write(item)
    sink.close()
    assert times_of(tmp_path / "m.mp4") == [time * spec.time_base for time in UNEVEN]


# ── options and refusals ─────────────────────────────────────────────────────────────────────


def test_bitrate_and_threads_reach_the_encoder(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)

    def size_at(bitrate: int) -> int:
        path = tmp_path / f"{bitrate}.mp4"
        encoding = Encoding("x264", bitrate=bitrate, preset="ultrafast", threads=1)
        sink = VideoFileSink(path, info=info_of(shot()), encoding=encoding)
        for index in range(50):
            item = composite(shot(pts=tuple(i * 512 for i in range(51))), index)
            luma = noise.integers(0, 255, item.picture.planes[0].shape, np.uint8)
            picture = item.picture.with_picture((luma, *item.picture.planes[1:]))
            sink.write(Composite(picture, item.matte, item.source))
        sink.close()
        return path.stat().st_size

    assert size_at(2_000_000) > 1.5 * size_at(200_000)


def test_hevc_in_mp4_carries_the_tag_that_players_want(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", shot(count=1), fast("x265"))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_a_finished_mp4_is_an_ordinary_one(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", shot(), fast("x264"))
    data, boxes, at = (tmp_path / "a.mp4").read_bytes(), [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big") or len(data)
        boxes.append(data[at + 4 : at + 8])
        at += size
    assert b"moov" in boxes
    assert b"moof" not in boxes


def test_the_encoder_s_refusal_is_one_line(tmp_path: Path) -> None:
    encoding = Encoding("x264", preset="ultrafast", bitrate=1 << 62)
    sink = VideoFileSink(tmp_path / "a.mp4", info=info_of(shot()), encoding=encoding)
    with pytest.raises(OutputError) as caught:
        sink.write(composite(shot(), 0))
    assert "x264 does not take 96x64 yuv420p pictures with these options" in str(caught.value)
    assert "\n" not in str(caught.value)
    sink.abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["yuv420p", "yuv444p"])
def test_lent_planes_may_be_used_again_once_written(name: str, tmp_path: Path) -> None:
    """x264 holds pictures back for its B frames, but no longer the memory they came in."""
    spec = shot(format=name, width=192, height=128, count=30)
    encoding = Encoding("x264", crf=0, preset="medium")
    sink = VideoFileSink(tmp_path / "a.mp4", info=info_of(spec), encoding=encoding)
    for index in range(spec.count):
        made = composite(spec, index)
        sink.write(made)
        for plane in made.picture.planes:
            plane[:] = 16
    sink.close()
    for item, picture in zip(composites(spec), decoded(tmp_path / "a.mp4"), strict=True):
        got = planes_of(picture, item.picture.format.depth)
        assert all((a == b).all() for a, b in zip(item.picture.planes, got, strict=True))
