"""The library's face over a local root: joins the registry (facts) and the data plane (bytes).

Theory of operation. An upload streams through the data plane; when its digests are known, the gate below takes the
object's lock, asks the registry whether an event vouches for the stored copy, and tells the data plane whether to keep,
replace or trust what lies there. The lock is given up after the event is committed. A deletion takes the same lock,
commits its event, then removes the bytes, then commits that they are gone; `recover` finishes what a crash left
between those steps. So an event never names bytes that are not durable, and no upload loses its bytes to a deletion
(design, invariants 1, 2, 3, 6 and 7).
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Self
from uuid import UUID

from artifactstore.audit.retrievals import RetrievalRecorder
from artifactstore.dataplane.exclusion import ObjectLocks, uninterrupted
from artifactstore.dataplane.sources import Source, stream_of, wrong_length
from artifactstore.dataplane.spi import (
    Buffer,
    DataPlane,
    IngestHints,
    IngestResult,
    Publication,
    ServedObject,
    Verdict,
    VerifyResult,
)
from artifactstore.domain import names
from artifactstore.domain.artifact import Artifact, ArtifactMetadata, ObjectRecord, ObjectState, Retrievals
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    DigestMismatchError,
    InvalidQueryError,
    ObjectDamagedError,
    ObjectNotFoundError,
    ObjectTooLargeError,
    RegistryError,
    StorageError,
)
from artifactstore.domain.ranges import ByteRange
from artifactstore.registry.queries import MAX_PAGE, ArtifactQuery
from artifactstore.registry.registry import Registry
from artifactstore.spi import ArtifactPage, Condition, Event, StoredObject, Verification
from artifactstore.storage.spi import BackendHealth

_log = logging.getLogger(__name__)


class LocalContent:
    """An object's bytes, opened; closing it notes the retrieval."""

    def __init__(self, record: ObjectRecord, served: ServedObject, note: Callable[[int], None] | None) -> None:
        self.identity = record.identity
        self._served = served
        self._note = note
        self._sent = 0

    @property
    def byte_range(self) -> ByteRange:
        """The bytes that `chunks` gives when it is asked for no other range."""
        return self._served.byte_range

    async def chunks(self, byte_range: ByteRange | None = None) -> AsyncIterator[bytes]:
        """The bytes of `byte_range`, or of the range it was opened with."""
        async for chunk in self._served.chunks(byte_range):
            yield chunk
            self._sent += len(chunk)

    async def close(self) -> None:
        """Give up the descriptor and note what was read."""
        note, self._note = self._note, None
        if note is not None:
            note(self._sent)
        await self._served.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class Store:
    """A store over a local root (`spi.ArtifactStore`), acting for one actor. Made by `bootstrap`."""

    def __init__(
        self,
        dataplane: DataPlane,
        registry: Registry,
        retrievals: RetrievalRecorder | None,
        *,
        actor: str,
        max_object_bytes: int | None = None,
    ) -> None:
        self._dataplane = dataplane
        self.registry = registry
        self._retrievals = retrievals  # None: a store opened only for reading records nothing
        self._actor = actor
        self._max_object_bytes = max_object_bytes
        #: What gives up the parts, set by whoever composed them.
        self.release: Callable[[], Awaitable[None]] | None = None
        self._locks = ObjectLocks()

    def acting_as(self, actor: str) -> Store:
        """The same store, whose events name another actor."""
        other = copy.copy(self)
        other._actor = actor
        return other

    # --- bytes in ---------------------------------------------------------------------------------------------------

    async def put_object(
        self,
        source: Source,
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
        source: Source,
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
        self, source: Source, hints: IngestHints, expected: Sequence[Digest]
    ) -> AsyncIterator[IngestResult]:
        """Publish the bytes and hold the object's lock until the body of the `async with` has recorded them."""
        stream, size = stream_of(source)
        if hints.size_hint is None and size is not None:
            hints = replace(hints, size_hint=size)
        if hints.size_hint is not None:
            self.check_size(hints.size_hint)
        async with AsyncExitStack() as held:

            async def gate(identity: ObjectIdentity) -> Verdict:
                for digest in expected:
                    if not identity.matches(digest):
                        actual = identity.digest(digest.algorithm)
                        raise DigestMismatchError(f"{digest} was announced; the bytes received are {actual}")
                await held.enter_async_context(self._locks.hold(identity.blake3.value))
                return _verdict(await self.registry.object(identity.blake3))

            yield await self._dataplane.ingest_stream(self._limited(stream, hints.size_hint), hints, gate=gate)

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

    async def artifact(self, artifact_id: UUID) -> Artifact:
        """One artifact by its id, deleted ones included; ArtifactNotFoundError."""
        artifact = await self.registry.artifact(artifact_id)
        if artifact is None:
            raise ArtifactNotFoundError(f"there is no artifact {artifact_id}")
        return artifact

    async def artifacts(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        name_prefix: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ArtifactPage:
        """A page of artifacts in the order of namespace, name, version."""
        names.check_search(namespace, name, name_prefix)
        page = await self.registry.artifacts(
            ArtifactQuery(namespace=namespace, name=name, name_prefix=name_prefix, limit=limit, cursor=cursor)
        )
        return ArtifactPage(tuple(page.items), page.next)

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

    async def put_known(self, digest: Digest, *, namespace: str = names.DEFAULT_NAMESPACE) -> StoredObject | None:
        """The object, if it is stored whole and not marked damaged, as uploaded to `namespace`: no byte need be sent.

        None when the bytes are needed.
        """
        names.check_namespace(namespace)
        record = await self.registry.object(digest)
        if record is None or record.state is not ObjectState.LIVE:
            return None
        return await uninterrupted(self._claim(record, namespace))

    async def _claim(self, known: ObjectRecord, namespace: str) -> StoredObject | None:
        blake3 = known.identity.blake3
        async with self._locks.hold(blake3.value):
            record = await self.registry.object(blake3)
            if record != known:  # deleted, or found damaged, while this waited
                return None
            try:
                async with await self._dataplane.serve_object(record.address) as served:
                    if served.size_bytes != record.identity.size_bytes:
                        return None
            except ObjectNotFoundError:
                return None
            await self.registry.record_object(
                record.identity,
                backend_id=record.backend_id,
                primary_algorithm=record.primary_algorithm,
                namespace=namespace,
                actor=self._actor,
            )
        return StoredObject(record.identity, created=False)

    async def open_object(self, digest: Digest, byte_range: ByteRange | None = None) -> LocalContent:
        """The bytes of an object by either digest."""
        return await self.open_record(await self.record(digest), byte_range)

    async def open_file(self, namespace: str, name: str, byte_range: ByteRange | None = None) -> LocalContent:
        """The bytes of a name's latest version."""
        artifact = await self.file(namespace, name)
        return await self.open_record(await self.record(artifact.identity.blake3), byte_range, artifact_id=artifact.id)

    async def open_artifact(self, artifact_id: UUID, byte_range: ByteRange | None = None) -> LocalContent:
        """The bytes of one version; ArtifactNotFoundError when it is deleted, too."""
        artifact = await self.live_artifact(artifact_id)
        return await self.open_record(await self.record(artifact.identity.blake3), byte_range, artifact_id=artifact.id)

    async def live_artifact(self, artifact_id: UUID) -> Artifact:
        """One artifact by its id, whose content may be read; ArtifactNotFoundError when it is deleted, too."""
        artifact = await self.artifact(artifact_id)
        if artifact.deleted:
            raise ArtifactNotFoundError(f"the artifact {artifact_id} is deleted")
        return artifact

    async def open_record(
        self, record: ObjectRecord, byte_range: ByteRange | None = None, *, artifact_id: UUID | None = None
    ) -> LocalContent:
        """The bytes of an object whose record is at hand, read through `artifact_id` or by digest.

        ObjectDamagedError: it is marked damaged, or its copy turns out to be missing or of another size, which is then
        recorded. ObjectNotFoundError: it was deleted since the record was read. InvalidInputError: the range.
        """
        refuse_damaged(record)
        if byte_range is not None:
            byte_range.check_within(record.identity.size_bytes)
        try:
            served = await self._dataplane.serve_object(record.address, byte_range)
        except ObjectNotFoundError:
            raise await self._missing(record) from None
        except ValueError:
            served = None  # the stored copy ends before the range does
        if served is None or served.size_bytes != record.identity.size_bytes:
            if served is not None:
                await served.close()
            raise await self._missing(record)
        return LocalContent(record, served, self._note(record, artifact_id))

    def _note(self, record: ObjectRecord, artifact_id: UUID | None) -> Callable[[int], None] | None:
        if self._retrievals is None:
            return None
        return partial(self._retrievals.note, record.identity.blake3, artifact_id, self._actor)

    async def _missing(self, record: ObjectRecord) -> ObjectNotFoundError | ObjectDamagedError:
        """What to raise for a live record without a whole copy: verify under the lock, so that the mark is true."""
        if self._retrievals is None:  # opened only for reading: it may look, and records nothing
            return ObjectDamagedError(f"the stored copy of {record.identity.blake3} is missing or cut short")
        verification = await self.verify_object(record.identity.blake3)
        if verification.verified:  # mended meanwhile; the next attempt finds it
            return ObjectDamagedError(f"the stored copy of {record.identity.blake3} was being mended; try again")
        return ObjectDamagedError(_damage(record.identity.blake3, verification.reason))

    async def verify_object(self, digest: Digest) -> Verification:
        """Re-read an object and digest it again. A failure is recorded, and so is a damaged object found sound."""
        record = await self.record(digest)
        result = await self._dataplane.verify_object(record.address)
        expects_change = (
            record.state is ObjectState.LIVE if not result.verified else record.state is ObjectState.DAMAGED
        )
        if expects_change and self._retrievals is not None:
            result = await uninterrupted(self._record_verification(record))
        return Verification(
            result.verified,
            result.reason,
            record.identity,
            result.actual_blake3,
            result.actual_sha256,
            result.size_bytes,
        )

    async def _record_verification(self, record: ObjectRecord) -> VerifyResult:
        """Read again under the object's lock, since an upload may have mended it meanwhile, and record what is so."""
        blake3 = record.identity.blake3
        async with self._locks.hold(blake3.value):
            await self.record(blake3)
            result = await self._dataplane.verify_object(record.address)
            if result.verified:
                await self.registry.mark_sound(blake3, actor=self._actor)
            else:
                _log.error("%s", _damage(blake3, result.reason))
                await self.registry.mark_damaged(
                    blake3,
                    reason=result.reason or "unknown",
                    actual=(result.actual_blake3, result.actual_sha256),
                    size_bytes=result.size_bytes,
                    actor=self._actor,
                )
        return result

    # --- deletion ---------------------------------------------------------------------------------------------------

    async def delete_object(self, digest: Digest) -> None:
        """Delete an object: the event first, then the bytes (invariant 6)."""
        record = await self.record(digest)
        await uninterrupted(self._delete(record.identity.blake3))

    async def _delete(self, blake3: Digest) -> None:
        async with self._locks.hold(blake3.value):
            await self._try_purge(await self.registry.delete_object(blake3, actor=self._actor))

    async def _try_purge(self, record: ObjectRecord) -> bool:
        """Remove the bytes of a recorded deletion, and record that; False: the next start's `recover` tries again."""
        blake3 = record.identity.blake3
        try:
            await self._dataplane.delete_object(record.address)
            await self.registry.purge_object(blake3, actor=self._actor)
        except (StorageError, RegistryError) as error:
            _log.error("the deletion of %s is recorded and not finished yet: %s", blake3, error)
            return False
        return True

    async def delete_file(self, namespace: str, name: str, *, if_match: Condition = None) -> None:
        """Tombstone a name: its versions no longer refer to their objects. ArtifactNotFoundError."""
        names.check_namespace(namespace)
        names.check_name(name)
        await self.registry.tombstone(namespace, name, if_match=if_match, actor=self._actor)

    async def recover(self) -> int:
        """Finish the deletions that a crash, or a failing disk, left between their event and their bytes' removal.

        The number that were finished; one whose bytes still cannot be removed is logged and left to the next start.
        """
        finished = 0
        for record in await self.registry.deleting():
            blake3 = record.identity.blake3
            async with self._locks.hold(blake3.value):
                if await self.registry.object(blake3) == record:
                    finished += await self._try_purge(record)
        return finished

    async def close(self) -> None:
        """Write what is still in memory, and give up the root. Idempotent."""
        release, self.release = self.release, None
        if release is not None:
            await release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def refuse_damaged(record: ObjectRecord) -> None:
    """ObjectDamagedError if the record is marked damaged: its bytes are never given out."""
    if record.state is ObjectState.DAMAGED:
        raise ObjectDamagedError(_damage(record.identity.blake3, record.damage))


def _damage(blake3: Digest, reason: str | None) -> str:
    return f"the stored copy of {blake3} is damaged ({reason or 'unknown'}); uploading the object again mends it"


def _verdict(record: ObjectRecord | None) -> Verdict:
    """What the registry's record of an object means for bytes that have just been staged."""
    if record is None or not record.state.present:
        # no event vouches for a copy that may lie there: an orphan, or bytes on their way out
        return Verdict(Publication.REPLACE)
    if record.state is ObjectState.DAMAGED:
        return Verdict(Publication.REPLACE, record.address)
    return Verdict(Publication.TRUST, record.address)
