"""The library's face over a local root: joins the registry (facts) and the data plane (bytes)."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self
from uuid import UUID

from artifactstore.audit.retrievals import RetrievalRecorder
from artifactstore.cancellation import uninterrupted
from artifactstore.catalog import ArtifactCatalog, StatementPolicy
from artifactstore.content import LocalContent
from artifactstore.dataplane.sources import Source, stream_of, wrong_length
from artifactstore.dataplane.spi import (
    Buffer,
    DataPlane,
    Inflow,
    IngestHints,
    IngestResult,
)
from artifactstore.domain import names
from artifactstore.domain.artifact import Artifact, ArtifactMetadata, ObjectRecord, ObjectState, Retrievals
from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    DigestMismatchError,
    InvalidQueryError,
    ObjectNotFoundError,
    ObjectTooLargeError,
)
from artifactstore.domain.ranges import ByteRange
from artifactstore.lifecycle import ObjectLifecycle
from artifactstore.observation import Observer
from artifactstore.packaging import Packaging
from artifactstore.readcache import ReadCache
from artifactstore.reading import Reader
from artifactstore.registry.registry import Registry
from artifactstore.registry.search import MAX_PAGE
from artifactstore.spi import Condition, Event, StoredObject, Verification
from artifactstore.storage.spi import BackendHealth

_log = logging.getLogger(__name__)


class Store(ArtifactCatalog, Packaging):
    """A store over a local root (`spi.ArtifactStore`), acting for one actor. Made by `bootstrap`."""

    def __init__(
        self,
        dataplane: DataPlane,
        registry: Registry,
        retrievals: RetrievalRecorder | None,
        *,
        actor: str,
        max_object_bytes: int | None = None,
        cache: ReadCache | None = None,
        statements: StatementPolicy | None = None,
    ) -> None:
        self._dataplane = dataplane
        self.registry = registry
        self._retrievals = retrievals  # None: a store opened only for reading records nothing
        self._actor = names.actor_name(actor)
        self._max_object_bytes = max_object_bytes
        self._statements = statements or StatementPolicy()
        #: What gives up the parts, set by whoever composed them.
        self.release: Callable[[], Awaitable[None]] | None = None
        #: What looks at the parts, set by whoever composed them.
        self.observer: Observer | None = None
        self._cache = cache or ReadCache(0)
        self._lifecycle = ObjectLifecycle(dataplane, registry, self._cache)
        #: What downloads ask: answers from memory where they are known. What decides something asks the registry.
        self.reader = Reader(dataplane, registry, self._lifecycle, self._cache, retrievals)

    def acting_as(self, actor: str) -> Store:
        """The same store, whose events name another actor."""
        other = copy.copy(self)
        other._actor = names.actor_name(actor)
        return other

    # --- bytes in ---------------------------------------------------------------------------------------------------

    async def put_object(
        self,
        source: Source | Inflow,
        *,
        namespace: str = names.DEFAULT_NAMESPACE,
        expected: Sequence[Digest] = (),
        size_hint: int | None = None,
        primary_algorithm: Algorithm = Algorithm.BLAKE3,
    ) -> StoredObject:
        """Store bytes durably, as `spi.ArtifactStore.put_object` says."""
        names.check_namespace(namespace)
        hints = IngestHints(size_hint, primary_algorithm)
        async with self._ingest(source, hints, expected) as result:
            record, created = await uninterrupted(
                self.registry.record_object(
                    result.identity,
                    backend_id=result.receipt.backend_id,
                    primary_algorithm=result.primary_digest.algorithm,
                    namespace=namespace,
                    mended=result.replaced,
                    actor=self._actor,
                )
            )
        return StoredObject(record.identity, created, record.state)

    async def put_file(
        self,
        namespace: str,
        name: str,
        source: Source | Inflow,
        *,
        metadata: ArtifactMetadata | None = None,
        expected: Sequence[Digest] = (),
        size_hint: int | None = None,
        create_only: bool = False,
        if_match: Condition = None,
    ) -> tuple[Artifact, bool]:
        """Store bytes durably as the next version of a name, as `spi.ArtifactStore.put_file` says."""
        metadata = (metadata or ArtifactMetadata()).checked()
        await self.check_preconditions(namespace, name, create_only=create_only, if_match=if_match)
        async with self._ingest(source, IngestHints(size_hint), expected) as result:
            try:
                return await uninterrupted(
                    self.registry.record_artifact(
                        result.identity,
                        backend_id=result.receipt.backend_id,
                        primary_algorithm=result.primary_digest.algorithm,
                        namespace=namespace,
                        name=name,
                        metadata=metadata,
                        create_only=create_only,
                        if_match=if_match,
                        mended=result.replaced,
                        actor=self._actor,
                    )
                )
            finally:
                self._cache.forget_name(namespace, name)

    async def check_preconditions(
        self, namespace: str, name: str, *, create_only: bool = False, if_match: Condition = None
    ) -> None:
        """Refuse a doomed upload before its body is read. The writer checks again when it commits."""
        names.check_namespace(namespace)
        names.check_name(name)
        if create_only or if_match is not None:
            await self.registry.check_preconditions(namespace, name, create_only=create_only, if_match=if_match)

    def check_size(self, size_bytes: int) -> None:
        """ObjectTooLargeError if an object of that size would not be taken."""
        if self._max_object_bytes is not None and size_bytes > self._max_object_bytes:
            raise ObjectTooLargeError(f"an object has at most {self._max_object_bytes} bytes here")

    @asynccontextmanager
    async def _ingest(
        self, source: Source | Inflow, hints: IngestHints, expected: Sequence[Digest]
    ) -> AsyncIterator[IngestResult]:
        """Publish the bytes and hold the object's lock until the body of the `async with` has recorded them."""
        stream, size = (source, source.size_bytes) if isinstance(source, Inflow) else stream_of(source)
        if hints.size_hint is None and size is not None:
            hints = replace(hints, size_hint=size)
        if hints.size_hint is not None:
            self.check_size(hints.size_hint)
        if not isinstance(stream, Inflow):
            stream = self._limited(stream, hints.size_hint)
        async with self._lifecycle.ingest(stream, hints, expected, actor=self._actor) as result:
            yield result

    async def _limited(self, stream: AsyncIterable[Buffer], announced: int | None) -> AsyncIterator[Buffer]:
        received = 0
        async for buffer in stream:
            received += len(buffer)
            self.check_size(received)
            if announced is not None and received > announced:
                raise wrong_length(received, announced)
            yield buffer
        if announced is not None and received < announced:
            raise wrong_length(received, announced)

    # --- facts ------------------------------------------------------------------------------------------------------

    async def object(self, digest: Digest) -> StoredObject:
        """An object by either digest; ObjectNotFoundError."""
        record = await self.record(digest)
        return StoredObject(record.identity, created=False, state=record.state)

    async def record(self, digest: Digest) -> ObjectRecord:
        """The registry's record of an object that is present; ObjectNotFoundError."""
        record = await self.registry.object(digest)
        if record is None or not record.state.present:
            raise ObjectNotFoundError(f"there is no object {digest}")
        return record

    async def file(self, namespace: str, name: str) -> Artifact:
        """The latest version of a name; ArtifactNotFoundError."""
        names.check_namespace(namespace)
        names.check_name(name)
        artifact = await self.registry.latest(namespace, name)
        if artifact is None:
            raise ArtifactNotFoundError(f"there is no artifact {namespace}/{name}")
        return artifact

    async def events(self, *, after: int = 0, limit: int = 100) -> tuple[Event, ...]:
        """The log in order, from the event after `after`."""
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidQueryError(f"limit is a whole number from 1 to {MAX_PAGE}", field="limit")
        if not 0 <= after < 2**53:
            raise InvalidQueryError(f"after is a whole number from 0 to {2**53 - 1}", field="after")
        recorded = await self.registry.events(after, limit)
        return tuple(
            Event(
                seq=event.seq,
                id=event.id,
                type=event.type,
                version=event.version,
                subject=event.subject,
                actor=event.actor,
                time=event.time,
                salt=event.salt.hex(),
                leaf=event.leaf.hex(),
                payload=json.loads(event.payload),
            )
            for event in recorded
        )

    async def retrievals(self, artifact_id: UUID) -> tuple[Retrievals, ...]:
        """Who read an artifact, summed by minute and actor."""
        await self.artifact(artifact_id)
        if self._retrievals is not None:
            await self._retrievals.flush()  # so that it tells of downloads that are over
        found: list[Retrievals] = []
        after: tuple[str, str] | None = None
        while page := await self.registry.retrievals(artifact_id=artifact_id, after=after):
            found += page
            after = (page[-1].minute, page[-1].actor)
        return tuple(found)

    async def backend_health(self) -> BackendHealth:
        """The health of the bytes' side."""
        return await self._dataplane.backend_health()

    # --- bytes out --------------------------------------------------------------------------------------------------

    async def put_known(
        self,
        digest: Digest,
        *,
        namespace: str = names.DEFAULT_NAMESPACE,
        expected: Sequence[Digest] = (),
        size_hint: int | None = None,
    ) -> StoredObject | None:
        """The object, if it is stored whole and not marked damaged, as uploaded to `namespace`: no byte need be sent.

        None when the bytes are needed. DigestMismatchError: one of `expected`, or the size, is not the object's.
        """
        names.check_namespace(namespace)
        record = await self.registry.object(digest)
        if record is None or record.state is not ObjectState.LIVE:
            return None
        identity = record.identity
        for other in expected:
            if not identity.matches(other):
                raise DigestMismatchError(f"{other} was announced; {digest} is the object {identity.sha256}")
        if size_hint not in (None, identity.size_bytes):
            raise DigestMismatchError(f"{digest} has {identity.size_bytes} bytes, not {size_hint}")
        claimed = await self._lifecycle.claim(record, namespace, actor=self._actor)
        return StoredObject(record.identity, created=False) if claimed else None

    async def open_object(self, digest: Digest, byte_range: ByteRange | None = None) -> LocalContent:
        """The bytes of an object by either digest."""
        return await self.open_record(await self.reader.record(digest), byte_range)

    async def open_file(self, namespace: str, name: str, byte_range: ByteRange | None = None) -> LocalContent:
        """The bytes of a name's latest version."""
        return await self._open_version(await self.reader.latest(namespace, name), byte_range)

    async def open_artifact(self, artifact_id: UUID, byte_range: ByteRange | None = None) -> LocalContent:
        """The bytes of one version; ArtifactNotFoundError when it is deleted, too."""
        return await self._open_version(await self.reader.version(artifact_id), byte_range)

    async def _open_version(self, artifact: Artifact, byte_range: ByteRange | None) -> LocalContent:
        record = await self.reader.record(artifact.identity.blake3)
        return await self.open_record(record, byte_range, artifact_id=artifact.id)

    async def open_record(
        self, record: ObjectRecord, byte_range: ByteRange | None = None, *, artifact_id: UUID | None = None
    ) -> LocalContent:
        """The bytes of an object whose record is at hand, read through `artifact_id` or by digest.

        ObjectDamagedError: it is marked damaged, or its copy turns out to be missing or of another size, which is then
        recorded. ObjectNotFoundError: it was deleted since the record was read. InvalidInputError: the range.
        """
        return await self.reader.open(record, byte_range, artifact_id=artifact_id, actor=self._actor)

    async def verify_object(self, digest: Digest) -> Verification:
        """Re-read an object and digest it again. A failure is recorded, and so is a damaged object found sound."""
        recording = self._retrievals is not None
        record, result = await self._lifecycle.verify(digest, actor=self._actor, record=recording)
        return Verification(
            result.verified,
            result.reason,
            record.identity,
            result.actual_blake3,
            result.actual_sha256,
            result.size_bytes,
        )

    # --- deletion ---------------------------------------------------------------------------------------------------

    async def delete_object(self, digest: Digest) -> None:
        """Delete an object: the event first, then the bytes (invariant 6)."""
        record = await self.record(digest)
        await self._lifecycle.delete(record.identity.blake3, actor=self._actor)

    async def delete_file(self, namespace: str, name: str, *, if_match: Condition = None) -> None:
        """Tombstone a name: its versions no longer refer to their objects. ArtifactNotFoundError."""
        names.check_namespace(namespace)
        names.check_name(name)
        try:
            await uninterrupted(self.registry.tombstone(namespace, name, if_match=if_match, actor=self._actor))
        finally:
            self._cache.forget_name(namespace, name)

    async def recover(self) -> int:
        """Finish what a crash left half done, before anything else is asked for; the number of deletions finished."""
        return await self._lifecycle.recover(actor=self._actor)

    async def stop_waiting(self) -> None:
        """Give up waiting for what holds deletions up. Idempotent."""
        await self._lifecycle.close()

    async def close(self) -> None:
        """Write what is still in memory, and give up the root. Idempotent.

        Uploads that still run are broken off. A cancellation goes on when it is done: the root's lock may only be
        given up when nothing writes.
        """
        release, self.release = self.release, None
        if release is not None:
            await uninterrupted(release())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
