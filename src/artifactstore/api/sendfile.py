"""A file's bytes into a client's socket by sendfile(2): no copy in this process, and no wait on its loop.

Theory of operation. A range that is small and in the page cache is sent by the loop itself, in one call that cannot
wait: the socket does not block. For everything else the loop may not call sendfile, since pages that are not in the
cache would be read from the disk meanwhile, and every other client would wait. So a worker thread sends, from the
file's descriptor to a duplicate of the socket's, which nobody can close, and its number reuse, under it. When the
socket is full, the worker waits a moment for a client that reads fast, and gives the thread back if that was in vain,
or when its stint is over. From then on the loop watches the socket, and a thread is wanted only when there is room in
it: a client that reads slowly, or not at all, holds two descriptors and what the kernel has buffered, and neither a
thread nor memory of ours.

The transport's own buffer is empty before the first byte, and nothing else writes until the last one is sent.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from aiohttp import web

from artifactstore.api.connection import reset
from artifactstore.api.limits import LIMITS
from artifactstore.api.residency import is_resident
from artifactstore.cancellation import uninterrupted
from artifactstore.domain.errors import StorageError
from artifactstore.domain.ranges import ByteRange

#: How many clients are sent to at the same moment; whoever comes after them waits for a stint to end.
THREADS = 16
#: What one call may send, in bytes: between two calls a stint looks at the clock.
_PIECE_BYTES = 2**20
#: How long a worker sends before others have a turn, in seconds.
_STINT_SECONDS = 0.05
#: How long a worker waits for room in the socket, in milliseconds. To go by way of the loop takes a tenth of one.
_PATIENCE_MILLISECONDS = 5
#: A stint that sent as much, in bytes, served a client that is worth the wait.
_BRISK_BYTES = 2**20
#: How often a wait looks whether the connection is closing, in seconds: a half-closed one does not wake it.
_LOOK_SECONDS = 1.0

SENDERS: web.AppKey[ThreadPoolExecutor] = web.AppKey("senders", ThreadPoolExecutor)


def takes_files(request: web.Request) -> bool:
    """Whether the connection is a socket that takes bytes as they are, which TLS does not."""
    transport = request.transport
    return (
        transport is not None
        and transport.get_extra_info("socket") is not None
        and transport.get_extra_info("sslcontext") is None
    )


async def send_file(request: web.Request, file: int, byte_range: ByteRange, count: Callable[[int], None]) -> None:
    """Send a range of the file over the request's connection, and tell `count` how many bytes went out as they do.

    ConnectionError: the client has left. StorageError: the file ended early, or could not be read.
    """
    transport = await _emptied(request)
    loop, workers = asyncio.get_running_loop(), request.app[SENDERS]
    target = os.dup(transport.get_extra_info("socket").fileno())
    try:
        outflow = _Outflow(target, file, byte_range)
        at_once = byte_range.length <= _PIECE_BYTES and is_resident(file, byte_range)
        while not outflow.done:
            begin = outflow.offset
            try:
                if at_once:
                    may_go_on = outflow.stint(patience=0)
                else:
                    may_go_on = await uninterrupted(loop.run_in_executor(workers, outflow.stint))
            finally:
                count(outflow.offset - begin)
                request.writer.output_size += outflow.offset - begin  # what the access log tells
            at_once = False
            if not may_go_on:
                await _room(target, transport, request.app[LIMITS].send_timeout)
            if transport.is_closing():
                raise ConnectionResetError("the connection was closed")
    finally:
        os.close(target)


async def _emptied(request: web.Request) -> asyncio.Transport:
    """The request's transport, when all that was written to it is with the kernel."""
    transport = request.transport
    if transport is not None and transport.get_write_buffer_size():
        transport.set_write_buffer_limits(high=0)  # so that what is left in it makes the writer wait
        try:
            await request.writer.drain()
        finally:
            transport.set_write_buffer_limits()
        transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the connection was closed")
    return transport


async def _room(target: int, transport: asyncio.Transport, patience: float) -> None:
    """Wait until the socket takes bytes again, or its connection is closing: which it is after so many seconds."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience
    woken = asyncio.Event()
    loop.add_writer(target, woken.set)
    try:
        while not woken.is_set() and not transport.is_closing():
            if loop.time() >= end:
                reset(transport)
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(min(_LOOK_SECONDS, patience)):
                    await woken.wait()
    finally:
        loop.remove_writer(target)


class _Outflow:
    """A range of a file on its way into a socket. `offset` is how far it is."""

    def __init__(self, target: int, file: int, byte_range: ByteRange) -> None:
        self.offset = byte_range.start
        self._stop = byte_range.stop
        self._target = target
        self._file = file
        self._patience = _PATIENCE_MILLISECONDS

    @property
    def done(self) -> bool:
        """Whether all is sent."""
        return self.offset >= self._stop

    def stint(self, patience: int | None = None) -> bool:
        """Send until the socket stays full (False) or the time is over (True). Blocks: for a worker.

        `patience`: how long to wait for room in it, in milliseconds; default: as long as the last stint was worth it.
        """
        if patience is None:
            patience = self._patience
        begin, end = self.offset, time.monotonic() + _STINT_SECONDS
        while not self.done and time.monotonic() < end:
            try:
                sent = os.sendfile(self._target, self._file, self.offset, min(_PIECE_BYTES, self._stop - self.offset))
            except BlockingIOError:
                if self._has_room(patience):
                    continue
                self._patience = _PATIENCE_MILLISECONDS if self.offset - begin >= _BRISK_BYTES else 0
                return False
            except ConnectionError:
                raise
            except OSError as error:
                raise StorageError(f"the stored copy could not be sent: {error.strerror}") from error
            if not sent:
                raise StorageError(f"the stored copy came to its end at byte {self.offset} of {self._stop}")
            self.offset += sent
        return True

    def _has_room(self, patience: int) -> bool:
        poll = select.poll()
        poll.register(self._target, select.POLLOUT)
        return bool(poll.poll(patience))
