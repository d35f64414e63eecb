"""Exclusion: publishing an object and deleting it never overlap (design, invariant 6).

Both run from the moment they take the object's lock to the commit of their event, or to the bytes' removal, even when
the request that asked for them is cancelled (`cancellation`): a stray unlink that outlives its lock would take a fresh
upload with it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Lock:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0  # who hold it or wait for it


class ObjectLocks:
    """One lock per object, kept only while somebody holds it or waits for it. For one event loop."""

    def __init__(self) -> None:
        self._locks: dict[bytes, _Lock] = {}

    def __len__(self) -> int:
        return len(self._locks)

    def hold(self, key: bytes) -> Hold:
        """Hold the lock of the object with this digest value for an `async with`. Not reentrant."""
        return Hold(self._locks, key)


class Hold:
    """One holding of a lock. A class: every upload takes two, and a generator's context costs some times as much."""

    __slots__ = ("_key", "_lock", "_locks")

    def __init__(self, locks: dict[bytes, _Lock], key: bytes) -> None:
        self._locks = locks
        self._key = key

    async def __aenter__(self) -> None:
        self._lock = self._locks.setdefault(self._key, _Lock())
        self._lock.users += 1
        try:
            await self._lock.lock.acquire()
        except BaseException:
            self._leave()
            raise

    async def __aexit__(self, *exc: object) -> None:
        self._lock.lock.release()
        self._leave()

    def _leave(self) -> None:
        self._lock.users -= 1
        if not self._lock.users:
            del self._locks[self._key]
