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
