"""Frames that carry their own number."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rvm.errors import UsageError
from rvm.frame import PIXEL_FORMATS, SRGB, ColourTags
from rvm.media.decode import VideoReader
from rvm.sources.synthetic import SyntheticSource, decode_number, draw_number, read_number
from tests.synth_clips import clip, write_clip


@pytest.mark.parametrize("format", PIXEL_FORMATS)
def test_every_format_carries_its_number(format: str) -> None:
    source = SyntheticSource(3, width=97, height=61, format=format)
    frames = list(source)
    assert [read_number(frame) for frame in frames] == [0, 1, 2]
    assert [frame.format.name for frame in frames] == [format] * 3
    assert source.info.colour == (SRGB if format.startswith("rgb") else ColourTags())


@given(
    number=st.integers(0, 65535),
    width=st.integers(20, 200),
    height=st.integers(2, 120),
    depth=st.sampled_from([8, 10, 12]),
)
def test_any_number_in_any_picture(number: int, width: int, height: int, depth: int) -> None:
    plane = np.full((height, width), 100, np.uint8 if depth == 8 else np.uint16)
    draw_number(plane, number, depth)
    assert decode_number(plane, depth) == number


def test_numbers_beyond_the_last_start_over() -> None:
    plane = np.zeros((40, 100), np.uint8)
    draw_number(plane, 65536 + 7)
    assert decode_number(plane) == 7


@given(number=st.integers(0, 65535), gain=st.floats(0.4, 1.0), offset=st.floats(0, 60))
def test_it_survives_noise_contrast_and_scaling(number: int, gain: float, offset: float) -> None:
    plane = np.zeros((96, 160), np.uint8)
    draw_number(plane, number)
    noise = np.random.default_rng(number).normal(0, 20, plane.shape)
    dimmed = np.clip(plane * gain + offset + noise, 0, 255).astype(np.uint8)
    small = cv2.resize(dimmed, (100, 60), interpolation=cv2.INTER_AREA)
    assert decode_number(dimmed) == number
    assert decode_number(small) == number


@pytest.mark.parametrize("quality", ["20", "40", "48"])
def test_it_survives_x264(quality: str, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, clip(width=128, height=80, frames=30, options=(("crf", quality),)))
    with VideoReader(path) as reader:
        assert [read_number(frame) for frame in reader] == list(range(30))


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_plain_picture_has_no_number(value: int) -> None:
    with pytest.raises(ValueError, match="no readable"):
        decode_number(np.full((60, 100), value, np.uint8))


def test_one_wrong_cell_is_noticed() -> None:
    plane = np.zeros((40, 200), np.uint8)
    draw_number(plane, 0x1234)
    plane[:8, :10] = 255 - plane[:8, :10]
    with pytest.raises(ValueError, match="no readable"):
        decode_number(plane)


def test_times_and_shape() -> None:
    source = SyntheticSource(2, width=64, height=48, fps=Fraction(30000, 1001))
    first, second = source
    assert (first.pts, second.pts, second.index) == (0, 1, 1)
    assert second.time_base == Fraction(1001, 30000)
    assert source.info.frame_count == 2
    assert source.info.duration_seconds == pytest.approx(2 * 1001 / 30000)


def test_the_figure_is_where_its_alpha_says() -> None:
    source = SyntheticSource(1, width=160, height=120, person=True)
    plain = SyntheticSource(1, width=160, height=120)
    alpha = source.true_alpha(30)
    luma = source.frame(30).planes[0]
    below_barcode = np.zeros_like(alpha, bool)
    below_barcode[20:] = True
    assert set(np.unique(alpha)) == {0, 255}
    assert 0.1 < (alpha == 255).mean() < 0.5
    assert (luma[(alpha == 255) & below_barcode] == 170).all()
    same = luma == plain.frame(30).planes[0]
    assert same[(alpha == 0) & below_barcode].all()


def test_close_ends_an_endless_one() -> None:
    source = SyntheticSource(None, width=64, height=48)
    count = 0
    for _ in source:
        count += 1
        if count == 5:
            source.close()
    assert count == 5


@pytest.mark.parametrize(
    "wrong",
    [{"format": "nv12"}, {"width": 10}, {"height": 1}, {"fps": 0}, {"count": -1}],
)
def test_wrong_arguments(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        SyntheticSource(**{"count": 1, **wrong})  # type: ignore[arg-type]
