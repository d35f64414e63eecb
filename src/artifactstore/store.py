"""The library's face over a local root: joins the registry (facts) and the data plane (bytes)."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
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
    Stream,
)
from artifactstore.domain import names
from artifactstore.domain.artifact import MINUTE, Artifact, ArtifactMetadata, ObjectRecord, ObjectState, Retrievals
from artifactstore.domain.caller import Caller
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    DigestMismatchError,
    InvalidQueryError,
    ObjectNotFoundError,
    ObjectTooLargeError,
    RegistryError,
)
from artifactstore.domain.once import KeptAnswer, Once
from artifactstore.domain.ranges import ByteRange
from artifactstore.domain.token import Scope
from artifactstore.domain.usage import Quotas, Usage
from artifactstore.generations import Generations
from artifactstore.lifecycle import Admission, ObjectLifecycle, Recording
from artifactstore.observation import Observer
from artifactstore.packaging import Packaging
from artifactstore.readcache import ReadCache
from artifactstore.reading import Reader
from artifactstore.registry.registry import Registry
from artifactstore.registry.search import check_after, check_limit
from artifactstore.spi import Condition, Event, StoredObject, Verification
from artifactstore.storage.spi import BackendHealth
from artifactstore.tokens import TokenKeeping, TokenRecords

_log = logging.getLogger(__name__)


class Store(ArtifactCatalog, Packaging, TokenKeeping):
    """A store over a local root (`spi.ArtifactStore`), acting for one caller. Made by `bootstrap`."""

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
        quotas: Quotas | None = None,
        generations: Generations | None = None,
    ) -> None:
        self._dataplane = dataplane
        self.registry = registry
        self._retrievals = retrievals  # None: a store opened only for reading records nothing
        self.caller = Caller.named(actor)
        self._tokens = TokenRecords(registry, generations=generations)
        self._max_object_bytes = max_object_bytes
        self._statements = statements or StatementPolicy()
        self._quotas = quotas or Quotas()
        #: What gives up the parts, set by whoever composed them.
        self.release: Callable[[], Awaitable[None]] | None = None
        #: What looks at the parts, set by whoever composed them.
        self.observer: Observer | None = None
        self._cache = cache or ReadCache(0)
        self._lifecycle = ObjectLifecycle(dataplane, registry, self._cache)
        #: What downloads ask: answers from memory where they are known. What decides something asks the registry.
        self.reader = Reader(dataplane, registry, self._lifecycle, self._cache, retrievals)

    def acting_as(self, caller: Caller) -> Store:
        """The same store for another caller: its events name them, and it does and shows what they may."""
        other = copy.copy(self)
        other.caller = caller
        return other

    @property
    def recorder(self) -> RetrievalRecorder:
        """What sums downloads; RegistryError where nothing is recorded."""
        if self._retrievals is None:
            raise RegistryError("the store is open only for reading")
        return self._retrievals

    async def acting_for(self, token: str) -> Store:
        """The same store for the holder of a token, by its text; UnauthenticatedError."""
        return self.acting_as(Caller.holding(await self._tokens.recognise(token)))

    async def kept_answer(self, key: str) -> KeptAnswer | None:
        """What this actor's request under an idempotency key was answered, if that counts still."""
        return await self.registry.kept_answer(self.caller.actor, key)

    # --- bytes in ---------------------------------------------------------------------------------------------------

    async def put_object(
        self,
        source: Source | Inflow,
        *,
        namespace: str = names.DEFAULT_NAMESPACE,
        expected: Sequence[Digest] = (),
        size_hint: int | None = None,
        primary_algorithm: Algorithm = Algorithm.BLAKE3,
        once: Once[StoredObject] | None = None,
    ) -> StoredObject:
        """Store bytes durably, as `spi.ArtifactStore.put_object` says.

        With `once`, here and wherever it is taken: AlreadyAnsweredError, IdempotencyKeyReusedError.
        """
        names.check_namespace(namespace)
        self.caller.require(Scope.WRITE, namespace)
        hints = IngestHints(size_hint, primary_algorithm)
        quota = self._quotas.of(namespace)
        if quota is not None and size_hint is not None:
            quota.check(Usage(namespace), size_hint)  # more cannot be said yet: it may be there already

        async def admit(identity: ObjectIdentity) -> None:
            if quota is not None and not await self.registry.object_claimed(identity.blake3, namespace):
                quota.check(await self.registry.usage(namespace), identity.size_bytes)

        async def record(result: IngestResult) -> StoredObject:
            identity = result.identity
            stored = partial(_stored, seen=await self._sees(identity.blake3))
            recorded = await self.registry.record_object(
                identity,
                backend_id=result.receipt.backend_id,
                primary_algorithm=result.primary_digest.algorithm,
                namespace=namespace,
                mended=result.replaced,
                quota=quota,
                actor=self.caller.actor,
                once=None if once is None else once.received(identity).of(stored),
            )
            return stored(recorded)

        return await self._ingest(source, hints, expected, None if quota is None else admit, record)

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
        once: Once[tuple[Artifact, bool]] | None = None,
    ) -> tuple[Artifact, bool]:
        """Store bytes durably as the next version of a name, as `spi.ArtifactStore.put_file` says."""
        metadata = (metadata or ArtifactMetadata()).checked()
        await self.check_preconditions(namespace, name, create_only=create_only, if_match=if_match)
        quota = self._quotas.of(namespace)

        async def admit(identity: ObjectIdentity) -> None:
            if quota is not None:
                quota.check(await self.registry.usage(namespace), identity.size_bytes)

        if quota is not None:
            quota.check(await self.registry.usage(namespace), size_hint or 0)

        async def record(result: IngestResult) -> tuple[Artifact, bool]:
            identity = result.identity
            named = partial(_named, seen=await self._sees(identity.blake3))
            try:
                recorded = await self.registry.record_artifact(
                    identity,
                    backend_id=result.receipt.backend_id,
                    primary_algorithm=result.primary_digest.algorithm,
                    namespace=namespace,
                    name=name,
                    metadata=metadata,
                    create_only=create_only,
                    if_match=if_match,
                    mended=result.replaced,
                    quota=quota,
                    actor=self.caller.actor,
                    once=None if once is None else once.received(identity).of(named),
                )
            finally:
                self._cache.forget_name(namespace, name)
            return named(recorded)

        return await self._ingest(source, IngestHints(size_hint), expected, None if quota is None else admit, record)

    async def check_preconditions(
        self, namespace: str, name: str, *, create_only: bool = False, if_match: Condition = None
    ) -> None:
        """Refuse a doomed upload before its body is read. The writer checks again when it commits."""
        names.check_namespace(namespace)
        names.check_name(name)
        self.caller.require(Scope.WRITE, namespace)
        if create_only or if_match is not None:
            await self.registry.check_preconditions(namespace, name, create_only=create_only, if_match=if_match)

    def check_size(self, size_bytes: int) -> None:
        """ObjectTooLargeError if an object of that size would not be taken."""
        if self._max_object_bytes is not None and size_bytes > self._max_object_bytes:
            raise ObjectTooLargeError(f"an object has at most {self._max_object_bytes} bytes here")

    async def _ingest[T](
        self,
        source: Source | Inflow,
        hints: IngestHints,
        expected: Sequence[Digest],
        admit: Admission | None,
        record: Recording[T],
    ) -> T:
        """Publish the bytes, and hold the object's lock until `record` has recorded them; what that gives."""
        stream: Stream
        size: int | None
        if isinstance(source, bytes):
            stream, size = source, len(source)
            if hints.size_hint is not None and hints.size_hint != size:
                raise wrong_length(size, hints.size_hint)
        elif isinstance(source, Path | AsyncIterable):
            stream, size = stream_of(source)
        else:
            stream, size = source, source.size_bytes
        if hints.size_hint is None and size is not None:
            hints = replace(hints, size_hint=size)
        if hints.size_hint is not None:
            self.check_size(hints.size_hint)
        if isinstance(stream, AsyncIterable):
            stream = self._limited(stream, hints.size_hint)
        actor = self.caller.actor
        return await self._lifecycle.ingest(stream, hints, expected, admit=admit, record=record, actor=actor)

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
        """The registry's record of an object that is present, and that the caller may read; ObjectNotFoundError."""
        return await self._record(digest, self.caller.within(Scope.READ))

    async def trusted_record(self, digest: Digest) -> ObjectRecord:
        """The same of an object that the caller was led to by what they may read: a package."""
        return await self._record(digest, None)

    async def _record(self, digest: Digest, within: frozenset[str] | None) -> ObjectRecord:
        record = await self.registry.object(digest)
        seen = True
        if within is not None:  # asked of what is not there, too: both take as long
            seen = await self.registry.readable(digest if record is None else record.identity.blake3, within)
        if record is None or not record.state.present or not seen:
            raise ObjectNotFoundError(f"there is no object {digest}")
        return record

    async def _sees(self, blake3: Digest) -> bool:
        """Whether an object, if it is there, is there for the caller; for others it is as if it were not."""
        token = self.caller.token
        if token is None:
            return True
        if not token.grants(Scope.READ):
            return False
        within = self.caller.within(Scope.READ)
        return within is None or await self.registry.readable(blake3, within)

    async def file(self, namespace: str, name: str) -> Artifact:
        """The latest version of a name; ArtifactNotFoundError.

        Who may write the name may know it, too: conditions on a write speak of it.
        """
        names.check_namespace(namespace)
        names.check_name(name)
        token = self.caller.token
        if token is not None and not token.may(Scope.WRITE, namespace):
            self.caller.require(Scope.READ, namespace)
        artifact = await self.registry.latest(namespace, name)
        if artifact is None:
            raise ArtifactNotFoundError(f"there is no artifact {namespace}/{name}")
        return artifact

    async def events(self, *, after: int = 0, limit: int = 100) -> tuple[Event, ...]:
        """The log in order, from the event after `after`."""
        self.caller.require(Scope.ADMIN)
        check_limit(limit)
        check_after(after)
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

    async def retrievals(
        self, artifact_id: UUID, *, after: tuple[str, str] | None = None, limit: int = 100
    ) -> tuple[Retrievals, ...]:
        """A page of who read an artifact, summed by minute and actor."""
        check_limit(limit)
        if after is not None and not (MINUTE.fullmatch(after[0]) and after[1] and names.is_plain(after[1])):
            raise InvalidQueryError("after is a minute, a space, and who read then", field="after")
        await self.artifact(artifact_id)
        if self._retrievals is not None:
            await self._retrievals.flush()  # so that it tells of downloads that are over
        return tuple(await self.registry.retrievals(artifact_id=artifact_id, after=after, limit=limit))

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
        self.caller.require(Scope.WRITE, namespace)
        record = await self.registry.object(digest)
        if not await self._sees(digest if record is None else record.identity.blake3):
            return None
        if record is None or record.state is not ObjectState.LIVE:
            return None
        identity = record.identity
        for other in expected:
            if not identity.matches(other):
                raise DigestMismatchError(f"{other} was announced; {digest} is the object {identity.sha256}")
        if size_hint not in (None, identity.size_bytes):
            raise DigestMismatchError(f"{digest} has {identity.size_bytes} bytes, not {size_hint}")
        claimed = await self._lifecycle.claim(record, namespace, self._quotas.of(namespace), actor=self.caller.actor)
        return StoredObject(record.identity, created=False) if claimed else None

    async def record_to_read(self, digest: Digest) -> ObjectRecord:
        """As `record`, for reading its bytes: from memory, where the caller may read everything."""
        within = None if self.caller.token is None else self.caller.within(Scope.READ)
        return await (self.reader.record(digest) if within is None else self._record(digest, within))

    async def latest_to_read(self, namespace: str, name: str) -> Artifact:
        """The latest version of a name, for reading its bytes; ArtifactNotFoundError."""
        if self.caller.token is not None:
            self.caller.require(Scope.READ, names.check_namespace(namespace))
        return await self.reader.latest(namespace, name)

    async def version_to_read(self, artifact_id: UUID) -> Artifact:
        """One version, for reading its bytes; ArtifactNotFoundError when it is deleted, too."""
        if self.caller.token is not None and self.caller.within(Scope.READ) is not None:
            await self.artifact(artifact_id)
        return await self.reader.version(artifact_id)

    async def open_object(self, digest: Digest, byte_range: ByteRange | None = None) -> LocalContent:
        """The bytes of an object by either digest."""
        return await self.open_record(await self.record_to_read(digest), byte_range)

    async def open_file(self, namespace: str, name: str, byte_range: ByteRange | None = None) -> LocalContent:
        """The bytes of a name's latest version."""
        return await self._open_version(await self.latest_to_read(namespace, name), byte_range)

    async def open_artifact(self, artifact_id: UUID, byte_range: ByteRange | None = None) -> LocalContent:
        """The bytes of one version; ArtifactNotFoundError when it is deleted, too."""
        return await self._open_version(await self.version_to_read(artifact_id), byte_range)

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
        return await self.reader.open(record, byte_range, artifact_id=artifact_id, actor=self.caller.actor)

    async def verify_object(self, digest: Digest, *, once: Once[Verification] | None = None) -> Verification:
        """Re-read an object and digest it again. A failure is recorded, and so is a damaged object found sound.

        What is found is recorded before what is answered is kept: if that is lost, to look again is as good.
        """
        await self.record(digest)
        recording = self._retrievals is not None
        record, result = await self._lifecycle.verify(digest, actor=self.caller.actor, record=recording)
        found = Verification(
            result.verified,
            result.reason,
            record.identity,
            result.actual_blake3,
            result.actual_sha256,
            result.size_bytes,
        )
        if once is not None:
            await self.registry.keep_answer(found, once, actor=self.caller.actor)
        return found

    # --- deletion ---------------------------------------------------------------------------------------------------

    async def delete_object(self, digest: Digest) -> None:
        """Delete an object: the event first, then the bytes (invariant 6).

        Its bytes are every namespace's that stored them: only who may delete in all of them may delete it.
        """
        self.caller.require(Scope.DELETE)
        record = await self.trusted_record(digest)
        await self._lifecycle.delete(record.identity.blake3, actor=self.caller.actor)

    async def delete_file(self, namespace: str, name: str, *, if_match: Condition = None) -> None:
        """Tombstone a name: its versions no longer refer to their objects. ArtifactNotFoundError."""
        names.check_namespace(namespace)
        names.check_name(name)
        self.caller.require(Scope.DELETE, namespace)
        try:
            await self.registry.tombstone(namespace, name, if_match=if_match, actor=self.caller.actor)
        finally:
            self._cache.forget_name(namespace, name)

    async def recover(self) -> int:
        """Finish what a crash left half done, before anything else is asked for; the number of deletions finished."""
        return await self._lifecycle.recover(actor=self.caller.actor)

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


def _stored(recorded: tuple[ObjectRecord, bool], *, seen: bool) -> StoredObject:
    """An upload's outcome: for whoever could not see the object, it is new."""
    record, created = recorded
    return StoredObject(record.identity, created or not seen, record.state)


def _named(recorded: tuple[Artifact, bool], *, seen: bool) -> tuple[Artifact, bool]:
    artifact, created = recorded
    return artifact, created or not seen
