"""Percentiles against hand-counted distributions; memory does not grow with the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rvm.telemetry import Histogram, Report, Telemetry, peak_rss_mb


def test_percentiles_of_one_to_a_hundred() -> None:
    histogram = Histogram()
    for value in range(1, 101):
        histogram.add(float(value))
    summary = histogram.summary()
    assert summary["p50"] == pytest.approx(50, rel=0.006)
    assert summary["p95"] == pytest.approx(95, rel=0.006)
    assert summary["p99"] == pytest.approx(99, rel=0.006)


def test_a_long_run_keeps_a_bounded_number_of_bins() -> None:
    histogram = Histogram()
    for number in range(100_000):
        histogram.add(1.0 + number % 5000 / 100)
    assert histogram.count == 100_000
    assert len(histogram._bins) < 600


def test_zero_and_empty() -> None:
    histogram = Histogram()
    assert histogram.percentile(0.5) == 0.0
    histogram.add(0.0)
    assert histogram.percentile(0.5) == pytest.approx(0.001)


def test_stage_is_counted_even_if_it_raises() -> None:
    telemetry = Telemetry()
    with pytest.raises(ValueError, match="broken"), telemetry.stage("matting"):
        raise ValueError("broken")
    assert list(telemetry.stages(("grab", "matting"))) == ["matting"]


def test_report_is_plain_json() -> None:
    report = Report(
        frames_in=3, frames_out=2, dropped=1, damaged=0, seconds=1.5, fps=1.33, model="m",
        engine="fake", device="cpu", provider="none", precision="fp32", reason="test",
        stages={"grab": {"p50": 1.0, "p95": 2.0, "p99": 3.0}}, outputs=(Path("a.mp4"),),
    )  # fmt: skip
    loaded = json.loads(json.dumps(report.to_json()))
    assert loaded["frames_in"] == loaded["frames_out"] + loaded["dropped"]
    assert loaded["outputs"] == ["a.mp4"]
    assert "age_ms" not in loaded


def test_peak_memory_is_in_mebibytes() -> None:
    assert 5 < peak_rss_mb() < 100_000
