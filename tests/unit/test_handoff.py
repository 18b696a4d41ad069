"""Both handoffs: order, loss, ends and counts."""

from __future__ import annotations

import threading

import pytest

from rvm.handoff import BoundedQueue, Handoff, LatestSlot


def drain(handoff: Handoff[int]) -> list[int]:
    items: list[int] = []
    while (item := handoff.get(5.0)) is not None:
        items.append(item)
    return items


def test_latest_slot_gives_the_newest_and_counts_each_replaced_item() -> None:
    slot: LatestSlot[int] = LatestSlot()
    for number in range(1, 6):
        assert slot.put(number)
    assert slot.get() == 5
    slot.put(6)
    slot.finish()
    assert drain(slot) == [6]
    assert (slot.accepted, slot.dropped) == (6, 4)


def test_bounded_queue_makes_the_producer_wait_and_loses_nothing() -> None:
    queue: BoundedQueue[int] = BoundedQueue(3)
    seen_waiting: list[int] = []

    def produce() -> None:
        for number in range(1, 201):
            queue.put(number)
        queue.finish()

    thread = threading.Thread(target=produce)
    thread.start()
    items: list[int] = []
    while (item := queue.get(5.0)) is not None:
        items.append(item)
        seen_waiting.append(len(queue._items))
    thread.join(5.0)
    assert items == list(range(1, 201))
    assert max(seen_waiting) <= 3
    assert (queue.accepted, queue.dropped) == (200, 0)


@pytest.mark.parametrize("make", [LatestSlot, lambda: BoundedQueue(4)])
def test_the_producers_error_arrives_once_after_the_last_item(make: type) -> None:
    handoff: Handoff[int] = make()
    handoff.put(1)
    handoff.finish(OSError("unplugged"))
    assert handoff.get() == 1
    with pytest.raises(OSError, match="unplugged"):
        handoff.get()
    assert handoff.get() is None


@pytest.mark.parametrize("make", [LatestSlot, lambda: BoundedQueue(4)])
def test_cancel_drops_what_waits_and_refuses_what_comes(make: type) -> None:
    handoff: Handoff[int] = make()
    handoff.put(1)
    handoff.cancel()
    assert not handoff.put(2)
    assert handoff.get() is None
    assert (handoff.accepted, handoff.dropped) == (1, 1)


def test_cancel_wakes_a_producer_that_waits_for_room() -> None:
    queue: BoundedQueue[int] = BoundedQueue(1)
    queue.put(1)
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(queue.put(2)))
    thread.start()
    queue.cancel()
    thread.join(5.0)
    assert results == [False]


def test_get_times_out_when_nothing_comes() -> None:
    with pytest.raises(TimeoutError):
        LatestSlot[int]().get(0.01)


def test_capacity_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity 0"):
        BoundedQueue(0)
