"""Times pass untouched when they are good, and never go backwards when they are not."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from rvm.media.timeline import Timeline

MILLISECOND = Fraction(1, 1000)


def timeline() -> Timeline:
    """Ticks of 1 ms, nominally 25 frames a second: 40 ticks a frame."""
    return Timeline(MILLISECOND, Fraction(25))


def test_good_times_pass() -> None:
    line = timeline()
    assert [line.place(pts, 40) for pts in (7, 47, 200, 201, 9000)] == [7, 47, 200, 201, 9000]
    assert line.repaired == 0


def test_negative_times_pass() -> None:
    line = timeline()
    assert [line.place(pts, 40) for pts in (-80, -40, 0)] == [-80, -40, 0]


def test_missing_times_follow_the_previous_frame() -> None:
    line = timeline()
    assert [line.place(pts, d) for pts, d in ((0, 40), (None, 30), (None, None))] == [0, 40, 70]
    assert line.repaired == 2


def test_no_times_at_all_count_from_zero_at_the_nominal_rate() -> None:
    line = timeline()
    assert [line.place(None, None) for _ in range(4)] == [0, 40, 80, 120]


def test_a_repeated_or_earlier_time_moves_by_one_tick() -> None:
    line = timeline()
    assert [line.place(pts, 40) for pts in (0, 40, 40, 39, 80)] == [0, 40, 41, 42, 80]
    assert line.repaired == 2


def test_a_clock_that_starts_anew_is_continued() -> None:
    line = timeline()
    # 5000 ends at 5040; the new clock's 0 goes there and the rest keeps its distance.
    assert [line.place(pts, 40) for pts in (4960, 5000, 0, 40, 90)] == [
        4960, 5000, 5040, 5080, 5130,
    ]  # fmt: skip
    assert line.repaired == 1


def test_loops_go_on_where_the_last_frame_ended() -> None:
    line = timeline()
    first = [line.place(pts, 40) for pts in (100, 140)]
    line.loop()
    second = [line.place(pts, 40) for pts in (100, 140)]
    line.loop()
    third = [line.place(pts, 40) for pts in (100, 140)]
    assert (first, second, third) == ([100, 140], [180, 220], [260, 300])
    assert line.repaired == 0


def test_loop_after_a_clock_that_started_anew() -> None:
    line = timeline()
    once = [line.place(pts, 40) for pts in (2000, 0, 40)]
    line.loop()
    again = [line.place(pts, 40) for pts in (2000, 0, 40)]
    assert once == [2000, 2040, 2080]
    assert again == [2120, 2160, 2200]


def test_a_frame_without_a_duration_lasts_as_long_as_the_gap_before_it() -> None:
    line = timeline()
    line.place(0, None)
    assert line.end == 40
    line.place(20, None)
    assert line.end == 40
    line.place(10_000, None)
    assert line.end == 10_160  # but no longer than four nominal frames


@given(
    st.lists(
        st.tuples(st.none() | st.integers(-(1 << 40), 1 << 40), st.none() | st.integers(1, 10_000)),
        max_size=60,
    ),
    st.integers(0, 60),
)
def test_time_always_grows(moments: list[tuple[int | None, int | None]], loop_at: int) -> None:
    line = timeline()
    placed = []
    for number, (pts, duration) in enumerate(moments):
        if number == loop_at:
            line.loop()
        placed.append(line.place(pts, duration))
    assert all(later > earlier for earlier, later in itertools.pairwise(placed))
