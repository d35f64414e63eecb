"""Reading: what a download needs to know, and the bytes, from memory where they are known (`readcache`).

Theory of operation. A hot object is answered without the registry, without a thread and without the disk: its record,
the version it is read through and, if it is small, its content are in the cache. A small content is read whole and
digested before it is kept or given out, so that what memory serves is what the digest says, whatever the disk does
later. What is larger is opened each time, and its size compared with the record's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

from artifactstore.audit.retrievals import RetrievalRecorder
from artifactstore.content import HeldBytes, LocalContent, refuse_damaged
from artifactstore.dataplane.spi import DataPlane, ServedObject
from artifactstore.domain import names
from artifactstore.domain.artifact import Artifact, ObjectRecord
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import ArtifactNotFoundError, ObjectDamagedError, ObjectNotFoundError, RegistryError
from artifactstore.domain.ranges import ByteRange
from artifactstore.hashing import dual_digest
from artifactstore.lifecycle import ObjectLifecycle, damage
from artifactstore.readcache import CONTENT_BYTES, ReadCache
from artifactstore.registry.registry import Registry


class Reader:
    """The reading side of a store; one for all who act on a root."""

    def __init__(
        self,
        dataplane: DataPlane,
        registry: Registry,
        lifecycle: ObjectLifecycle,
        cache: ReadCache,
        retrievals: RetrievalRecorder | None,
    ) -> None:
        self._dataplane = dataplane
        self._registry = registry
        self._lifecycle = lifecycle
        self._cache = cache
        self._retrievals = retrievals

    async def record(self, digest: Digest) -> ObjectRecord:
        """The record of an object that is present; ObjectNotFoundError."""
        record = self._cache.record(digest)
        if record is None:
            with self._cache.filling() as fill:
                record = await self._registry.object(digest)
                if record is None or not record.state.present:
                    raise ObjectNotFoundError(f"there is no object {digest}")
                fill.keep_record(record)
        return record

    async def latest(self, namespace: str, name: str) -> Artifact:
        """The latest version of a name; ArtifactNotFoundError."""
        artifact = self._cache.latest(namespace, name)
        if artifact is None:
            names.check_namespace(namespace)
            names.check_name(name)
            with self._cache.filling() as fill:
                artifact = await self._registry.latest(namespace, name)
                if artifact is None:
                    raise ArtifactNotFoundError(f"there is no artifact {namespace}/{name}")
                fill.keep_version(artifact, latest=True)
        return artifact

    async def version(self, artifact_id: UUID) -> Artifact:
        """One version, by its id, whose content may be read; ArtifactNotFoundError when it is deleted, too."""
        artifact = self._cache.version(artifact_id)
        if artifact is None:
            with self._cache.filling() as fill:
                artifact = await self._registry.artifact(artifact_id)
                if artifact is None:
                    raise ArtifactNotFoundError(f"there is no artifact {artifact_id}")
                if artifact.deleted:
                    raise ArtifactNotFoundError(f"the artifact {artifact_id} is deleted")
                fill.keep_version(artifact, latest=False)
        return artifact

    async def open(
        self, record: ObjectRecord, byte_range: ByteRange | None, *, artifact_id: UUID | None, actor: str
    ) -> LocalContent:
        """The bytes of an object whose record is at hand, as `Store.open_record` says."""
        refuse_damaged(record)
        size = record.identity.size_bytes
        if byte_range is not None:
            byte_range.check_within(size)
        held = self._cache.content(record.identity.blake3)
        if held is None and size <= CONTENT_BYTES and self._cache.enabled:
            held = await self._small(record, actor)
        served: ServedObject
        if held is not None:
            served = HeldBytes(held, byte_range or ByteRange(0, size))
        else:
            served = await self._served(record, byte_range, actor)
        return LocalContent(record, served, self._note(record, artifact_id, actor), held)

    async def _small(self, record: ObjectRecord, actor: str) -> bytes:
        """A small object's content, read and digested, and kept."""
        async with await self._served(record, None, actor) as served:
            content = b"".join([chunk async for chunk in served.chunks()])
        if dual_digest(content).blake3 != record.identity.blake3.value:
            raise await self._missing(record, actor)
        self._cache.keep_content(record, content)
        return content

    async def _served(self, record: ObjectRecord, byte_range: ByteRange | None, actor: str) -> ServedObject:
        try:
            served = await self._dataplane.serve_object(record.address, byte_range)
        except ObjectNotFoundError:
            raise await self._missing(record, actor) from None
        except ValueError:
            served = None  # the stored copy ends before the range does
        if served is None or served.size_bytes != record.identity.size_bytes:
            if served is not None:
                await served.close()
            raise await self._missing(record, actor)
        return served

    def _note(self, record: ObjectRecord, artifact_id: UUID | None, actor: str) -> Callable[[int], None] | None:
        if self._retrievals is None:
            return None
        return partial(self._retrievals.note, record.identity.blake3, artifact_id, actor)

    async def _missing(self, record: ObjectRecord, actor: str) -> ObjectNotFoundError | ObjectDamagedError:
        """What to raise for a live record without a whole copy: verify under the lock, so that the mark is true."""
        blake3 = record.identity.blake3
        if self._retrievals is None:  # opened only for reading: it may look, and records nothing
            return ObjectDamagedError(f"the stored copy of {blake3} is missing or cut short")
        if self._registry.is_read_only:  # the writer beside this process looks, and records
            raise RegistryError(f"the stored copy of {blake3} is missing or cut short; only the writer may say so")
        _, found = await self._lifecycle.verify(blake3, actor=actor)
        if found.verified:  # mended meanwhile; the next attempt finds it
            return ObjectDamagedError(f"the stored copy of {blake3} was being mended; try again")
        return ObjectDamagedError(damage(blake3, found.reason))
