from __future__ import annotations

import asyncio

import pytest

from artifactstore.dataplane.exclusion import ObjectLocks


async def test_one_holder_at_a_time_and_no_lock_is_kept() -> None:
    locks = ObjectLocks()
    order: list[str] = []
    inside = asyncio.Event()
    leave = asyncio.Event()

    async def first() -> None:
        async with locks.hold(b"a"):
            inside.set()
            await leave.wait()
            order.append("first")

    async def second() -> None:
        async with locks.hold(b"a"):
            order.append("second")

    tasks = [asyncio.create_task(first())]
    await inside.wait()
    tasks.append(asyncio.create_task(second()))
    async with locks.hold(b"b"):  # another object does not wait
        order.append("other")
    leave.set()
    await asyncio.gather(*tasks)
    assert order == ["other", "first", "second"]
    assert len(locks) == 0


async def test_a_cancelled_waiter_leaves_no_lock_behind() -> None:
    locks = ObjectLocks()
    async with locks.hold(b"a"):

        async def wait() -> None:
            async with locks.hold(b"a"):
                raise AssertionError

        waiter = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    assert len(locks) == 0


async def test_those_who_wait_come_in_their_order_and_one_that_is_cancelled_is_passed_over() -> None:
    locks = ObjectLocks()
    order: list[int] = []

    async def take(number: int) -> None:
        async with locks.hold(b"a"):
            order.append(number)
            await asyncio.sleep(0)

    async with locks.hold(b"a"):
        waiting = [asyncio.create_task(take(number)) for number in range(5)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[2].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert order == [1, 3, 4]
    assert len(locks) == 0


async def test_a_turn_that_comes_with_a_cancellation_is_handed_on() -> None:
    locks = ObjectLocks()
    entered: list[int] = []

    async def take(number: int) -> None:
        async with locks.hold(b"a"):
            entered.append(number)

    async with locks.hold(b"a"):
        first, second = asyncio.create_task(take(1)), asyncio.create_task(take(2))
        await asyncio.sleep(0)
    first.cancel()  # its turn has come, and it has not run yet
    await asyncio.gather(first, second, return_exceptions=True)
    assert first.cancelled()
    assert entered == [2]
    assert len(locks) == 0
