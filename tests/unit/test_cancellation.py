from __future__ import annotations

import asyncio

import pytest

from artifactstore.cancellation import obtained, uninterrupted


async def test_uninterrupted_work_is_finished_before_the_cancellation_goes_on() -> None:
    begun, go, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def work() -> int:
        begun.set()
        await go.wait()
        done.set()
        return 7

    task = asyncio.create_task(uninterrupted(work()))
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # even twice
    await asyncio.sleep(0)
    assert not task.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


async def test_uninterrupted_gives_results_and_errors() -> None:
    async def answer() -> int:
        return 7

    async def fail() -> None:
        raise ValueError("no")

    assert await uninterrupted(answer()) == 7
    with pytest.raises(ValueError, match="no"):
        await uninterrupted(fail())


@pytest.mark.parametrize("turns", range(1, 8))
async def test_a_cancellation_goes_on_at_whatever_turn_it_finds_the_work(turns: int) -> None:
    reached: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)

    async def caller() -> None:
        await uninterrupted(work())
        reached.append("work done")
        await asyncio.Event().wait()

    task = asyncio.create_task(caller())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=5)
    assert done
    assert task.cancelled()


async def test_uninterrupted_work_that_is_cancelled_itself_says_so() -> None:
    working: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await uninterrupted(working)


async def test_what_nobody_is_left_to_take_is_given_up() -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    given_up: list[int] = []

    async def work() -> int:
        begun.set()
        await go.wait()
        return 7

    async def give_up(number: int) -> None:
        await asyncio.sleep(0)
        given_up.append(number)

    task = asyncio.create_task(obtained(work(), give_up))
    await begun.wait()
    task.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert given_up == [7]

    assert await obtained(work(), give_up) == 7
    assert given_up == [7]


async def test_what_failed_is_not_given_up_under_a_cancellation() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def work() -> int:
        begun.set()
        await go.wait()
        raise ValueError("no")

    async def give_up(_: int) -> None:
        raise AssertionError

    task = asyncio.create_task(obtained(work(), give_up))
    await begun.wait()
    task.cancel()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
