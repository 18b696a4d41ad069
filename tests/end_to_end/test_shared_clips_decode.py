"""Every shared clip decodes to the frames, sizes and tags that were counted by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from rvm.frame import ColourTags
from rvm.media.decode import VideoReader
from tests.shared_data import shared_path

BT709 = ColourTags("bt709", "limited", "bt709", "bt709")
SMALL = ColourTags("bt601", "limited", "bt709", "bt709", guessed=True)

#: name: (frames, width, height, format, pixel aspect, colour); sizes upright.
EXPECTED = {
    "fmt_av1.mkv": (125, 640, 360, "yuv420p", 1, BT709),
    "fmt_h264_10bit.mp4": (30, 200, 200, "yuv420p10", 1, SMALL),
    "fmt_hevc_10bit.mp4": (30, 200, 200, "yuv420p10", 1, SMALL),
    "fmt_hevc_8bit.mp4": (10, 128, 128, "yuv420p", 1, SMALL),
    "fmt_h264_bt709_fullrange.mp4": (
        30, 1280, 720, "yuv420p", 1, ColourTags("bt709", "full", "bt709", "bt709"),
    ),
    "fmt_two_video_two_audio.mp4": (325, 320, 180, "yuv420p", 1, BT709),
    "odd_rotation_90.mp4": (1, 60, 100, "yuv420p", 1, SMALL),
    "odd_sar_16_9.mp4": (1, 640, 480, "yuv420p", Fraction(16, 9), SMALL),
    "odd_hdr10_2x2.mp4": (
        3, 2, 2, "yuv420p", 1, ColourTags("bt2020", "limited", "bt2020", "pq"),
    ),
    "odd_hlg_fullrange_2x2.mp4": (
        3, 2, 2, "yuv420p", 1, ColourTags("bt2020", "full", "bt2020", "hlg"),
    ),
    "odd_rgb_gbrp_2x2.mp4": (3, 2, 2, "rgb24", 1, ColourTags("rgb", "full", "bt709", "bt709")),
    "odd_cover_art.mp4": (1, 320, 240, "yuv420p", 1, SMALL),
    "odd_one_frame_audio.mp4": (1, 320, 240, "yuv420p", 1, SMALL),
    "odd_tiny_av1.mp4": (1, 64, 64, "yuv420p", 1, SMALL),
    "odd_white_300.mp4": (300, 320, 240, "yuv420p", 1, SMALL),
    "asl_again.mkv": (
        77, 640, 480, "yuv420p", 1, ColourTags("bt601", "full", "bt709", "bt709", guessed=True),
    ),
    "speaker_woman_flag.mp4": (200, 512, 512, "yuv420p", 1, SMALL),
    "webcam_man_glasses.mp4": (587, 512, 480, "yuv420p", Fraction(15, 16), BT709),
    "sit_woman_outdoor_oddsize.mp4": (
        160, 720, 1364, "yuv420p", 1, ColourTags("bt709", "limited", "bt709", "bt709", True),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EXPECTED)
def test_clip(name: str) -> None:
    frames, width, height, format, aspect, colour = EXPECTED[name]
    with VideoReader(shared_path(f"data/clips/{name}")) as reader:
        info = reader.info
        assert (info.width, info.height, info.format.name) == (width, height, format)
        assert (info.sample_aspect, info.colour) == (aspect, colour)
        assert info.frame_count == frames
        count, last = 0, -1.0
        for frame in reader:
            assert frame.size == (width, height)
            assert (frame.pts_seconds or 0.0) > last
            last = frame.pts_seconds or 0.0
            count += 1
        assert (count, reader.damaged) == (frames, 0)


def test_white_is_white() -> None:
    with VideoReader(shared_path("data/clips/odd_white_300.mp4")) as reader:
        luma, blue, red = next(iter(reader)).planes
    assert luma.min() >= 234
    assert np.abs(blue.astype(int) - 128).max() <= 1
    assert np.abs(red.astype(int) - 128).max() <= 1
