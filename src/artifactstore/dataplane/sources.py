"""Sources of bytes as streams: what `put` takes from a library user."""

from __future__ import annotations

import asyncio
import select
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import BinaryIO

from artifactstore.dataplane.spi import Buffer
from artifactstore.domain.errors import ArtifactStoreError, IncompleteBodyError, InvalidInputError

#: The size of the buffers that files are read in, in bytes; what one digest-and-write step takes, too.
READ_BYTES = 256 * 1024

type Source = bytes | Path | AsyncIterable[Buffer]


def stream_of(source: Source) -> tuple[AsyncIterable[Buffer], int | None]:
    """The source as a stream, and its size in bytes where that is known beforehand."""
    if isinstance(source, bytes):
        return _once(source), len(source)
    if isinstance(source, Path):
        # A size of 0 says nothing: that is what files of /proc have.
        return _read_path(source), (source.stat().st_size or None) if source.is_file() else None
    return source, None


def wrong_length(received: int, announced: int) -> ArtifactStoreError:
    """What to raise for a stream that is shorter, or already longer, than it was said to be, in bytes."""
    if received < announced:
        return IncompleteBodyError(f"the source ended after {received} of {announced} bytes; nothing was stored")
    return InvalidInputError(
        f"the source has more than the {announced} bytes that were announced; nothing was stored", field="size_hint"
    )


async def opened_apart(opening: Callable[[], BinaryIO]) -> BinaryIO:
    """What `opening` gives, in a thread. A named pipe is open when it has another end, which may be never.

    As in `read_file`, nobody waits for the thread.
    """
    opened: Future[BinaryIO] = Future()
    threading.Thread(target=_open, args=(opening, opened), daemon=True).start()
    try:
        return await asyncio.wrap_future(opened)
    except asyncio.CancelledError:
        opened.add_done_callback(_close_again)
        raise


def _close_again(opened: Future[BinaryIO]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()


def _open(opening: Callable[[], BinaryIO], opened: Future[BinaryIO]) -> None:
    if not opened.set_running_or_notify_cancel():
        return
    try:
        opened.set_result(opening())
    except Exception as error:
        opened.set_exception(error)


async def read_file(file: BinaryIO) -> AsyncIterator[bytes]:
    """The bytes of an open, unbuffered file, read in a thread, from where it stands to its end.

    A pipe or a terminal may be silent for ever, and a thread of the executor would be joined when the loop ends, and
    with it the end of a program that is interrupted: nobody waits for this one.
    """
    wanted: SimpleQueue[Future[bytes] | None] = SimpleQueue()
    threading.Thread(target=_answer, args=(file, wanted), daemon=True).start()
    try:
        while True:
            read: Future[bytes] = Future()
            wanted.put(read)
            chunk = await asyncio.wrap_future(read)
            if not chunk:
                return
            yield chunk
    finally:
        wanted.put(None)


def _answer(file: BinaryIO, wanted: SimpleQueue[Future[bytes] | None]) -> None:
    while (read := wanted.get()) is not None:
        if not read.set_running_or_notify_cancel():
            continue
        try:
            read.set_result(_read_some(file))
        except Exception as error:
            read.set_exception(error)


def _read_some(file: BinaryIO) -> bytes:
    # None: whoever shares the pipe made it non-blocking, and it is empty for now
    while (chunk := file.read(READ_BYTES)) is None:
        select.select([file], [], [])
    return chunk


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _read_path(path: Path) -> AsyncIterator[bytes]:
    file = await opened_apart(lambda: path.open("rb", buffering=0))
    try:
        async for chunk in read_file(file):
            yield chunk
    finally:
        file.close()
