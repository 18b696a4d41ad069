"""Decoding on a GPU gives what decoding in software gives, and goes on in software elsewhere."""

from __future__ import annotations

import gc
import random
import weakref
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rvm.errors import InputError
from rvm.frame import Frame
from rvm.gpu import capturing
from rvm.gpu.nvdec import NvdecDecoder, de_interleaved
from rvm.media.decode import VideoReader
from rvm.media.passage import Passage
from rvm.media.planes import Orientation, turn
from rvm.media.truncation import missing_bytes
from tests.gpu_fakes import FakeNvdec
from tests.shared_data import shared_path
from tests.synth_clips import clip, truncate, write_clip


def read(reader: VideoReader) -> tuple[list[Frame], str]:
    """All frames, and the error that ended them."""
    frames: list[Frame] = []
    try:
        frames.extend(reader)  # keeps what came before an error
    except InputError as error:
        return frames, str(error)
    return frames, ""


def assert_same(one: Frame, other: Frame) -> None:
    assert one.format == other.format
    assert (one.size, one.pts, one.time_base) == (other.size, other.pts, other.time_base)
    assert (one.duration, one.index) == (other.duration, other.index)
    assert one.colour == other.colour
    assert one.colour.transfer_number == other.colour.transfer_number
    assert one.sample_aspect == other.sample_aspect
    for plane, expected in zip(one.planes, other.planes, strict=True):
        np.testing.assert_array_equal(np.asarray(plane), np.asarray(expected))


def compare(
    path: Path, decoder: FakeNvdec, **part: float | bool
) -> tuple[list[Frame], VideoReader]:
    """Read with the decoder and without; everything must be equal. The decoder's frames."""
    with VideoReader(path, decoder=decoder, **part) as reader:  # type: ignore[arg-type]
        frames, error = read(reader)
        damaged = reader.damaged
    with VideoReader(path, **part) as plain:  # type: ignore[arg-type]
        expected, expected_error = read(plain)
        assert (error, damaged, len(frames)) == (expected_error, plain.damaged, len(expected))
    for one, other in zip(frames, expected, strict=True):
        assert_same(one, other)
    return frames, reader


def is_tensor(frame: Frame) -> bool:
    return isinstance(frame.planes[0], torch.Tensor)


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("hflip", [False, True])
def test_turned_pictures_come_upright(tmp_path: Path, rotation: int, hflip: bool) -> None:
    write_clip(tmp_path / "clip.mp4", rotation=rotation, hflip=hflip)
    frames, _ = compare(tmp_path / "clip.mp4", FakeNvdec())
    assert all(is_tensor(frame) for frame in frames)


@pytest.mark.parametrize(
    "changes",
    [
        {"pix_fmt": "yuv420p10le", "codec": "libx265"},
        {"sample_aspect": Fraction(4, 3)},
        {"range": 2, "matrix": 1},
        {"matrix": 9, "primaries": 9, "transfer": 16, "pix_fmt": "yuv420p10le"},
    ],
    ids=["10 bits", "pixel aspect", "full range", "HDR"],
)
def test_depth_aspect_and_colour_survive(tmp_path: Path, changes: dict[str, object]) -> None:
    write_clip(tmp_path / "clip.mp4", clip(**changes))
    frames, reader = compare(tmp_path / "clip.mp4", FakeNvdec())
    assert is_tensor(frames[0])
    assert reader.info.notes == ()


@pytest.mark.parametrize(
    ("name", "on_device"),
    [
        ("fmt_h264_10bit.mp4", None),
        ("fmt_hevc_8bit.mp4", True),
        ("fmt_hevc_10bit.mp4", True),
        ("odd_rotation_90.mp4", None),
        ("odd_sar_16_9.mp4", None),
        ("odd_hlg_fullrange_2x2.mp4", None),
        ("odd_rgb_gbrp_2x2.mp4", False),
        ("fmt_av1.mkv", True),
        ("odd_cover_art.mp4", None),
        ("odd_one_frame_audio.mp4", None),
    ],
)
def test_real_files_come_out_as_in_software(name: str, on_device: bool | None) -> None:
    path = shared_path(f"data/clips/{name}")
    frames, reader = compare(path, FakeNvdec(), end_seconds=1.0)
    assert on_device in (None, is_tensor(frames[0]))
    assert is_tensor(frames[0]) == (not any("on the CPU" in note for note in reader.info.notes))


def test_a_part_from_the_middle(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4")
    frames, _ = compare(tmp_path / "clip.mp4", FakeNvdec(), start_seconds=0.3, end_seconds=0.8)
    assert frames
    assert is_tensor(frames[0])


@pytest.mark.parametrize(
    ("decoder", "words"),
    [
        (FakeNvdec(gives=0), "does not take"),
        (FakeNvdec(shift=2), "other samples than software (up to"),
        (FakeNvdec(error=InputError("cuda:0 cannot be used: no driver")), "no driver"),
        (FakeNvdec(error=RuntimeError("CUDA error: no memory")), "no memory"),
    ],
    ids=["other layout", "other samples", "no driver", "no memory"],
)
def test_what_it_cannot_do_is_done_in_software_and_said_once(
    tmp_path: Path, decoder: FakeNvdec, words: str
) -> None:
    write_clip(tmp_path / "clip.mp4")
    frames, reader = compare(tmp_path / "clip.mp4", decoder)
    assert not any(is_tensor(frame) for frame in frames)
    assert reader.device == "cpu"
    (note,) = reader.info.notes
    assert note.startswith("decoded on the CPU, not on fake:0: ")
    assert words in note


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pix_fmt": "yuv422p"}, "yuv422p"),
        ({"codec": "mpeg4"}, "mpeg4"),
        ({"pix_fmt": "yuv444p", "width": 161, "height": 91}, "yuv444p"),
        ({"codec": "libvpx-vp9", "width": 161, "height": 91}, "odd size"),
    ],
    ids=["4:2:2", "codec", "4:4:4", "odd size"],
)
def test_layouts_without_hardware_are_not_even_tried(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    write_clip(tmp_path / "clip.mkv", clip(**changes))
    decoder = FakeNvdec()
    _, reader = compare(tmp_path / "clip.mkv", decoder)
    assert decoder.opened == 0
    assert words in reader.info.notes[-1]


def test_it_goes_on_in_software_where_the_device_stops(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4")
    frames, reader = compare(tmp_path / "clip.mp4", FakeNvdec(gives=5))
    kinds = [is_tensor(frame) for frame in frames]
    assert kinds[0]
    assert not kinds[-1]
    assert kinds == sorted(kinds, reverse=True)
    assert reader.device == "cpu"


@pytest.mark.parametrize("seed", range(4))
def test_damage_is_counted_as_in_software(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, frames=24)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat")
    chance = random.Random(seed)
    for _ in range(40):
        data[chance.randrange(start + 2600, start + (len(data) - start) * 2 // 3)] ^= 0xFF
    path.write_bytes(data)
    frames, reader = compare(path, FakeNvdec())
    assert is_tensor(frames[0])
    assert not is_tensor(frames[-1])
    assert reader.damaged > 0


def test_a_file_that_is_cut_short_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    write_clip(path, frames=60)
    truncate(path, 0.6)
    assert missing_bytes(path)
    frames, _ = compare(path, FakeNvdec())
    assert frames


@pytest.mark.parametrize(
    "name",
    [
        "bad_audio_only.mp4", "bad_chunk_out_of_range.mp4", "bad_encrypted.mp4",
        "bad_header_only.mp4", "bad_init_segment_only.mp4", "bad_zero_stsc.mp4",
        "bad_invalid_userdata.mp4", "bad_no_timescale.mp4",
    ],
)  # fmt: skip
def test_bad_files_fail_with_the_same_words(name: str) -> None:
    path = shared_path(f"data/clips/{name}")

    def outcome(decoder: FakeNvdec | None) -> tuple[str, int, int]:
        try:
            with VideoReader(path, decoder=decoder) as reader:
                frames, error = read(reader)
                return error, len(frames), reader.damaged
        except InputError as error:
            return str(error), 0, 0

    assert outcome(FakeNvdec()) == outcome(None)


def test_a_loop_stays_on_the_device(tmp_path: Path) -> None:
    spec = write_clip(tmp_path / "clip.mp4")
    count = len(spec.pts)
    with (
        VideoReader(tmp_path / "clip.mp4", loop=True, decoder=FakeNvdec()) as reader,
        VideoReader(tmp_path / "clip.mp4", loop=True) as plain,
    ):
        for _, one, other in zip(range(2 * count + 3), reader, plain, strict=False):
            assert is_tensor(one)
            assert_same(one, other)


def test_a_device_that_does_not_open_is_blamed_not_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "clip.mp4")
    monkeypatch.setattr(FakeNvdec, "_hwaccel", lambda self: object())  # FFmpeg knows no such thing
    with VideoReader(tmp_path / "clip.mp4", decoder=FakeNvdec()) as reader:
        (note,) = reader.info.notes
    assert note.startswith("decoded on the CPU, not on fake:0: fake:0 cannot be used (")


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_planes_of_a_padded_surface(turned: int, mirrored: bool) -> None:
    generator = torch.Generator().manual_seed(turned)
    values = torch.randint(0, 1024, (48, 80), generator=generator, dtype=torch.int32)
    stored = (values << 6).to(torch.int16).view(torch.uint16)
    luma = stored[:32, :64]
    chroma = stored[32:, :64].unflatten(1, (32, 2))  # type: ignore[no-untyped-call]
    orientation = Orientation(turned, mirrored)  # type: ignore[arg-type]
    planes = de_interleaved(luma, chroma, orientation)
    whole = values.numpy().astype(np.uint16)
    expected = (whole[:32, :64], whole[32:, 0:64:2], whole[32:, 1:64:2])
    for plane, samples in zip(planes, expected, strict=True):
        assert plane.dtype == torch.uint16
        assert plane.is_contiguous()
        np.testing.assert_array_equal(plane.numpy(), turn(samples, orientation))


def test_the_devices_decoder_is_let_go_at_once(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4")
    gc.disable()
    try:
        reader = VideoReader(tmp_path / "clip.mp4", decoder=FakeNvdec())
        assert reader.device == "fake:0"
        passage = weakref.ref(reader._passage)
        reader.close()
        del reader
        assert passage() is None
    finally:
        gc.enable()


def test_what_was_compared_once_is_not_compared_again(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4")
    with VideoReader(tmp_path / "clip.mp4") as plain:
        expected = list(plain)
    other = FakeNvdec(shift=2)  # a comparison would turn it down
    with VideoReader(tmp_path / "clip.mp4", decoder=other, was_compared=True) as reader:
        assert reader.device == "fake:0"
        frames = list(reader)
    assert [frame.pts for frame in frames] == [frame.pts for frame in expected]
    gone = FakeNvdec(error=InputError("fake:0 cannot be used"))
    with VideoReader(tmp_path / "clip.mp4", decoder=gone, was_compared=True) as reader:
        assert reader.device == "cpu"
        for one, other_frame in zip(reader, expected, strict=True):
            assert_same(one, other_frame)


def test_planes_are_copies() -> None:
    luma = torch.zeros((4, 8), dtype=torch.uint8)
    chroma = torch.zeros((2, 4, 2), dtype=torch.uint8)
    planes = de_interleaved(luma, chroma, Orientation())
    luma.fill_(9)
    chroma.fill_(9)
    assert not any(plane.any() for plane in planes)


def test_without_a_gpu_the_file_is_decoded_in_software(tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    write_clip(tmp_path / "clip.mp4")
    with VideoReader(tmp_path / "clip.mp4", decoder=NvdecDecoder("cuda:0")) as reader:
        assert reader.device == "cpu"
        (note,) = reader.info.notes
    assert "\n" not in note
    assert note.startswith("decoded on the CPU, not on cuda:0: ")


class NotedLock:
    """Counts how often it was taken."""

    def __init__(self) -> None:
        self.taken = 0

    def __enter__(self) -> None:
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        return


def test_no_decoder_is_made_or_closed_while_somebody_captures_a_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "a.mp4", clip(frames=4))
    lock = NotedLock()
    monkeypatch.setattr(capturing, "LOCK", lock)
    decoder = FakeNvdec()
    passage = Passage(lambda: decoder.open(tmp_path / "a.mp4"), "a.mp4", on_device=True)
    assert lock.taken == 1
    passage.next_picture()
    assert lock.taken == 2  # FFmpeg makes the decoder when it meets the first packet
    while passage.next_picture() is not None:
        assert lock.taken == 2
    passage.close()
    assert lock.taken == 3
    with VideoReader(tmp_path / "a.mp4") as reader:  # in software nobody has to wait
        assert len(list(reader)) == 4
    assert lock.taken == 3


@pytest.mark.gpu
@pytest.mark.parametrize(
    "name", ["fmt_hevc_10bit.mp4", "odd_rotation_90.mp4", "talk_man_kitchen.mp4"]
)
def test_nvdec_gives_the_samples_of_software(name: str) -> None:
    expect_same_on_the_gpu(shared_path(f"data/clips/{name}"))


@pytest.mark.gpu
@pytest.mark.parametrize(
    "changes",
    [
        {"codec": "libx265"},
        {"codec": "libx265", "pix_fmt": "yuv420p10le"},
        {"height": 184},  # the coded picture has 192 rows
        {"range": 2},
        {"codec": "libvpx-vp9", "suffix": ".webm"},
    ],
    ids=["hevc", "hevc 10 bits", "cropped", "full range", "vp9"],
)
def test_nvdec_gives_the_samples_of_software_for_a_clip_made_here(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    made = clip(**{"width": 320, "height": 192, **changes})  # NVDEC takes no HEVC below 144x144
    path = tmp_path / f"clip{made.suffix}"
    write_clip(path, made)
    expect_same_on_the_gpu(path)


def expect_same_on_the_gpu(path: Path) -> None:
    """Read two seconds with NVDEC and without."""
    with VideoReader(path, decoder=NvdecDecoder("cuda:0"), end_seconds=2.0) as reader:
        assert reader.device == "cuda:0", reader.info.notes
        frames = list(reader)
    with VideoReader(path, end_seconds=2.0) as plain:
        expected = list(plain)
    assert len(frames) == len(expected)
    for one, other in zip(frames, expected, strict=True):
        assert one.planes[0].is_cuda
        assert_same(one.with_picture(tuple(plane.cpu() for plane in one.planes)), other)
