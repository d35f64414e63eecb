"""One upload on its way in: from a stream to a synced staging file and both digests of it.

Theory of operation. A body fills a block on the event loop, is digested in one lane and written in another: receiving,
hashing and writing overlap, and neither of the first two waits for the disk as long as a block is free. An upload has
at most BLOCKS of them; then its stream is read no further until one is written, and so a slow disk pushes back on the
sender. What goes wrong in a lane is raised where the next block is asked for, or at the end. The end and the giving up
pass through both lanes as the blocks do, so that no thread works on the file when it is closed.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from enum import Enum

from artifactstore.cancellation import uninterrupted
from artifactstore.dataplane.blocks import Block, BlockPool
from artifactstore.dataplane.lanes import Lane, LaneThreads
from artifactstore.dataplane.spi import Buffer, Inflow
from artifactstore.dataplane.staging import StagingArea, StagingFile
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import StorageError
from artifactstore.hashing import DualDigest, DualHasher
from artifactstore.storage.durability import storage_error

#: Bodies of at most so many bytes are not staged: they are digested, checked and published from memory.
SMALL_BYTES = 64 * 1024
#: The most blocks of one upload: one that is received, one that is digested, two that are written.
BLOCKS = 4


class _Mark(Enum):
    """What passes through the lanes beside blocks."""

    BEGIN = "make the file"
    END = "sync it"
    GIVE_UP = "close it"


type _Item = Block | _Mark
#: Is told of bytes before they are written, and may refuse.
type Spending = Callable[[int], None]


class Ingestion:
    """One upload. Call its methods on one event loop, one after the other, and `discard` last, whatever came before."""

    def __init__(self, staging: StagingArea, pool: BlockPool, digesting: LaneThreads, writing: LaneThreads) -> None:
        self._staging = staging
        self._pool = pool
        self._hasher = DualHasher()
        self._file: StagingFile | None = None
        self._digesting: Lane[_Item] = Lane(digesting, self._digest, 1)
        self._writing: Lane[_Item] = Lane(writing, self._write, BLOCKS)
        self._filling: Block | None = None
        self._blocks: list[Block] = []  # all of this upload
        # What threads and the loop share:
        self._lock = threading.Lock()
        self._free: list[Block] = []
        self._synced = self._closed = False
        self._not_closed: OSError | None = None
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._writing.give(_Mark.BEGIN)  # so that what stands in its way is known before the body has come

    @property
    def unnamed_bytes(self) -> int | None:
        """The size of its staging file so far; None if it has none, or one that the directory shows."""
        file = self._file
        return None if file is None or file.path is not None else file.size_bytes

    # --- on the loop ------------------------------------------------------------------------------------------------

    async def take(self, buffer: Buffer) -> None:
        """The next bytes; they may change afterwards. Waits until there is room for them."""
        left = memoryview(buffer).cast("B")
        while left:
            block = await self._block()
            count = min(len(left), len(block.room) - block.filled)
            block.room[block.filled : block.filled + count] = left[:count]
            block.filled += count
            left = left[count:]
            if block.full:
                self._pass_on()

    async def fill(self, inflow: Inflow, size_bytes: int, about_to_write: Spending) -> int:
        """Receive the next bytes of `inflow`, at most so many, where they will be digested; their number."""
        block = await self._block()
        count, block.filled = min(size_bytes, len(block.room)), 0
        await inflow.fill(block.room[:count])
        about_to_write(count)
        block.filled = count
        self._pass_on()
        return count

    async def finish(self) -> tuple[StagingFile, ObjectIdentity]:
        """The file, when all that was taken is written and synced, and what it holds."""
        if self._filling is not None and self._filling.filled:
            self._pass_on()
        self._digesting.give(_Mark.END)
        await self._until(lambda: self._synced)
        if self._file is None:
            raise RuntimeError("a synced upload has a file")
        return self._file, identity_of(self._hasher.digests(), self._hasher.length)

    async def discard(self) -> None:
        """Give up the file when no thread works on it. What was published from it stays."""
        await uninterrupted(self._discard())

    async def _discard(self) -> None:
        with self._lock:
            self._error = self._error or StorageError("the upload was given up")
        self._digesting.give(_Mark.GIVE_UP)
        while (waiter := self._waiter_unless(lambda: self._closed)) is not None:
            await waiter
        for block in self._blocks:
            self._pool.give_back(block)
        if self._not_closed is not None:
            raise storage_error("the upload could not be staged", self._not_closed) from self._not_closed

    async def _block(self) -> Block:
        if self._filling is None:
            await self._until(lambda: bool(self._free) or len(self._blocks) < BLOCKS)
            if not self._free:
                self._blocks.append(self._pool.take())
                self._free.append(self._blocks[-1])
            self._filling = self._free.pop()
        return self._filling

    def _pass_on(self) -> None:
        block, self._filling = self._filling, None
        if block is not None:
            self._digesting.give(block)

    async def _until(self, reached: Callable[[], bool]) -> None:
        """Wait for what the lanes do; raises what went wrong in them."""
        while True:
            if self._error is not None:
                if isinstance(self._error, OSError):
                    raise storage_error("the upload could not be staged", self._error) from self._error
                raise self._error
            waiter = self._waiter_unless(lambda: self._error is not None or reached())
            if waiter is not None:
                await waiter
            elif self._error is None:
                return

    def _waiter_unless(self, reached: Callable[[], bool]) -> asyncio.Future[None] | None:
        """What to wait for before looking again: a lane tells when it has done something."""
        with self._lock:
            if reached():
                return None
            self._waiter = self._loop.create_future()
            return self._waiter

    # --- in a thread ------------------------------------------------------------------------------------------------

    def _digest(self, items: list[_Item]) -> None:
        for item in items:
            if isinstance(item, Block) and self._error is None:
                self._hasher.update(item.content)
            self._writing.give(item)

    def _write(self, items: list[_Item]) -> None:
        blocks = [item for item in items if isinstance(item, Block)]
        error: Exception | None = None
        closed = synced = False
        try:
            if self._error is None:
                self._file = self._file or self._staging.create()
                self._file.write_blocks([block.content for block in blocks])
                if _Mark.END in items:
                    self._file.sync()
                    synced = True
        except Exception as failed:
            error = failed
        if _Mark.GIVE_UP in items:
            closed = True
            try:
                if self._file is not None:
                    self._file.discard()
            except OSError as failed:
                self._not_closed = failed
        self._tell(blocks, error, synced=synced, closed=closed)

    def _tell(self, blocks: list[Block], error: Exception | None, *, synced: bool, closed: bool) -> None:
        with self._lock:
            for block in blocks:
                block.filled = 0
            self._free += blocks
            self._error = self._error or error
            self._synced = self._synced or synced
            self._closed = self._closed or closed
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            self._loop.call_soon_threadsafe(_wake, waiter)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


async def receive(inflow: Inflow, upload: Ingestion, *, about_to_write: Spending) -> None:
    """Ingest a body of known size, which is received straight into the blocks."""
    left = inflow.size_bytes
    while left:
        left -= await upload.fill(inflow, left, about_to_write)


async def drain(
    begun: Buffer, buffer: Buffer, rest: AsyncIterator[Buffer], upload: Ingestion, *, about_to_write: Spending
) -> None:
    """Ingest a stream of which something has come already, for all of which there is space."""
    await upload.take(begun)
    await upload.take(buffer)
    async for buffer in rest:
        about_to_write(len(buffer))
        await upload.take(buffer)


def identity_of(digests: DualDigest, size_bytes: int) -> ObjectIdentity:
    """What these digests, of so many bytes, identify."""
    return ObjectIdentity(Digest.blake3(digests.blake3), Digest.sha256(digests.sha256), size_bytes)
