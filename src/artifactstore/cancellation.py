"""Cancellation, put off: work that must not be left half way runs to its end, and only then does a cancellation go on.

A thread cannot be stopped, and what it opens, locks or commits is real whether somebody still waits for it or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial


async def uninterrupted[T](work: Awaitable[T]) -> T:
    """Run `work` to its end even if this task is cancelled meanwhile, however often; then the cancellation goes on.

    An error of `work` is raised, except under a cancellation, which wins: whoever cancelled no longer wants the answer.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        ended = asyncio.get_running_loop().create_future()  # not of how: a cancellation is this task's own
        task.add_done_callback(partial(_tell, ended))
        try:
            await ended
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # retrieved, so that it is not reported as forgotten
        raise cancelled
    return task.result()


def _tell(ended: asyncio.Future[None], _task: asyncio.Future[object]) -> None:
    if not ended.done():
        ended.set_result(None)


async def obtained[T](work: Awaitable[T], give_up: Callable[[T], Awaitable[object]]) -> T:
    """What `work` opens, run to its end. Under a cancellation nobody is left to take it, and it is given up again."""
    task = asyncio.ensure_future(work)
    try:
        return await uninterrupted(task)
    except asyncio.CancelledError:
        if not task.cancelled() and task.exception() is None:
            await uninterrupted(give_up(task.result()))
        raise
