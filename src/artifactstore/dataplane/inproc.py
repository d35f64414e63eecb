"""The data plane in this process, over one storage backend.

Theory of operation. Buffers of a stream are gathered into groups of about 256 KiB. A group is digested and written by a
worker thread, while it is still in the cache, as the next one is received; there are never more than these two, so
memory is bounded by the number of uploads, and a slow disk pushes back on the sender. The last group is digested,
written and synced in one step. Whatever happens, the staging file is given up only when no thread works on it. To close
breaks off what runs, as a timeout would, and waits until each has cleaned up: a source may never come to its end.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Self

from artifactstore.cancellation import uninterrupted
from artifactstore.dataplane.activity import Activity
from artifactstore.dataplane.exclusion import ObjectLocks
from artifactstore.dataplane.space import Promise, SpaceLedger
from artifactstore.dataplane.spi import Buffer, Gate, IngestHints, IngestResult, Publication, Verdict, VerifyResult
from artifactstore.dataplane.staging import StagingArea, StagingFile
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import InvalidInputError, ObjectNotFoundError, StorageError, UnreadableCopyError
from artifactstore.domain.ranges import ByteRange
from artifactstore.hashing import DualHasher
from artifactstore.storage.durability import storage_error
from artifactstore.storage.spi import BackendHealth, StorageBackend, StorageReceipt, StoredObject

#: What one step of a worker takes, in bytes: it stays in a core's cache between the digest and the write.
GROUP_BYTES = 256 * 1024
#: The most buffers in a step: each costs memory of its own, however few bytes it has.
GROUP_BUFFERS = 1024
_READ_BYTES = 256 * 1024
_VERIFY_BYTES = 1024 * 1024
_THREADS = 16
#: A group of more buffers than this is joined: a call for each costs more than the copy of what is small anyway.
_MANY_BUFFERS = 64


class _Upload:
    """One stream's staging file and digests, worked on by one thread at a time."""

    def __init__(self, staging: StagingArea) -> None:
        self._staging = staging
        self._hasher = DualHasher()
        self._file: StagingFile | None = None
        self._given_up = False
        # A step whose task was cancelled more than once may still run, or wait for a thread, when `discard` comes.
        self._working = threading.Lock()

    @property
    def unnamed_bytes(self) -> int | None:
        """The size of its staging file so far; None if it has none, or one that the directory shows."""
        file = self._file
        return None if file is None or file.path is not None else file.size_bytes

    def take(self, group: Sequence[Buffer]) -> None:
        """Digest and write a group."""
        with self._working:
            self._take(group)

    def finish(self, group: Sequence[Buffer]) -> tuple[StagingFile, ObjectIdentity]:
        """Digest and write the last group and make the file durable."""
        with self._working:
            file = self._take(group)
            file.sync()
        digests = self._hasher.digests()
        identity = ObjectIdentity(Digest.blake3(digests.blake3), Digest.sha256(digests.sha256), self._hasher.length)
        return file, identity

    def discard(self) -> None:
        """Give up the file, when no step works on it; none begins after this."""
        with self._working:
            self._given_up = True
            if self._file is not None:
                self._file.discard()

    def _take(self, group: Sequence[Buffer]) -> StagingFile:
        if self._given_up:
            raise StorageError("the upload was given up")
        if self._file is None:
            self._file = self._staging.create()
        if len(group) > _MANY_BUFFERS:
            group = [b"".join(group)]
        for buffer in group:
            self._hasher.update(buffer)
        self._file.write(group)
        return self._file


def _forget(step: asyncio.Future[None]) -> None:
    """Take a step's error as seen."""
    if not step.cancelled():
        step.exception()


class InProcessServedObject:
    """A range of a stored object; `dataplane.spi.ServedObject`."""

    def __init__(self, stored: StoredObject, byte_range: ByteRange) -> None:
        self._stored = stored
        self._range = byte_range

    @property
    def size_bytes(self) -> int:
        """The size of the whole stored copy."""
        return self._stored.size_bytes

    @property
    def byte_range(self) -> ByteRange:
        """The bytes that iterating gives."""
        return self._range

    def fileno(self) -> int | None:
        """The backend's descriptor, or None."""
        return self._stored.fileno()

    async def chunks(self, byte_range: ByteRange | None = None) -> AsyncIterator[bytes]:
        """The bytes, in buffers of at most 256 KiB; StorageError when the copy ends early."""
        wanted = byte_range or self._range
        offset = wanted.start
        while offset < wanted.stop:
            chunk = await self._stored.read(offset, min(_READ_BYTES, wanted.stop - offset))
            if not chunk:
                raise StorageError(f"the stored copy came to its end at byte {offset} of {wanted.stop}")
            offset += len(chunk)
            yield chunk

    async def close(self) -> None:
        """Give up the descriptor."""
        await self._stored.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class InProcessDataPlane:
    """The data plane over one backend. `InProcessDataPlane(backend)` is enough; close it when done.

    `staging`: where uploads are staged (default: where the backend wants it, or a temporary directory of its own).
    `space`: what promises them room (default: nobody does).
    """

    def __init__(
        self, backend: StorageBackend, *, staging: StagingArea | None = None, space: SpaceLedger | None = None
    ) -> None:
        self._backend = backend
        self._space = space
        self._held = ExitStack()
        self._staging = staging or StagingArea(backend.staging_directory or self._temporary_directory())
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="dataplane")
        # What a backend's contract asks of its caller. The control plane's own lock reaches further: to its commit.
        self._locks = ObjectLocks()
        self._closed = False
        self._uploads: set[_Upload] = set()
        self._operations: set[asyncio.Timeout] = set()  # those that `close` breaks off
        self._idle = asyncio.Event()
        self._idle.set()

    def _temporary_directory(self) -> Path:
        return Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="artifact-store-")))

    async def ingest_stream(
        self, stream: AsyncIterable[Buffer], hints: IngestHints | None = None, *, gate: Gate | None = None
    ) -> IngestResult:
        """Drain, digest, stage and publish a stream; see the port."""
        hints = hints or IngestHints()
        if hints.backend_id not in (None, self._backend.backend_id):
            raise InvalidInputError(f"there is no backend {hints.backend_id!r} here", field="backend_id")
        async with self._operation():
            return await self._ingest(stream, hints, gate)

    async def _ingest(self, stream: AsyncIterable[Buffer], hints: IngestHints, gate: Gate | None) -> IngestResult:
        upload = _Upload(self._staging)
        self._uploads.add(upload)
        with ExitStack() as promised:
            promised.callback(self._uploads.discard, upload)
            promise = promised.enter_context(self._space.promise(hints.size_hint or 0)) if self._space else None
            try:
                rest = await self._drain(stream, upload, promise)
                file, identity = await self._work(upload.finish, rest)
                verdict = await gate(identity) if gate is not None else Verdict()
                address = verdict.address or identity.digest(hints.primary_algorithm)
                receipt, replaced = await uninterrupted(self._publish(address, file, verdict.publication))
            finally:
                await uninterrupted(self._work(upload.discard))
        return IngestResult(address, identity.sha256, identity.size_bytes, receipt, identity.blake3, replaced)

    async def _drain(self, stream: AsyncIterable[Buffer], upload: _Upload, promise: Promise | None) -> list[Buffer]:
        """Receive the stream while a worker digests and writes what came before; what is left for the last step."""
        group: list[Buffer] = []
        size = 0
        working: asyncio.Future[None] | None = None
        try:
            async for buffer in stream:
                if promise is not None:
                    promise.spend(len(buffer))
                group.append(buffer)
                size += len(buffer)
                if size >= GROUP_BYTES or len(group) >= GROUP_BUFFERS:
                    if working is not None:
                        await working
                    working = asyncio.ensure_future(self._work(upload.take, group))
                    group, size = [], 0
            if working is not None:
                await working
        except BaseException:
            if working is not None:  # its own error is less than the one that goes on
                working.add_done_callback(_forget)
            raise
        return group

    async def _work[**P, T](self, step: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a step in a worker thread, to its end even when this task is cancelled."""

        async def run() -> T:
            return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: step(*args, **kwargs))

        try:
            return await uninterrupted(run())
        except OSError as error:
            raise storage_error("the upload could not be staged", error) from error

    async def _publish(
        self, address: Digest, file: StagingFile, publication: Publication
    ) -> tuple[StorageReceipt, bool]:
        """Where the bytes are kept, and whether they replaced a copy that an event vouched for."""
        trusted = publication is Publication.TRUST
        async with self._locks.hold(address.value):
            if trusted:
                kept = await self._backend.stat(address)
                if kept is not None and kept.size_bytes == file.size_bytes:
                    return kept, False  # a put would only sync what a committed event already vouches for
            receipt = await self._backend.put(address, file, replace=publication is not Publication.KEEP)
        return receipt, trusted

    async def serve_object(self, address: Digest, byte_range: ByteRange | None = None) -> InProcessServedObject:
        """Open an object, or a range of it; see the port."""
        stored = await self._backend.open(address)
        whole = ByteRange(0, stored.size_bytes)
        wanted = byte_range or whole
        if wanted.stop > whole.stop:
            await stored.close()
            raise ValueError(f"the range ends at byte {wanted.stop} of {whole.stop}")
        return InProcessServedObject(stored, wanted)

    async def verify_object(self, address: Digest) -> VerifyResult:
        """Re-read and digest again; see the port."""
        async with self._operation():
            return await self._verify(address)

    async def _verify(self, address: Digest) -> VerifyResult:
        hasher = DualHasher()
        try:
            stored = await self._backend.open(address)
        except ObjectNotFoundError:
            return VerifyResult(False, "missing", None, None, None)
        except UnreadableCopyError:
            return VerifyResult(False, "unreadable", None, None, None)
        try:
            offset = 0
            while piece := await stored.read(offset, _VERIFY_BYTES):
                offset += len(piece)
                await self._work(hasher.update, piece)
        except UnreadableCopyError:
            return VerifyResult(False, "unreadable", None, None, stored.size_bytes)
        finally:
            await stored.close()
        digests = hasher.digests()
        actual = ObjectIdentity(Digest.blake3(digests.blake3), Digest.sha256(digests.sha256), hasher.length)
        sound = actual.matches(address)
        if sound:  # what is read may be in the cache alone, after a mend whose sync failed
            await self._backend.sync(address)
        return VerifyResult(
            sound, None if sound else "digest-mismatch", actual.blake3, actual.sha256, actual.size_bytes
        )

    async def delete_object(self, address: Digest) -> bool:
        """Remove the bytes; see the port."""
        return await uninterrupted(self._delete(address))

    async def _delete(self, address: Digest) -> bool:
        async with self._locks.hold(address.value):
            return await self._backend.delete(address)

    async def backend_health(self) -> BackendHealth:
        """The backend's health."""
        return await self._backend.health()

    async def activity(self) -> Activity:
        """What is in hand now; the staging directory is looked at in a thread."""
        named = await asyncio.to_thread(self._staging.named)
        unnamed = [size for upload in self._uploads if (size := upload.unnamed_bytes) is not None]
        return Activity(
            len(self._uploads),
            named.files + len(unnamed),
            named.size_bytes + sum(unnamed),
            0 if self._space is None else self._space.outstanding,
        )

    @asynccontextmanager
    async def _operation(self) -> AsyncIterator[None]:
        """What `close` breaks off and waits for. StorageError when it is closed, or gets closed meanwhile."""
        if self._closed:
            raise StorageError("the data plane is closed")
        breaking = asyncio.timeout(None)
        self._operations.add(breaking)
        self._idle.clear()
        try:
            async with breaking:
                yield
        except TimeoutError as error:
            if not breaking.expired():  # the source's own
                raise
            raise StorageError("the data plane was closed meanwhile") from error
        finally:
            self._operations.remove(breaking)
            if not self._operations:
                self._idle.set()

    async def close(self) -> None:
        """Break off what runs, and let the workers end. The backend is its maker's to close. Idempotent."""
        if not self._closed:
            self._closed = True
            for operation in self._operations:
                operation.reschedule(asyncio.get_running_loop().time())
        await self._idle.wait()
        await asyncio.to_thread(self._threads.shutdown)
        self._held.close()
