from __future__ import annotations

import threading

from artifactstore.dataplane.lanes import Lane, LaneThreads


def test_a_lane_keeps_the_order_and_one_thread_at_a_time_works_on_it() -> None:
    threads = LaneThreads(4, "test")
    seen: list[int] = []
    working = threading.Lock()

    def step(items: list[int]) -> None:
        assert working.acquire(blocking=False)
        assert 1 <= len(items) <= 3
        seen.extend(items)
        working.release()

    lane = Lane(threads, step, 3)
    for number in range(1000):
        lane.give(number)
    threads.close()
    assert seen == list(range(1000))


def test_a_lane_that_always_has_work_lets_another_have_its_turn() -> None:
    threads = LaneThreads(1, "test")
    order: list[str] = []
    begun, both = threading.Event(), threading.Event()

    def first(items: list[int]) -> None:
        begun.set()
        assert both.wait(30)
        order.extend("first" for _ in items)

    busy = Lane(threads, first, 1)
    other: Lane[int] = Lane(threads, lambda _: order.append("other"), 1)
    for number in range(3):
        busy.give(number)
    assert begun.wait(30)
    other.give(1)
    both.set()
    threads.close()
    assert order == ["first", "other", "first", "first"]


def test_no_more_threads_are_started_than_are_needed() -> None:
    threads = LaneThreads(8, "test")
    done = threading.Semaphore(0)
    lane: Lane[int] = Lane(threads, lambda _: done.release(), 1)
    lane.give(1)
    assert done.acquire(timeout=30)
    assert len(threads._threads) == 1
    threads.close()
    threads.close()
