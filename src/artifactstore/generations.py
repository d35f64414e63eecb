"""Counters in memory that processes share: what one of them read goes out of date the moment another says so.

Theory of operation. Each subject (an object, a name, a token) has one of the counters, by its hash; several share one.
The process that writes the log advances a subject's counter after an event on it is committed, and before anybody is
answered. Another process notes the counters before it reads the registry, keeps what it has read with the number that
its subject had then, and uses it only as long as the counter is still at that number. So a reader who knows of the
event, from whomever, never meets what was before it; nothing is sent, and nobody waits for a process that has stopped.
Two subjects of one counter put each other out of date, which costs a read. (ADR-0043)

One process writes, from one thread. A counter is four aligned bytes, written and read at once.
"""

from __future__ import annotations

import mmap
import os
import zlib
from typing import Self

#: How many there are. With a thousand events a second, what is read often is read anew each quarter of a minute.
COUNTERS = 16384
_SIZE_BYTES = 4 * COUNTERS
_WRAP = 2**32

type Subject = bytes | tuple[str, str]  # an object's BLAKE3 digest, a token's id; a name in its namespace


class Generations:
    """The counters, mapped from a file in memory whose descriptor other processes are given."""

    def __init__(self, file: int, *, writable: bool) -> None:
        """Map the file of this descriptor, which becomes this object's to close."""
        self._file = file
        self.writable = writable
        protection = mmap.PROT_READ | (mmap.PROT_WRITE if writable else 0)
        self._mapped = mmap.mmap(file, _SIZE_BYTES, mmap.MAP_SHARED, protection)
        self._counters = memoryview(self._mapped).cast("I")

    @classmethod
    def create(cls) -> Self:
        """New counters, for the process that writes."""
        file = os.memfd_create("generations", os.MFD_CLOEXEC)
        os.ftruncate(file, _SIZE_BYTES)
        return cls(file, writable=True)

    def fileno(self) -> int:
        """The descriptor of the file."""
        return self._file

    def advance(self, subject: Subject) -> None:
        """An event on the subject was committed, or may have been."""
        slot = slot_of(subject)
        self._counters[slot] = (self._counters[slot] + 1) % _WRAP

    def noted(self) -> Noted:
        """The counters as they are now: before a read whose outcome is to be kept."""
        return Noted(bytes(self._mapped))

    def current(self, slot: int) -> int:
        """What the counter is at."""
        return self._counters[slot]

    def close(self) -> None:
        """Give up the memory. Idempotent."""
        self._counters.release()
        self._mapped.close()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def roles(generations: Generations | None) -> tuple[Generations | None, Generations | None]:
    """Those that this process advances, and those that it follows: one of them, or neither."""
    if generations is None:
        return None, None
    return (generations, None) if generations.writable else (None, generations)


class Noted:
    """The counters as they were at a moment."""

    def __init__(self, counters: bytes) -> None:
        self._counters = memoryview(counters).cast("I")

    def at(self, slot: int) -> int:
        """What the counter was at."""
        return self._counters[slot]


def slot_of(subject: Subject) -> int:
    """Which counter a subject has; the same in every process."""
    if isinstance(subject, bytes):
        return int.from_bytes(subject[-4:], "big") % COUNTERS  # digests are spread evenly, and so are the ends of ids
    namespace, name = subject
    return zlib.crc32(name.encode(), zlib.crc32(namespace.encode())) % COUNTERS
