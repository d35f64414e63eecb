import asyncio
import os
import signal
from typing import Any

import pytest

from artifactstore.cli import eventloop


def test_the_result_of_the_work_is_returned_and_its_error_raised() -> None:
    async def work() -> int:
        return 7

    async def failing() -> int:
        raise LookupError("none")

    assert eventloop.run(work()) == 7
    with pytest.raises(LookupError, match="none"):
        eventloop.run(failing())


def test_an_interrupt_comes_between_two_turns_of_the_loop_and_never_inside_one() -> None:
    complaints: list[dict[str, Any]] = []
    ended = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(context))
        awaited: asyncio.Future[None] = loop.create_future()

        def interrupted_on_the_way() -> None:
            os.kill(os.getpid(), signal.SIGINT)
            awaited.set_result(None)

        loop.call_soon(interrupted_on_the_way)
        try:
            await awaited
            await asyncio.Event().wait()
        finally:
            ended.append(awaited.cancelled())

    with pytest.raises(KeyboardInterrupt):
        eventloop.run(work())
    assert (complaints, ended) == ([], [False])


def test_the_handler_of_before_is_there_again() -> None:
    async def work() -> None:
        pass

    eventloop.run(work())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_cancellation_that_nobody_asked_for_by_a_signal_is_one() -> None:
    async def work() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        eventloop.run(work())


def test_a_second_interrupt_ends_work_that_does_not_heed_the_first() -> None:
    async def work() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                os.sched_yield()

    with pytest.raises(KeyboardInterrupt):
        eventloop.run(work())
