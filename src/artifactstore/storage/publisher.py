"""Small objects published by native threads: a job goes in from the event loop, its outcome comes back to it.

Theory of operation. `native/publisher` carries out the whole of a job (docs/storage-format.md, the writing of a small
object) without the interpreter. Its outcomes wait behind an eventfd that the loop watches; one note collects all of
them. So what a small object costs the interpreter is one call to begin and a share of one to end.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from artifactstore.domain.errors import StorageError
from artifactstore.storage._publisher import ffi, lib

#: How many directories it tells apart.
DIRECTORIES: int = lib.PUBLISHER_DIRECTORIES
_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Unlinked:
    """A file whose bytes are synced, and that could not be given its name; `storage.spi.StagedFile`."""

    fd: int
    path: Path | None
    size_bytes: int

    def discard(self) -> None:
        """Give up the file, and its name in staging if it has one. What was published from it stays. Once."""
        try:
            os.close(self.fd)
        finally:
            if self.path is not None:
                self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Job:
    outcome: asyncio.Future[Unlinked | None]
    data: bytes  # stay where they are as long as this is here
    temporary: str | None


# Not by cffi: that gives up the interpreter's lock for a call, and whoever takes it keeps it for longer than it lasts.
_SUBMIT = ctypes.PYFUNCTYPE(
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_uint64,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_uint,
    ctypes.c_char_p,
    ctypes.c_size_t,
)
_COLLECT = ctypes.PYFUNCTYPE(ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


def _address(pointer: Any) -> int:
    return int(ffi.cast("uintptr_t", pointer))


class Publisher:
    """At most `threads` native threads, started as they are needed. For one event loop; `close` it in the end."""

    def __init__(self, threads: int) -> None:
        handle = lib.publisher_open(threads)
        if handle == ffi.NULL:
            raise StorageError(f"the store's threads cannot be set up: {os.strerror(ffi.errno)}")
        self._native = ffi.gc(handle, lib.publisher_close)
        self._outcomes = ffi.new("publisher_outcome[]", _AT_ONCE)
        self._handle, self._room = _address(handle), _address(self._outcomes)
        self._submit = _SUBMIT(_address(ffi.addressof(lib, "publisher_submit")))
        self._take = _COLLECT(_address(ffi.addressof(lib, "publisher_collect")))
        self._tickets = count()
        self._jobs: dict[int, _Job] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beginning = False

    def publish(
        self, data: bytes, staging: str, directory: str, name: str, *, lock: int, temporary: str | None
    ) -> asyncio.Future[Unlinked | None]:
        """Make a file of these bytes, durable as `name` in `directory`.

        It is made without a name in the directory `staging`, or as `temporary` there. `lock`: a number below
        DIRECTORIES, the same for all that goes into `directory`. The future gives None when all is done, and what there
        is when the name could not be given. OSError: something else failed, and nothing is left. It comes to its end,
        whoever waits for it.
        """
        loop = self._watched()
        ticket = next(self._tickets)
        job = self._jobs[ticket] = _Job(loop.create_future(), data, temporary)
        error = self._submit(
            self._handle,
            ticket,
            os.fsencode(temporary or staging),
            temporary is not None,
            os.fsencode(directory),
            name.encode(),
            lock,
            data,
            len(data),
        )
        if error:
            del self._jobs[ticket]
            job.outcome.set_exception(_os_error(error))
        elif not self._beginning:
            self._beginning = True
            loop.call_soon(self._begin)  # once for all that are submitted now: it wakes a thread, which takes its time
        return job.outcome

    @contextmanager
    def holding(self, lock: int) -> Iterator[None]:
        """Meanwhile nothing is linked under this lock. In a thread: it waits."""
        lib.publisher_hold(self._native, lock)
        try:
            yield
        finally:
            lib.publisher_release(self._native, lock)

    async def close(self) -> None:
        """Let the jobs end. Idempotent; nothing may be published after it."""
        await asyncio.to_thread(lib.publisher_drain, self._native)
        self._collect()
        if self._loop is not None:
            self._loop.remove_reader(lib.publisher_event(self._native))
            self._loop = None

    def _watched(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            loop.add_reader(lib.publisher_event(self._native), self._collect)
            self._loop, self._beginning = loop, False
        return loop

    def _begin(self) -> None:
        self._beginning = False
        lib.publisher_begin(self._native)

    def _collect(self) -> None:
        collected = _AT_ONCE
        while collected == _AT_ONCE:
            collected = self._take(self._handle, self._room, _AT_ONCE)
            for at in range(collected):
                outcome = self._outcomes[at]
                _conclude(self._jobs.pop(outcome.ticket), outcome)


def _conclude(job: _Job, outcome: Any) -> None:
    if outcome.result == lib.PUBLISHER_DONE:
        result: Unlinked | OSError | None = None
    elif outcome.result == lib.PUBLISHER_NOT_LINKED:
        result = Unlinked(outcome.file, None if job.temporary is None else Path(job.temporary), len(job.data))
    else:
        result = _os_error(outcome.error)
    if job.outcome.cancelled():
        if isinstance(result, Unlinked):
            result.discard()
    elif isinstance(result, OSError):
        job.outcome.set_exception(result)
    else:
        job.outcome.set_result(result)


def _os_error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
