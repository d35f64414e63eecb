"""The data plane in this process, over one storage backend.

Theory of operation. A small body is digested in memory, a large one becomes a synced staging file (`ingestion`); then
the gate is asked, and the backend publishes. Memory is bounded by the number of uploads, and a slow disk pushes back on
the sender. To close breaks off what runs, as a timeout would, and waits until each has cleaned up: a source may never
come to its end.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

from artifactstore.cancellation import uninterrupted
from artifactstore.dataplane.activity import Activity
from artifactstore.dataplane.blocks import BlockPool
from artifactstore.dataplane.exclusion import ObjectLocks
from artifactstore.dataplane.ingestion import SMALL_BYTES, Ingestion, drain, identity_of, receive
from artifactstore.dataplane.lanes import LaneThreads
from artifactstore.dataplane.sources import stream_of
from artifactstore.dataplane.space import SpaceLedger, Unpromised
from artifactstore.dataplane.spi import (
    Gate,
    IngestHints,
    IngestResult,
    Publication,
    Stream,
    Verdict,
    VerifyResult,
)
from artifactstore.dataplane.staging import StagingArea, StagingFile
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import InvalidInputError, ObjectNotFoundError, StorageError, UnreadableCopyError
from artifactstore.domain.ranges import ByteRange
from artifactstore.hashing import DualHasher, dual_digest
from artifactstore.storage.spi import BackendHealth, StorageBackend, StorageReceipt, StoredObject

_READ_BYTES = 256 * 1024
_VERIFY_BYTES = 1024 * 1024
#: As many disks' worth of writes at once.
_WRITERS = 16


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
        self._blocks = BlockPool()
        self._digesting = LaneThreads(os.cpu_count() or 1, "digest")
        self._writing = LaneThreads(_WRITERS, "write")
        # What a backend's contract asks of its caller. The control plane's own lock reaches further: to its commit.
        self._locks = ObjectLocks()
        self._closed = False
        self._ingesting = 0
        self._staged_uploads: set[Ingestion] = set()
        self._operations: set[asyncio.Timeout] = set()  # those that `close` breaks off
        self._idle = asyncio.Event()
        self._idle.set()

    def _temporary_directory(self) -> Path:
        return Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="artifact-store-")))

    async def ingest_stream(
        self, stream: Stream, hints: IngestHints | None = None, *, gate: Gate | None = None
    ) -> IngestResult:
        """Drain, digest, stage and publish a stream; see the port."""
        hints = hints or IngestHints()
        if hints.backend_id not in (None, self._backend.backend_id):
            raise InvalidInputError(f"there is no backend {hints.backend_id!r} here", field="backend_id")
        self._refuse_when_closed()
        self._ingesting += 1
        try:
            return await self._operation(self._ingest(stream, hints, gate))
        finally:
            self._ingesting -= 1

    async def _ingest(self, stream: Stream, hints: IngestHints, gate: Gate | None) -> IngestResult:
        with Unpromised() if self._space is None else self._space.promise(hints.size_hint or 0) as promise:
            if isinstance(stream, bytes):
                if len(stream) <= SMALL_BYTES:
                    promise.spend(len(stream))
                    return await self._in_memory(stream, hints, gate)
                stream, _ = stream_of(stream)
            if not isinstance(stream, AsyncIterable):
                return await self._staged(partial(receive, stream, about_to_write=promise.spend), hints, gate)
            buffers, begun = aiter(stream), bytearray()
            async for buffer in buffers:
                promise.spend(len(buffer))
                if len(begun) + len(buffer) > SMALL_BYTES:
                    rest = partial(drain, begun, buffer, buffers, about_to_write=promise.spend)
                    return await self._staged(rest, hints, gate)
                begun += buffer
            return await self._in_memory(bytes(begun), hints, gate)

    async def _in_memory(self, data: bytes, hints: IngestHints, gate: Gate | None) -> IngestResult:
        """Ingest what is small."""
        return await self._conclude(identity_of(dual_digest(data), len(data)), data, hints, gate)

    async def _staged(
        self, receive_into: Callable[[Ingestion], Awaitable[None]], hints: IngestHints, gate: Gate | None
    ) -> IngestResult:
        """Ingest what is too large for memory."""
        upload = Ingestion(self._staging, self._blocks, self._digesting, self._writing)
        self._staged_uploads.add(upload)
        try:
            await receive_into(upload)
            file, identity = await upload.finish()
            return await self._conclude(identity, file, hints, gate)
        finally:
            self._staged_uploads.discard(upload)
            await upload.discard()

    async def _conclude(
        self, identity: ObjectIdentity, content: StagingFile | bytes, hints: IngestHints, gate: Gate | None
    ) -> IngestResult:
        """Ask the gate and do as it says."""
        verdict = await gate(identity) if gate is not None else Verdict()
        address = verdict.address or identity.digest(hints.primary_algorithm)
        receipt, replaced = await self._publish(address, content, identity.size_bytes, verdict.publication)
        return IngestResult(address, identity.sha256, identity.size_bytes, receipt, identity.blake3, replaced)

    async def _publish(
        self, address: Digest, content: StagingFile | bytes, size_bytes: int, publication: Publication
    ) -> tuple[StorageReceipt, bool]:
        """Where the bytes are kept, and whether they replaced a copy that an event vouched for."""
        trusted = publication is Publication.TRUST
        replace = publication is not Publication.KEEP
        async with self._locks.hold(address.value):
            if trusted:
                kept = await self._backend.stat(address)
                if kept is not None and kept.size_bytes == size_bytes:
                    return kept, False  # a put would only sync what a committed event already vouches for
            if isinstance(content, bytes):
                receipt = await self._backend.put_bytes(address, content, replace=replace)
            else:
                receipt = await uninterrupted(self._backend.put(address, content, replace=replace))
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
        self._refuse_when_closed()
        return await self._operation(self._verify(address))

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
                await uninterrupted(asyncio.to_thread(hasher.update, piece))
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
        unnamed = [size for upload in self._staged_uploads if (size := upload.unnamed_bytes) is not None]
        return Activity(
            self._ingesting,
            named.files + len(unnamed),
            named.size_bytes + sum(unnamed),
            0 if self._space is None else self._space.outstanding,
        )

    async def _operation[T](self, work: Awaitable[T]) -> T:
        """What `close` breaks off and waits for. StorageError when it is closed, or gets closed meanwhile."""
        breaking = asyncio.timeout(None)
        self._operations.add(breaking)
        self._idle.clear()
        try:
            async with breaking:
                return await work
        except TimeoutError as error:
            if not breaking.expired():  # the source's own
                raise
            raise StorageError("the data plane was closed meanwhile") from error
        finally:
            self._operations.remove(breaking)
            if not self._operations:
                self._idle.set()

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise StorageError("the data plane is closed")

    async def close(self) -> None:
        """Break off what runs, and let the workers end. The backend is its maker's to close. Idempotent."""
        if not self._closed:
            self._closed = True
            for operation in self._operations:
                operation.reschedule(asyncio.get_running_loop().time())
        await self._idle.wait()
        await uninterrupted(asyncio.to_thread(self._digesting.close))
        await uninterrupted(asyncio.to_thread(self._writing.close))
        self._held.close()
