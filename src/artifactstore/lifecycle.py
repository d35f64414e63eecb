"""What changes an object: publication, mending, the marks of a verification, deletion. All under the object's lock.

Theory of operation. An upload streams through the data plane; when its digests are known, the gate below takes the
object's lock, asks the registry whether an event vouches for the stored copy, and tells the data plane whether to keep,
replace or trust what lies there. The lock is given up after the event is committed. A deletion takes the same lock,
commits its event, then removes the bytes, then commits that they are gone; `recover` finishes what a crash left
between those steps. While a backup keeps the bytes, their removal is put off, and tried again until it is over. So an
event never names bytes that are not durable, and no upload loses its bytes to a deletion (design, invariants 1, 2, 3, 6
and 7). Whatever is decided here is decided by the registry's answer; what readers keep in memory of an object
(`readcache`) is forgotten after each event on it, before anybody is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context

from artifactstore.cancellation import uninterrupted
from artifactstore.dataplane.exclusion import Hold, ObjectLocks
from artifactstore.dataplane.spi import (
    DataPlane,
    IngestHints,
    IngestResult,
    Publication,
    Stream,
    Verdict,
    VerifyResult,
)
from artifactstore.domain.artifact import ObjectRecord, ObjectState
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import (
    BytesKeptError,
    DigestMismatchError,
    ObjectNotFoundError,
    RegistryError,
    StorageError,
    UnreadableCopyError,
)
from artifactstore.domain.usage import Quota
from artifactstore.readcache import ReadCache
from artifactstore.registry.registry import Registry

#: Between two looks whether a backup is over.
KEPT_SECONDS = 5.0

_log = logging.getLogger(__name__)

#: Is asked once the bytes are known and before they are published; it refuses by raising.
type Admission = Callable[[ObjectIdentity], Awaitable[None]]
#: Records bytes that are published.
type Recording[T] = Callable[[IngestResult], Awaitable[T]]


class ObjectLifecycle:
    """The protocols that join bytes and facts. One for all who act on a root, since the locks are its."""

    def __init__(self, dataplane: DataPlane, registry: Registry, cache: ReadCache) -> None:
        self._dataplane = dataplane
        self._registry = registry
        self._cache = cache
        self.locks = ObjectLocks()
        self._closing = asyncio.Event()
        self._retrying: asyncio.Task[None] | None = None
        self._waits_for_backup = False  # since a deletion was put off

    async def ingest[T](
        self,
        stream: Stream,
        hints: IngestHints,
        expected: Sequence[Digest],
        *,
        admit: Admission | None,
        record: Recording[T],
        actor: str,
    ) -> T:
        """Publish the bytes, and hold the object's lock until `record` has recorded them; what that gives.

        DigestMismatchError, with nothing stored, unless each of `expected` is a digest of them; nothing is stored
        either when `admit` refuses them.
        """
        held: Hold | None = None

        async def gate(identity: ObjectIdentity) -> Verdict:
            nonlocal held
            for digest in expected:
                if not identity.matches(digest):
                    actual = identity.digest(digest.algorithm)
                    raise DigestMismatchError(f"{digest} was announced; the bytes received are {actual}")
            if admit is not None:
                await admit(identity)
            hold = self.locks.hold(identity.blake3.value)
            await hold.acquire()
            held = hold
            return _verdict(await self._looked_at(identity, actor))

        try:
            result = await self._dataplane.ingest_stream(stream, hints, gate=gate)
            try:
                return await record(result)
            finally:
                self._cache.forget_object(result.blake3_digest)
        finally:
            if held is not None:
                held.release()

    async def _looked_at(self, identity: ObjectIdentity, actor: str) -> ObjectRecord | None:
        """The object's record, under its lock. A copy that is missing or cut short is marked before it is replaced.

        Were it replaced first and the replacement not synced, the next upload would trust it by its size.
        """
        record = await self._registry.object(identity.blake3)
        if record is None or record.state is not ObjectState.LIVE:
            return record
        size, reason = await self._stored_size(record)
        if reason is None:
            return record
        _log.error("%s", damage(identity.blake3, reason))
        with self._forgetting(identity.blake3):
            return await self._registry.mark_damaged(
                identity.blake3, reason=reason, actual=(None, None), size_bytes=size, actor=actor
            )

    @contextmanager
    def _forgetting(self, blake3: Digest) -> Iterator[None]:
        """For committing an event on an object: what was read of it before is forgotten, however that ends."""
        try:
            yield
        finally:
            self._cache.forget_object(blake3)

    async def _stored_size(self, record: ObjectRecord) -> tuple[int | None, str | None]:
        """The size of the stored copy, and what is wrong with it as far as its size tells."""
        try:
            async with await self._dataplane.serve_object(record.address) as served:
                size = served.size_bytes
        except ObjectNotFoundError:
            return None, "missing"
        except UnreadableCopyError:
            return None, "unreadable"
        return size, None if size == record.identity.size_bytes else "digest-mismatch"

    async def claim(self, known: ObjectRecord, namespace: str, quota: Quota | None, *, actor: str) -> bool:
        """Record an upload of a live object to `namespace` without its bytes; False if they are needed after all.

        QuotaExceededError.
        """
        return await uninterrupted(self._claim(known, namespace, quota, actor))

    async def _claim(self, known: ObjectRecord, namespace: str, quota: Quota | None, actor: str) -> bool:
        blake3 = known.identity.blake3
        async with self.locks.hold(blake3.value):
            record = await self._registry.object(blake3)
            if record != known:  # deleted, or found damaged, while this waited
                return False
            _, wrong = await self._stored_size(record)
            if wrong is not None:
                return False
            await self._registry.record_object(
                record.identity,
                backend_id=record.backend_id,
                primary_algorithm=record.primary_algorithm,
                namespace=namespace,
                quota=quota,
                actor=actor,
            )
        return True

    async def verify(self, digest: Digest, *, actor: str, record: bool = True) -> tuple[ObjectRecord, VerifyResult]:
        """Re-read an object and digest it again. A failure is recorded, and so is a damaged object found sound.

        `record=False`: nothing is. ObjectNotFoundError.
        """
        known = await self._registry.object(digest)
        if known is None or not known.state.present:
            raise ObjectNotFoundError(f"there is no object {digest}")
        result = await self._dataplane.verify_object(known.address)
        expected = ObjectState.LIVE if result.verified else ObjectState.DAMAGED
        if record and known.state is not expected:
            # again under the lock, since an upload may have mended it meanwhile
            result = await uninterrupted(self._record_verification(known, actor))
        return known, result

    async def _record_verification(self, record: ObjectRecord, actor: str) -> VerifyResult:
        blake3 = record.identity.blake3
        async with self.locks.hold(blake3.value):
            now = await self._registry.object(blake3)
            if now is None or not now.state.present:
                raise ObjectNotFoundError(f"there is no object {blake3}")
            result = await self._dataplane.verify_object(now.address)
            with self._forgetting(blake3):
                await self._record_outcome(blake3, result, actor)
        return result

    async def _record_outcome(self, blake3: Digest, result: VerifyResult, actor: str) -> None:
        if result.verified:
            await self._registry.mark_sound(blake3, actor=actor)
            return
        _log.error("%s", damage(blake3, result.reason))
        await self._registry.mark_damaged(
            blake3,
            reason=result.reason or "unknown",
            actual=(result.actual_blake3, result.actual_sha256),
            size_bytes=result.size_bytes,
            actor=actor,
        )

    async def delete(self, blake3: Digest, *, actor: str) -> None:
        """Delete an object: the event first, then the bytes. ObjectNotFoundError, ObjectInUseError."""
        await uninterrupted(self._delete(blake3, actor))

    async def _delete(self, blake3: Digest, actor: str) -> None:
        async with self.locks.hold(blake3.value):
            with self._forgetting(blake3):  # before its bytes go
                record = await self._registry.delete_object(blake3, actor=actor)
            await self._try_purge(record, actor)

    async def _try_purge(self, record: ObjectRecord, actor: str) -> bool:
        """Remove the bytes of a recorded deletion, and record that; False: `recover` tries again, at the next start at
        the latest.
        """
        blake3 = record.identity.blake3
        try:
            await self._dataplane.delete_object(record.address)
            await self._registry.purge_object(blake3, actor=actor)
        except BytesKeptError:
            self._put_off(actor)
            return False
        except (StorageError, RegistryError) as error:
            _log.error("the deletion of %s is recorded and not finished yet: %s", blake3, error)
            return False
        return True

    def _put_off(self, actor: str) -> None:
        self._waits_for_backup = True
        if self._retrying is None and not self._closing.is_set():
            _log.info("a backup is made: the bytes of what is deleted meanwhile are removed when it is over")
            self._retrying = asyncio.get_running_loop().create_task(
                self._recover_when_over(actor), name="deletions", context=Context()
            )

    async def _recover_when_over(self, actor: str) -> None:
        while self._waits_for_backup and not self._closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), KEPT_SECONDS)
            try:
                await self.recover(actor=actor)
            except (StorageError, RegistryError) as error:
                _log.error("deletions that a backup has put off are not finished yet: %s", error)
        self._retrying = None

    async def close(self) -> None:
        """Wait no longer for a backup's end; what is still put off is the next start's. Idempotent."""
        self._closing.set()
        if self._retrying is not None:
            await asyncio.wait({self._retrying})

    async def recover(self, *, actor: str) -> int:
        """Finish the deletions that a crash, or a failing disk, left between their event and their bytes' removal.

        The number that were finished; one whose bytes still cannot be removed is logged and left to the next start.
        """
        finished = 0
        self._waits_for_backup = False
        for record in await self._registry.deleting():
            if self._waits_for_backup or self._closing.is_set():  # as all the others would find out
                break
            blake3 = record.identity.blake3
            async with self.locks.hold(blake3.value):
                if await self._registry.object(blake3) == record:
                    finished += await self._try_purge(record, actor)
        return finished


def damage(blake3: Digest, reason: str | None) -> str:
    """What there is to say of a damaged object."""
    return f"the stored copy of {blake3} is damaged ({reason or 'unknown'}); uploading the object again mends it"


def _verdict(record: ObjectRecord | None) -> Verdict:
    """What the registry's record of an object means for bytes that have just been staged."""
    if record is None or not record.state.present:
        # no event vouches for a copy that may lie there: an orphan, or bytes on their way out
        return Verdict(Publication.REPLACE)
    if record.state is ObjectState.DAMAGED:
        return Verdict(Publication.REPLACE, record.address)
    return Verdict(Publication.TRUST, record.address)
