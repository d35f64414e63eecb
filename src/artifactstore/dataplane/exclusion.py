"""Exclusion: publishing an object and deleting it never overlap (design, invariant 6).

Both run from the moment they take the object's lock to the commit of their event, or to the bytes' removal, even when
the request that asked for them is cancelled (`cancellation`): a stray unlink that outlives its lock would take a fresh
upload with it.
"""

from __future__ import annotations

import asyncio
from collections import deque

#: Who waits for a lock that somebody holds, in the order they came.
type _Waiting = deque[asyncio.Future[None]]


class ObjectLocks:
    """One lock per object, kept only while somebody holds it. For one event loop."""

    def __init__(self) -> None:
        self._held: dict[bytes, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._held)

    def hold(self, key: bytes) -> Hold:
        """Hold the lock of the object with this digest value for an `async with`. Not reentrant."""
        return Hold(self._held, key)


class Hold:
    """One holding of a lock. A class: every upload takes two, and a generator's context costs some times as much."""

    __slots__ = ("_held", "_key")

    def __init__(self, held: dict[bytes, _Waiting], key: bytes) -> None:
        self._held = held
        self._key = key

    async def acquire(self) -> None:
        """Wait until nobody holds it."""
        waiting = self._held.get(self._key)
        if waiting is None:
            self._held[self._key] = deque()
            return
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.release()  # it was this one's turn when the cancellation came
            else:
                waiting.remove(turn)
            raise

    def release(self) -> None:
        """Hand it to whoever came next."""
        waiting = self._held[self._key]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._held[self._key]

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(self, *exc: object) -> None:
        self.release()
