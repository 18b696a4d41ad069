"""Shares of the cores."""

from __future__ import annotations

import cv2
import pytest

from rvm import device
from rvm.threads import share_cores


@pytest.mark.parametrize(("own", "cores", "expected"), [(32, 32, 8), (4, 2, 2), (1, 16, 1)])
def test_opencv_gets_no_more_than_the_engine(
    monkeypatch: pytest.MonkeyPatch, own: int, cores: int, expected: int
) -> None:
    monkeypatch.setattr(device, "cpu_count", lambda: cores)
    monkeypatch.setattr(cv2, "getNumThreads", lambda: own)
    asked: list[int] = []
    monkeypatch.setattr(cv2, "setNumThreads", asked.append)
    share_cores()
    assert asked == [expected]
