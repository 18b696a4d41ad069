"""Every metric against cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rvm.evaluation import metrics


def full(value: float, size: tuple[int, int] = (4, 6)) -> np.ndarray:
    return np.full(size, value, np.float32)


def test_mad_and_mse_are_means_in_thousandths() -> None:
    assert metrics.mad(full(0.25), full(0)) == pytest.approx(250)
    assert metrics.mse(full(0.25), full(0)) == pytest.approx(62.5)


def test_iou_counts_pixels_above_the_threshold() -> None:
    predicted = np.array([[0.9, 0.6, 0.5, 0.0]])
    true = np.array([[1.0, 0.0, 1.0, 0.0]])
    assert metrics.iou(predicted, true) == pytest.approx(1 / 3)
    assert metrics.iou(full(0.5), full(0)) == 1.0


def test_the_derivative_filter_has_nine_taps_and_unit_length() -> None:
    # half = ceil(1.4 * sqrt(-2 ln(sqrt(2 pi) * 1.4 * 0.01))) = ceil(3.62) = 4
    raw, side = metrics.gaussian_derivative(1.4, 1e-2)
    kernel = np.frombuffer(raw).reshape(side, side)
    assert side == 9
    assert np.square(kernel).sum() == pytest.approx(1)
    assert kernel.sum() == pytest.approx(0, abs=1e-12)


def test_grad_of_a_step_edge_is_the_sum_of_partial_sums_of_the_filter() -> None:
    x = np.arange(-4, 5)
    gauss = np.exp(-(x**2) / (2 * 1.4**2))
    derivative = x * gauss
    norm = math.sqrt(np.square(np.outer(gauss, derivative)).sum())
    responses = gauss.sum() * np.cumsum(derivative)[:-1] / norm
    height = 5
    true = np.zeros((height, 30), np.float32)
    true[:, 15:] = 1
    expected = height * np.square(responses).sum() / 1e3
    assert metrics.grad(np.zeros_like(true), true) == pytest.approx(expected)


def test_grad_looks_at_mattes_stretched_to_the_full_range() -> None:
    true = np.tile(np.linspace(0, 1, 12, dtype=np.float32), (5, 1))
    assert metrics.grad(true * 0.5 + 0.2, true) == pytest.approx(0, abs=1e-9)


def test_conn_charges_what_lies_off_the_largest_shared_part() -> None:
    # Columns 0 and 1 are the shared part at every threshold. Column 3 never belongs to it: its
    # level is 0, so it is as disconnected as it is opaque: 1 in the truth, 0.5 in the prediction.
    true = np.array([[1.0, 1.0, 0.0, 1.0, 0.0]])
    predicted = np.array([[1.0, 1.0, 0.0, 0.5, 0.0]])
    assert metrics.conn(predicted, true) == pytest.approx(0.5 / 1e3)


def test_conn_forgives_differences_below_the_tolerance() -> None:
    # The pixel stays connected up to 0.8 in both; 0.85 and 0.9 lie less than 0.15 above that.
    true = np.array([[1.0, 1.0, 0.9]])
    predicted = np.array([[1.0, 1.0, 0.85]])
    assert metrics.conn(predicted, true) == 0


def test_conn_of_nothing_shared_is_the_whole_truth() -> None:
    true = np.array([[1.0, 0.0]])
    assert metrics.conn(np.zeros((1, 2)), true) == pytest.approx(1 / 1e3)


def test_dtssd_compares_changes_and_starts_with_zero() -> None:
    assert metrics.dtssd(full(1), full(0), None, None) == 0
    # alpha rises by 0.5 where the truth stands still
    assert metrics.dtssd(full(0.5), full(0.3), full(0), full(0.3)) == pytest.approx(50)
    # a constant error does not flicker
    assert metrics.dtssd(full(0.5), full(0.3), full(0.4), full(0.2)) == pytest.approx(0, abs=1e-5)


def test_a_clip_averages_over_frames_the_first_included() -> None:
    score = metrics.ClipScore()
    score.add(full(0), full(0))
    score.add(full(0.5), full(0))
    means = score.means()
    assert means["mad"] == pytest.approx(250)
    assert means["dtssd"] == pytest.approx(25)


def test_clips_weigh_the_same() -> None:
    assert metrics.average([{"mad": 1.0}, {"mad": 3.0}]) == {"mad": 2.0}


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected one"):
        metrics.mad(full(0), full(0, (2, 2)))
    with pytest.raises(ValueError, match="no frame"):
        metrics.ClipScore().means()


def test_a_clips_means_are_those_of_its_frames() -> None:
    true = np.zeros((3, 20, 30), np.uint8)
    true[:, 5:15, 10:20] = 255
    mattes = [np.full((20, 30), shade, np.float32) for shade in (0.0, 0.5, 1.0)]
    score = metrics.ClipScore()
    for matte, alpha in zip(mattes, true, strict=True):
        score.add(matte, alpha.astype(np.float32) / 255)
    assert metrics.clip_means(iter(mattes), true) == score.means()
    assert metrics.clip_means(mattes, true)["mad"] == pytest.approx(500)
    with pytest.raises(ValueError, match="zip"):
        metrics.clip_means(mattes[:2], true)
