"""The cache of what was asked for last."""

from __future__ import annotations

from rvm.latest import LatestFew


def test_the_one_asked_for_longest_ago_gives_way() -> None:
    few: LatestFew[str, int] = LatestFew(2)
    assert few.get("a") is None
    assert [few.put("a", 1), few.put("b", 2)] == [1, 2]
    assert few.get("a") == 1  # so "b" is the older one now
    few.put("c", 3)
    assert few.get("b") is None
    assert few.values() == (1, 3)
    few.put("a", 4)
    assert (len(few), few.values()) == (2, (3, 4))
    few.clear()
    assert len(few) == 0
