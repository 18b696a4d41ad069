"""Who gets how many threads."""

from __future__ import annotations

import cv2
import pytest

from rvm.threads import opencv_threads, thread_shares


@pytest.mark.parametrize(
    ("cores", "decoder", "encoder"),
    [(1, 1, 1), (2, 1, 2), (4, 2, 4), (8, 4, 8), (64, 4, 16)],
)
def test_shares(cores: int, decoder: int, encoder: int) -> None:
    shares = thread_shares(cores)
    assert (shares.decoder, shares.encoder) == (decoder, encoder)
    assert shares.opencv == 1


def test_the_cores_of_this_process_are_counted() -> None:
    assert thread_shares().encoder >= 1


def test_opencv_gets_its_threads_back() -> None:
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(3)
        with opencv_threads():
            assert cv2.getNumThreads() == 1
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)
