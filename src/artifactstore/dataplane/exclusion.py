"""Exclusion: publishing an object and deleting it never overlap (design, invariant 6).

Both run from the moment they take the object's lock to the commit of their event, or to the bytes' removal, even when
the request that asked for them is cancelled (`cancellation`): a stray unlink that outlives its lock would take a fresh
upload with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


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
