"""The event loop that a command runs in, and how an interrupt ends it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any

import uvloop


def run[T](work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end; the first SIGINT cancels it, a second raises KeyboardInterrupt wherever it is.

    The cancellation has a turn of the loop of its own. `asyncio.run` cancels in the signal's handler, between any two
    instructions: also where a future that was seen to be pending is about to get its result, which then fails.
    """
    interrupted = False

    async def interruptible() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            loop.remove_signal_handler(signal.SIGINT)
            if task is not None:
                task.cancel()

        loop.add_signal_handler(signal.SIGINT, interrupt)
        try:
            return await work
        finally:
            loop.remove_signal_handler(signal.SIGINT)

    try:
        return uvloop.run(interruptible())
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise
