"""Exclusion: publishing an object and deleting it never overlap, and neither is left half way (design, invariant 6).

Both run from the moment they take the object's lock to the commit of their event, or to the bytes' removal, even when
the request that asked for them is cancelled: a stray unlink that outlives its lock would take a fresh upload with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


class ObjectLocks:
    """One lock per object, kept only while somebody holds it or waits for it. For one event loop."""

    def __init__(self) -> None:
        self._locks: dict[bytes, tuple[asyncio.Lock, int]] = {}

    def __len__(self) -> int:
        return len(self._locks)

    @asynccontextmanager
    async def hold(self, key: bytes) -> AsyncIterator[None]:
        """Hold the lock of the object with this digest value. Not reentrant."""
        lock, users = self._locks.get(key, (None, 0))
        lock = lock or asyncio.Lock()
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)


async def uninterrupted[T](work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end even if this task is cancelled meanwhile; then the cancellation goes on.

    An error of `work` is raised, except under a cancellation, which wins: whoever cancelled no longer wants the answer.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.done():  # `work` itself was cancelled
                break
            cancelled = error
        except BaseException:
            break
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # retrieved, so that it is not reported as forgotten
        raise cancelled
    return task.result()
