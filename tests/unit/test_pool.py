"""Buffers come back once nobody reads them, and only then."""

from __future__ import annotations

from rvm.pool import BufferPool


def address(buffer: object) -> int:
    return int(buffer.__array_interface__["data"][0])  # type: ignore[attr-defined]


def test_a_buffer_that_nobody_reads_is_handed_out_again() -> None:
    pool = BufferPool()
    first = pool.take(4096)
    where = address(first)
    view = first[10:20]
    del first
    other = pool.take(4096)  # the view still reads the first one
    assert address(other) != where
    del view
    assert address(pool.take(4096)) == where


def test_sizes_that_alternate_are_both_kept() -> None:
    pool = BufferPool(sizes=2)
    large, small = pool.take(8192), pool.take(4096)
    places = address(large), address(small)
    del large, small
    for _ in range(3):
        assert address(pool.take(8192)) == places[0]
        assert address(pool.take(4096)) == places[1]


def test_the_size_asked_for_longest_ago_gives_way() -> None:
    pool = BufferPool(sizes=2)
    kept = pool.take(8192)
    where = address(kept)
    pool.take(4096)
    pool.take(2048)  # a third size: the first one's buffers are let go, but not what is read
    assert address(pool.take(8192)) != where
    assert kept.size == 8192
