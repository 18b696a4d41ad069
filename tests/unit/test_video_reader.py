"""Every frame of a real file, in order, at its exact time, upright, with its own samples."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from rvm.frame import ColourTags, Frame
from rvm.media.decode import VideoReader
from rvm.sources.synthetic import read_number
from tests.synth_clips import Clip, clip, upright_gray, write_clip

FRAME_BASE = Fraction(1, 30)  # AVI and MPEG program streams cannot hold finer times

CONTAINERS = {
    "mp4": clip(frames=60),
    "mp4 variable rate": clip(frames=60, variable=True),
    "mov prores": clip(suffix=".mov", codec="prores_ks", pix_fmt="yuv422p10le", frames=20),
    "mkv with sound": clip(suffix=".mkv", frames=60, variable=True, audio=True),
    "mkv hevc": clip(suffix=".mkv", codec="libx265", frames=30),
    "webm odd": clip(suffix=".webm", codec="libvpx-vp9", width=161, height=97, frames=30),
    "transport stream": clip(suffix=".ts", frames=60, audio=True),
    "program stream": clip(suffix=".mpg", codec="mpeg2video", frames=60, time_base=FRAME_BASE),
    "avi": clip(suffix=".avi", codec="mpeg4", frames=30, time_base=FRAME_BASE),
    "avi with B frames": clip(suffix=".avi", frames=60, time_base=FRAME_BASE),
    "motion jpeg": clip(
        suffix=".avi", codec="mjpeg", pix_fmt="yuvj420p", frames=20, time_base=FRAME_BASE
    ),
    "flv": clip(suffix=".flv", frames=30),
    "bare h264": clip(suffix=".h264", frames=30),
    "gif": clip(
        suffix=".gif", codec="gif", pix_fmt="gray", frames=20,
        rate=Fraction(25), time_base=Fraction(1, 100),
    ),
    "open groups": clip(frames=60, gop=12, options=(("x264-params", "open-gop=1"),)),
    "one long group": clip(frames=100, gop=300),
}  # fmt: skip


def written(folder: Path, spec: Clip) -> Path:
    path = folder / f"clip{spec.suffix}"
    write_clip(path, spec)
    return path


def read(path: Path, start: float = 0.0, end: float | None = None) -> list[Frame]:
    with VideoReader(path, start_seconds=start, end_seconds=end) as reader:
        return list(reader)


@pytest.mark.parametrize("name", CONTAINERS)
def test_all_frames_in_order_and_parts_exactly(name: str, tmp_path: Path) -> None:
    spec = CONTAINERS[name]
    path = written(tmp_path, spec)
    with VideoReader(path) as reader:
        frames = list(reader)
        assert reader.damaged == 0
    assert [read_number(frame) for frame in frames] == list(range(spec.frames))
    assert [frame.index for frame in frames] == list(range(spec.frames))
    times = [frame.pts for frame in frames]
    assert times == sorted(set(times), key=lambda pts: pts or 0)

    # A part is exactly the frames whose time lies in it, with the pts they have in the whole.
    origin = _origin(path)
    for start, end in ((0.31, None), (0.5, 0.7), (0.2, None), (0.0, 0.3)):
        # 0.2 and 0.5 are times of frames at 30 a second: the start is inside, the end is not.
        low, high = Fraction(str(start)), None if end is None else Fraction(str(end))
        part = [
            frame
            for frame in frames
            if (seconds := (frame.pts or 0) * frame.time_base - origin) >= low
            and (high is None or seconds < high)
        ]
        got = read(path, start, end)
        assert [(f.pts, read_number(f)) for f in got] == [(f.pts, read_number(f)) for f in part]


def _origin(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        return Fraction(container.start_time or 0, 1_000_000)


def test_variable_times_are_those_that_were_written(tmp_path: Path) -> None:
    spec = clip(frames=24, variable=True)
    frames = read(written(tmp_path, spec))
    assert [frame.pts for frame in frames] == spec.pts
    assert {frame.time_base for frame in frames} == {spec.time_base}
    # 1, 2 and 0.5 frame times in turn: the first gaps are 1000, 2000, 500 ticks of 1/30000 s.
    assert spec.pts[:4] == [0, 1000, 3000, 3500]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
@pytest.mark.parametrize("hflip", [False, True])
def test_rotation_is_applied_to_the_pixels(
    suffix: str, rotation: int, hflip: bool, tmp_path: Path
) -> None:
    spec = clip(
        suffix=suffix, rotation=rotation, hflip=hflip, frames=2, lossless=True,
        sample_aspect=Fraction(4, 3), range=2,
    )  # fmt: skip
    frames = read(written(tmp_path, spec))
    turned = rotation % 180 != 0
    assert frames[1].size == ((96, 160) if turned else (160, 96))
    assert frames[1].sample_aspect == (Fraction(3, 4) if turned else Fraction(4, 3))
    luma = frames[1].planes[0]
    expected = upright_gray(*frames[1].size, 1)
    # Full-range gray is copied as it is; the block and barcode are where they belong.
    assert np.abs(luma.astype(int) - expected).max() <= 1
    assert read_number(frames[1]) == 1
    for plane in frames[1].planes:
        assert plane.strides[-1] == plane.itemsize


def test_sideways_422_becomes_444(tmp_path: Path) -> None:
    spec = clip(suffix=".mov", codec="prores_ks", pix_fmt="yuv422p10le", rotation=90, frames=2)
    with VideoReader(written(tmp_path, spec)) as reader:
        assert reader.info.format.name == "yuv444p10"
        assert reader.info.notes == ("yuv422p10le is converted to yuv444p10",)
        assert [read_number(frame) for frame in reader] == [0, 1]


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "name"),
    [
        ("libx264", "yuv420p", "yuv420p"),
        ("libx264", "yuvj422p", "yuv422p"),
        ("libx264", "yuv444p", "yuv444p"),
        ("libx264", "yuv420p10le", "yuv420p10"),
        ("libx264", "yuv422p10le", "yuv422p10"),
        ("libx265", "yuv444p12le", "yuv444p12"),
        ("libx265", "yuv420p12le", "yuv420p12"),
    ],
)
@pytest.mark.parametrize("size", [(160, 96), (98, 54)])
def test_native_planes_are_views_of_exactly_what_was_decoded(
    codec: str, pix_fmt: str, name: str, size: tuple[int, int], tmp_path: Path
) -> None:
    width, height = size
    spec = clip(codec=codec, pix_fmt=pix_fmt, width=width, height=height, frames=3)
    path = written(tmp_path, spec)
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
    for frame, picture in zip(read(path), decoded, strict=True):
        assert frame.format.name == name
        for plane, reference in zip(frame.planes, picture.planes, strict=True):
            expected = np.frombuffer(bytes(reference), plane.dtype)
            stride = reference.line_size // plane.itemsize
            expected = expected.reshape(-1, stride)[: plane.shape[0], : plane.shape[1]]
            assert np.array_equal(plane, expected)
            assert not plane.flags.owndata


def test_ten_bits_agree_with_pyav(tmp_path: Path) -> None:
    path = written(tmp_path, clip(pix_fmt="yuv420p10le", frames=2))
    with av.open(str(path)) as container:
        decoded = [picture.to_ndarray() for picture in container.decode(video=0)]
    for frame, reference in zip(read(path), decoded, strict=True):
        luma, blue, red = frame.planes
        assert luma.dtype == np.uint16
        assert 255 < luma.max() <= 1023
        assert np.array_equal(luma, reference[:96])
        assert np.array_equal(np.concatenate((blue, red)), reference[96:].reshape(96, 80))


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ((1, 1, 1, 1), ColourTags("bt709", "limited", "bt709", "bt709")),
        ((5, 1, 5, 6), ColourTags("bt601", "limited", "bt601-625", "bt709")),
        ((6, 2, 6, 6), ColourTags("bt601", "full", "bt601-525", "bt709")),
        ((9, 1, 9, 16), ColourTags("bt2020", "limited", "bt2020", "pq")),
        ((9, 2, 9, 18), ColourTags("bt2020", "full", "bt2020", "hlg")),
        ((1, 1, 12, 13), ColourTags("bt709", "limited", "display-p3", "srgb")),
        (
            (None, None, None, None),
            ColourTags("bt601", "limited", "bt709", "bt709", guessed=True),
        ),
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_colour_tags(
    numbers: tuple[int | None, ...], expected: ColourTags, suffix: str, tmp_path: Path
) -> None:
    matrix, range_, primaries, transfer = numbers
    spec = clip(
        suffix=suffix, frames=2, matrix=matrix, range=range_, primaries=primaries,
        transfer=transfer,
    )  # fmt: skip
    with VideoReader(written(tmp_path, spec)) as reader:
        assert reader.info.colour == expected
        assert {frame.colour for frame in reader} == {expected}


def test_info_is_complete(tmp_path: Path) -> None:
    spec = clip(frames=30, rate=Fraction(30000, 1001), sample_aspect=Fraction(16, 15), audio=True)
    path = written(tmp_path, spec)
    with VideoReader(path) as reader:
        info = reader.info
    assert (info.width, info.height, info.format.name) == (160, 96, "yuv420p")
    assert info.frame_rate == Fraction(30000, 1001)
    assert info.frame_count == 30
    assert info.duration_seconds == pytest.approx(1.001, abs=0.002)
    assert info.sample_aspect == Fraction(16, 15)
    assert info.original == path
    assert (info.start_seconds, info.end_seconds, info.live) == (0, None, False)
    with VideoReader(path, start_seconds=0.25, end_seconds=0.5) as reader:
        info = reader.info
    assert (info.start_seconds, info.end_seconds) == (0.25, 0.5)
    assert info.duration_seconds == pytest.approx(0.25)
    assert info.frame_count == 7


def test_loop_goes_on_in_time_and_number(tmp_path: Path) -> None:
    path = written(tmp_path, clip(frames=5))
    with VideoReader(path, loop=True) as reader:
        assert reader.info.frame_count is None
        frames = [frame for frame, _ in zip(reader, range(12), strict=False)]
    assert [read_number(frame) for frame in frames] == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1]
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.pts for frame in frames] == [1000 * index for index in range(12)]


def test_loop_over_a_part(tmp_path: Path) -> None:
    path = written(tmp_path, clip(frames=30))
    with VideoReader(path, start_seconds=0.5, end_seconds=0.6, loop=True) as reader:
        frames = [frame for frame, _ in zip(reader, range(7), strict=False)]
    assert [read_number(frame) for frame in frames] == [15, 16, 17, 15, 16, 17, 15]
    assert [frame.pts for frame in frames] == [15000 + 1000 * index for index in range(7)]


def test_frames_outlive_the_reader(tmp_path: Path) -> None:
    path = written(tmp_path, clip(frames=20))
    frames = read(path)
    sums = [int(frame.planes[0].sum()) for frame in frames]
    del path
    assert [read_number(frame) for frame in frames] == list(range(20))
    assert [int(frame.planes[0].sum()) for frame in frames] == sums


def test_iterating_again_yields_nothing_more(tmp_path: Path) -> None:
    with VideoReader(written(tmp_path, clip(frames=3))) as reader:
        assert len(list(reader)) == 3
        assert list(reader) == []
