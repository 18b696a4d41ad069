"""Work in two parts: the same result, errors kept, one part where there is one core or little."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from rvm import halves
from rvm.compositing import make_compositor
from rvm.compositing.base import Background
from rvm.frame import YUV420P, ColourTags, Frame, Matte
from rvm.matting.refine import guided_alpha, luma_guide
from rvm.threads import divides_frames


@pytest.fixture(params=[1, 2], ids=["one core", "two cores"])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    count: int = request.param
    monkeypatch.setattr(halves, "cpu_count", lambda: count)
    halves._helpers.cache_clear()
    monkeypatch.setattr(halves, "WORTH_SPLITTING", 0)
    return count


def test_both_are_done_when_it_returns(cores: int) -> None:
    threads: list[str] = []
    halves.both(
        lambda: threads.append(threading.current_thread().name),
        lambda: threads.append(threading.current_thread().name),
    )
    assert len(threads) == 2
    assert len(set(threads)) == cores


def test_an_error_of_either_is_raised_after_both_ended(cores: int) -> None:
    done: list[int] = []

    def fail() -> None:
        raise KeyError("half")

    with pytest.raises(KeyError):
        halves.both(lambda: done.append(1), fail)
    with pytest.raises(KeyError):
        halves.both(fail, lambda: done.append(2))
    assert done == [1, 2] if cores == 2 else done == [1]


def test_undivided_work_stays_in_its_thread_and_in_one_part(cores: int) -> None:
    threads: list[str] = []
    here = threading.current_thread().name
    with halves.undivided():
        halves.both(lambda: threads.append(here), lambda: threads.append(_name()))
        assert halves.row_parts(8, 10**9) == (slice(0, 8),)
        with halves.undivided(False):
            assert len(halves.row_parts(8, 10**9)) == 2
        other = threading.Thread(target=lambda: threads.append(str(halves.is_worth_splitting(9))))
        other.start()
        other.join()
    assert threads == [here, here, "True"]
    assert len(halves.row_parts(8, 10**9)) == 2


def _name() -> str:
    return threading.current_thread().name


def test_files_on_two_cores_are_not_divided() -> None:
    assert not divides_frames(live=False, cores=2)
    assert divides_frames(live=False, cores=4)
    assert divides_frames(live=True, cores=2)


def test_rows_are_split_once_and_without_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    assert halves.row_parts(7, halves.WORTH_SPLITTING - 1) == (slice(0, 7),)
    assert halves.row_parts(7, halves.WORTH_SPLITTING) == (slice(0, 3), slice(3, 7))


def test_the_first_plane_goes_beside_the_others() -> None:
    assert halves.plane_parts(3, halves.WORTH_SPLITTING - 1) == ((0, 1, 2),)
    assert halves.plane_parts(3, halves.WORTH_SPLITTING) == ((0,), (1, 2))
    assert halves.plane_parts(1, halves.WORTH_SPLITTING) == ((0,),)


class Still(Background):
    def __init__(self, picture: Frame) -> None:
        self.picture = picture

    def behind(self, frame: Frame, matte: Matte) -> Frame:
        return self.picture


def picture(seed: int) -> Frame:
    rng = np.random.default_rng(seed)
    shapes = YUV420P.plane_shapes(97, 63)
    planes = tuple(rng.integers(16, 236, shape, dtype=np.uint8) for shape in shapes)
    return Frame(planes, YUV420P, 97, 63, colour=ColourTags())


def test_halves_make_the_same_picture(cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    scale, offset = rng.random((2, 9, 14), np.float32) - np.float32(0.3)
    residual = rng.random((5, 7, 3), np.float32) - np.float32(0.5)
    frame, behind = picture(0), picture(1)

    def run() -> list[np.ndarray]:
        matte = Matte(guided_alpha(luma_guide(frame), scale, offset), residual)
        compositor = make_compositor("#000000")
        compositor._background = Still(behind)  # type: ignore[attr-defined]
        made = compositor.compose(frame, matte).picture
        blurred = make_compositor("blur").compose(frame, matte).picture
        return [np.asarray(p).copy() for p in (matte.alpha, *made.planes, *blurred.planes)]

    in_parts = run()
    monkeypatch.setattr(halves, "WORTH_SPLITTING", 10**9)
    for split, whole in zip(in_parts, run(), strict=True):
        np.testing.assert_array_equal(split, whole)
