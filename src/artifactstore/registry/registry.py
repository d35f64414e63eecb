"""The registry's face: commands that record facts, queries that answer from the views."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Self
from uuid import UUID

from sqlalchemy import Connection
from uuid_utils.compat import uuid7

from artifactstore.cancellation import obtained, uninterrupted
from artifactstore.domain.artifact import Artifact, ArtifactMetadata, ObjectRecord, Retrievals
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import ArtifactStoreError, LogCorruptError, ObjectNotFoundError, RegistryError
from artifactstore.domain.once import KeptAnswer, Once
from artifactstore.domain.usage import Quota
from artifactstore.registry import commands, lookups, migration, queries, rebuilding, search
from artifactstore.registry.answers import DEFAULT_WINDOW, Answers
from artifactstore.registry.catalog import Catalog
from artifactstore.registry.commands import Condition
from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.events import ObjectDamaged
from artifactstore.registry.log import Clock, Command, EventLog, utc_now
from artifactstore.registry.lookups import Lookups
from artifactstore.registry.rebuilding import Progress
from artifactstore.registry.reserve import DEFAULT_RESERVE_BYTES, Reserve
from artifactstore.registry.schema import LOG_ID, VIEWS_VERSION, VIEWS_VERSION_KEY, views
from artifactstore.registry.search import ArtifactQuery, Page
from artifactstore.registry.sqlite import (
    DATABASE_ERRORS,
    Readers,
    Writer,
    failure,
    is_full,
    open_readers,
    open_writer,
    wal_precaution,
)
from artifactstore.registry.statistics import AppendStatistics, UploadStatistics
from artifactstore.registry.verification import Difference, Verifier
from artifactstore.registry.views import Views
from artifactstore.storage.durability import sync_directory

_PAGE = 1000
_DEFAULT_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RegistryHealth:
    """Whether the log can be read, and how far it and the views are."""

    healthy: bool
    head: int
    views_seq: int
    detail: str | None = None


class Registry(Catalog):
    """The event log and its views in one directory. Make one by `open`."""

    def __init__(
        self, readers: Readers, point_lookups: Lookups, log_id: str, writer: Writer | None, log: EventLog | None
    ) -> None:
        self._readers = readers
        self._lookups = point_lookups
        self._log_id = log_id
        self._writer = writer  # None, and so the log: opened only for reading
        self._log = log
        #: What is counted for whoever observes.
        self.appends = AppendStatistics() if log is None else log.statistics
        self.uploads = UploadStatistics()
        self._rebuilding = asyncio.Lock()

    @classmethod
    async def open(
        cls,
        directory: Path,
        *,
        reserve: Path | None,
        read_only: bool = False,
        reserve_bytes: int = DEFAULT_RESERVE_BYTES,
        log: logging.Logger = _DEFAULT_LOG,
        clock: Clock = utc_now,
        answers_kept: timedelta = DEFAULT_WINDOW,
    ) -> Self:
        """Open the registry of `directory`, and make or migrate it unless `read_only`.

        The caller sees to it that one process at most opens a directory for writing. SchemaTooNewError: a later
        version wrote it. SchemaTooOldError: it is to be made or migrated, and this opening may only read. The space
        of `reserve`, a file's path, is kept for deletions on a full disk; None keeps none.
        """
        file = directory / migration.DATABASE_FILE
        if read_only:
            if not await asyncio.to_thread(file.is_file):
                raise migration.SchemaTooOldError(f"there is no event log in {directory} yet")
            return await cls._open_readers(file, None, None)
        kept = None if reserve is None else Reserve(reserve, reserve_bytes)
        try:
            writer = await obtained(asyncio.to_thread(_prepared_writer, file, kept, log), Writer.close)
        except (*DATABASE_ERRORS, OSError) as error:
            raise failure(error) from error
        if (precaution := wal_precaution()) is not None:
            log.info("%s", precaution)
        try:
            log_id = await writer.run(_log_id)
            if not await writer.run(_views_are_current):
                log.info("folding the event log into its views")
                await rebuilding.rebuild(writer, log_id)
            head = await writer.run(queries.head)
        except BaseException as error:
            await uninterrupted(writer.close())
            if isinstance(error, DATABASE_ERRORS):
                raise failure(error) from error
            raise
        answers = Answers(answers_kept)
        appender = EventLog(
            *(writer, _live_views()), log_id=log_id, head=head, reserve=kept, log=log, clock=clock, answers=answers
        )
        return await cls._open_readers(file, writer, appender)

    @classmethod
    async def _open_readers(cls, file: Path, writer: Writer | None, log: EventLog | None) -> Self:
        readers = open_readers(file)
        try:
            if writer is None:
                await readers.run(migration.check_current)
                await readers.run(_views_are_current)
            return cls(readers, Lookups(file), await readers.run(_log_id), writer, log)
        except BaseException:
            await uninterrupted(_close((readers,), writer, log))
            raise

    async def close(self) -> None:
        """Record what waits, let a rebuild end, then close the files, whoever is cancelled meanwhile. Idempotent."""
        log, self._log = self._log, None
        writer, self._writer = self._writer, None
        await uninterrupted(self._close(writer, log))

    async def _close(self, writer: Writer | None, log: EventLog | None) -> None:
        async with self._rebuilding:
            await _close((self._readers, self._lookups), writer, log)

    @property
    def is_read_only(self) -> bool:
        """Whether it was opened only for reading, or is closed."""
        return self._log is None

    @property
    def log_id(self) -> str:
        """What tells this log from every other: a part of each leaf."""
        return self._log_id

    # --- commands: waited for to their end, since what they record is recorded, whoever is cancelled meanwhile --------

    async def record_object(
        self,
        identity: ObjectIdentity,
        *,
        backend_id: str,
        primary_algorithm: Algorithm,
        namespace: str,
        mended: bool = False,
        quota: Quota | None = None,
        actor: str,
        once: Once[tuple[ObjectRecord, bool]] | None = None,
    ) -> tuple[ObjectRecord, bool]:
        """Record a bare upload whose bytes are durable; the object, and whether it is new.

        `mended`: they replaced a copy that an event vouched for. Nothing is recorded that is known already.
        QuotaExceededError: the namespace has no room for it.
        """
        upload = commands.Upload(identity, backend_id, primary_algorithm, mended)
        return self.uploads.counted(await self._append(commands.RecordObject(upload, namespace, quota), actor, once))

    async def record_artifact(
        self,
        identity: ObjectIdentity,
        *,
        backend_id: str,
        primary_algorithm: Algorithm,
        namespace: str,
        name: str,
        metadata: ArtifactMetadata,
        create_only: bool = False,
        if_match: Condition = None,
        mended: bool = False,
        quota: Quota | None = None,
        actor: str,
        once: Once[tuple[Artifact, bool]] | None = None,
    ) -> tuple[Artifact, bool]:
        """Record durable bytes as the next version of a name; the artifact, and whether its object is new.

        PreconditionFailedError: `create_only` and the name has a live version, or `if_match` lacks its BLAKE3 digest.
        QuotaExceededError: the namespace has no room for it.
        """
        upload = commands.Upload(identity, backend_id, primary_algorithm, mended)
        command = commands.RecordArtifact(upload, uuid7(), namespace, name, metadata, create_only, if_match, quota)
        return self.uploads.counted(await self._append(command, actor, once))

    async def mark_damaged(
        self,
        blake3: Digest,
        *,
        reason: str,
        actual: tuple[Digest | None, Digest | None],
        size_bytes: int | None,
        actor: str,
    ) -> ObjectRecord:
        """Record that the stored copy is missing or different: `actual` are the digests it has, BLAKE3 first."""
        return await self._append(commands.MarkDamaged(ObjectDamaged(blake3, reason, *actual, size_bytes)), actor)

    async def mark_sound(self, blake3: Digest, *, actor: str) -> ObjectRecord:
        """Record that the stored copy of a damaged object was found whole."""
        return await self._append(commands.MarkSound(blake3), actor)

    async def delete_object(self, digest: Digest, *, actor: str) -> ObjectRecord:
        """Decide an object's deletion, by either digest; its bytes may be removed after this.

        ObjectNotFoundError; ObjectInUseError while a version that is not tombstoned refers to it.
        """
        blake3 = digest
        if digest.algorithm is not Algorithm.BLAKE3:
            record = await self.object(digest)
            if record is None:
                raise ObjectNotFoundError(f"there is no object {digest}")
            blake3 = record.identity.blake3
        return await self._append(commands.DeleteObject(blake3), actor)

    async def purge_object(self, blake3: Digest, *, actor: str) -> None:
        """Record that the bytes of a deleted object are gone; nothing if it is not being deleted."""
        await self._append(commands.PurgeObject(blake3), actor)

    async def tombstone(self, namespace: str, name: str, *, if_match: Condition = None, actor: str) -> int:
        """Delete all versions of a name; the last version deleted. ArtifactNotFoundError, PreconditionFailedError."""
        return await self._append(commands.Tombstone(namespace, name, if_match), actor)

    async def record_retrievals(self, entries: Sequence[Retrievals], *, actor: str) -> None:
        """Record downloads, summed, as one event."""
        await self._append(commands.RecordRetrievals(tuple(entries)), actor)

    async def _append[T](self, command: Command[T], actor: str, once: Once[T] | None = None) -> T:
        if self._log is None:
            raise RegistryError("the registry is open only for reading, or is closed")
        return (await uninterrupted(self._log.submit(command, actor=actor, once=once))).answer

    # --- queries ----------------------------------------------------------------------------------------------------

    async def check_preconditions(
        self, namespace: str, name: str, *, create_only: bool = False, if_match: Condition = None
    ) -> None:
        """Refuse early what `record_artifact` would refuse now; it checks again."""
        found = await self.latest(namespace, name)
        latest = None if found is None else found.identity.blake3
        commands.check_condition(latest, create_only=create_only, if_match=if_match)

    async def kept_answer(self, actor: str, key: str) -> KeptAnswer | None:
        """What a request under an idempotency key was answered; None if there was none, or it is too long ago."""
        kept = await self._lookups.ask(lookups.kept_answer(actor, key))
        return kept if kept is not None and self._log is not None and self._log.counts(kept) else None

    async def object(self, digest: Digest) -> ObjectRecord | None:
        """An object in any state, by either digest."""
        return await self._lookups.ask(lookups.object_of(digest))

    async def object_claimed(self, blake3: Digest, namespace: str) -> bool:
        """Whether a bare upload to the namespace stored the object, since it was last deleted."""
        return await self._lookups.ask(lookups.claimed(blake3, namespace))

    async def artifact(self, artifact_id: UUID) -> Artifact | None:
        """One artifact, deleted ones included."""
        return await self._lookups.ask(lookups.artifact(artifact_id))

    async def latest(self, namespace: str, name: str) -> Artifact | None:
        """The latest version of a name; None when it is tombstoned or was never there."""
        return await self._lookups.ask(lookups.latest(namespace, name))

    async def artifacts(self, query: ArtifactQuery) -> Page:
        """A page of artifacts, in the order of namespace, name, version. InvalidQueryError."""
        return await self._readers.run(partial(search.artifacts, query=query))

    async def events(self, after: int = 0, limit: int = 100) -> list[RecordedEvent]:
        """The log in order, from the event after `after`."""
        return await self._readers.run(partial(queries.events, after=after, limit=limit))

    async def retrievals(
        self,
        *,
        artifact_id: UUID | None = None,
        blake3: Digest | None = None,
        limit: int = _PAGE,
        after: tuple[str, str] | None = None,
    ) -> list[Retrievals]:
        """Downloads of an artifact, or of an object by whatever address, summed by minute and actor, in that order.

        `after` is the minute and the actor of the last row of the page before.
        """
        return await self._readers.run(
            partial(queries.retrievals, artifact_id=artifact_id, blake3=blake3, limit=limit, after=after)
        )

    async def deleting(self) -> list[ObjectRecord]:
        """All objects whose deletion is recorded and whose bytes may remain."""
        found: list[ObjectRecord] = []
        after = b""
        while page := await self._readers.run(partial(queries.deleting, after=after, limit=_PAGE)):
            found += page
            after = page[-1].identity.blake3.value
        return found

    async def head(self) -> int:
        """The number of the last event; 0 of an empty log."""
        return await self._readers.run(queries.head)

    async def wal_bytes(self) -> int:
        """The size of the file in which commits wait for a checkpoint."""
        return await asyncio.to_thread(self._readers.wal_bytes)

    async def health(self) -> RegistryHealth:
        """Whether the log can be read and the views are as far as it is. Never raises."""
        try:
            head, folded = await self._readers.run(_positions)
        except ArtifactStoreError as error:
            return RegistryHealth(False, 0, 0, str(error))
        if head != folded:
            return RegistryHealth(False, head, folded, f"the views are at event {folded}, the log is at {head}")
        return RegistryHealth(True, head, folded)

    # --- the whole log ----------------------------------------------------------------------------------------------

    async def rebuild(self, progress: Progress | None = None) -> int:
        """Check the log and fold it into new views, while appending goes on; the number of events.

        Whatever breaks it off leaves the views as they were. LogCorruptError, UnknownEventError.
        """
        async with self._rebuilding:
            if self._writer is None:
                raise RegistryError("the registry is open only for reading, or is closed")
            try:
                return await rebuilding.rebuild(self._writer, self._log_id, progress)
            except DATABASE_ERRORS as error:
                raise failure(error) from error

    async def verify_views(self, progress: Progress | None = None) -> Difference | None:
        """Check the log, and compare the views with what it folds into; the first difference. Changes nothing."""
        try:
            return await Verifier(self._readers, self._log_id, progress).run()
        except DATABASE_ERRORS as error:
            raise failure(error) from error


async def _close(readers: Sequence[Readers | Lookups], writer: Writer | None, log: EventLog | None) -> None:
    """Each, whatever becomes of the others; the writer last, since it checkpoints."""
    async with AsyncExitStack() as stack:
        if writer is not None:
            stack.push_async_callback(writer.close)
        for reader in readers:
            stack.push_async_callback(reader.close)
        if log is not None:
            stack.push_async_callback(log.close)


@cache
def _live_views() -> Views:
    """Prepared once, however many roots a process opens."""
    return Views(views)


def _prepared_writer(file: Path, reserve: Reserve | None, log: logging.Logger) -> Writer:
    """The writer of a database that is there, of this code's revision, and durable by name. Blocking."""
    try:
        writer = _current_writer(file)
    except Exception as error:  # the shared index beside the WAL has to be made before anything can be deleted
        if reserve is None or not is_full(error) or not reserve.release():
            raise
        log.warning("the disk is full: the event log's reserve was given up so that it can be opened")
        return _current_writer(file)  # without a reserve: to take it back at once would leave no space to go on
    if reserve is not None and not reserve.fill():
        log.warning("there is no space for the event log's reserve: only what frees space is recorded until there is")
    return writer


def _current_writer(file: Path) -> Writer:
    file.parent.mkdir(parents=True, exist_ok=True)
    writer = open_writer(file)
    try:
        migration.upgrade(writer.engine)
        sync_directory(file.parent)
    except BaseException:
        writer.engine.dispose()
        raise
    return writer


def _log_id(connection: Connection) -> str:
    found = migration.meta_value(connection, LOG_ID)
    if found is None:
        raise RegistryError("the event log has lost its id")
    return found


def _positions(connection: Connection) -> tuple[int, int]:
    return queries.head(connection), migration.views_seq(connection)


def _views_are_current(connection: Connection) -> bool:
    head, folded = _positions(connection)
    if folded > head:
        raise LogCorruptError(
            f"the event log ends at event {head} and its views at event {folded}: "
            "events were lost; restore the log from a backup"
        )
    return head == folded and migration.meta_value(connection, VIEWS_VERSION_KEY) == str(VIEWS_VERSION)
