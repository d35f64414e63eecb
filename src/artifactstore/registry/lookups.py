"""Lookups of one row by its key: all that wait are answered together, by one hop to one thread.

A request asks for an object or a name before anything else, so many ask at the same time, and the rows are a few
microseconds away while the way to another thread and back is many times that. What waits is taken as a batch; the
thread begins a read transaction, runs a prepared statement for each, ends it, and hands all answers back. What is asked
meanwhile is the next batch. A batch's transaction begins after its last lookup was asked: it sees every commit that
somebody was told of before.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, literal_column, select

from artifactstore.cancellation import uninterrupted
from artifactstore.domain.artifact import Artifact, ObjectRecord
from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.domain.errors import RegistryError
from artifactstore.domain.once import KeptAnswer
from artifactstore.registry import answers
from artifactstore.registry.queries import OBJECT
from artifactstore.registry.rows import ObjectRow
from artifactstore.registry.schema import views
from artifactstore.registry.search import ARTIFACT, artifact_of
from artifactstore.registry.sqlite import failure, open_reader, prepared

#: Lookups a transaction, so that it stays short.
MAX_BATCH = 256

_objects, _claims, _names, _artifacts = views.objects.c, views.object_namespaces.c, views.names.c, views.artifacts.c

_BY_BLAKE3 = prepared(OBJECT.where(_objects.blake3 == bindparam("blake3")), "blake3")
_BY_SHA256 = prepared(OBJECT.where(_objects.sha256 == bindparam("sha256")), "sha256")
_CLAIM = prepared(
    select(literal_column("1")).where(
        _claims.blake3 == bindparam("blake3"), _claims.namespace == bindparam("namespace")
    ),
    "blake3",
    "namespace",
)
_ARTIFACT = prepared(ARTIFACT.where(_artifacts.id == bindparam("id")), "id")
_LATEST = prepared(
    ARTIFACT.where(
        _names.namespace == bindparam("namespace"),
        _names.name == bindparam("name"),
        _names.latest_version > _names.tombstoned_through,
        _artifacts.version == _names.latest_version,
    ),
    "namespace",
    "name",
)

type Row = tuple[Any, ...]
type _Waiting = tuple[Lookup[Any], asyncio.Future[Any]]


@dataclass(frozen=True, slots=True)
class Lookup[T]:
    """A prepared statement that finds one row at most, and what that row, or None, says."""

    statement: str
    key: tuple[str | bytes, ...]
    read: Callable[[Row | None], T]


def object_of(digest: Digest) -> Lookup[ObjectRecord | None]:
    """An object in any state, by either digest."""
    return Lookup(_BY_BLAKE3 if digest.algorithm is Algorithm.BLAKE3 else _BY_SHA256, (digest.value,), _object)


def claimed(blake3: Digest, namespace: str) -> Lookup[bool]:
    """Whether a bare upload to the namespace stored the object, since it was last deleted."""
    return Lookup(_CLAIM, (blake3.value, namespace), lambda row: row is not None)


def artifact(artifact_id: UUID) -> Lookup[Artifact | None]:
    """One artifact, deleted ones included."""
    return Lookup(_ARTIFACT, (artifact_id.bytes,), _artifact)


def latest(namespace: str, name: str) -> Lookup[Artifact | None]:
    """The latest version of a name; None when it is tombstoned or was never there."""
    return Lookup(_LATEST, (namespace, name), _artifact)


def kept_answer(actor: str, key: str) -> Lookup[KeptAnswer | None]:
    """What a request under an idempotency key was answered, however long ago."""
    return Lookup(answers.FIND, (actor, key), lambda row: None if row is None else KeptAnswer(*row))


def _object(row: Row | None) -> ObjectRecord | None:
    return None if row is None else ObjectRow(*row).record()


def _artifact(row: Row | None) -> Artifact | None:
    return None if row is None else artifact_of(row)


class Lookups:
    """Answers lookups from a database file. The connection, and its thread, are made by the first one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-lookups")
        self._connection: sqlite3.Connection | None = None  # the thread's
        self._waiting: list[_Waiting] = []
        self._answering: asyncio.Task[None] | None = None
        self._closed = False

    async def ask[T](self, lookup: Lookup[T]) -> T:
        """The answer, as of now or later. A waiter that is cancelled leaves the others theirs."""
        if self._closed:
            raise RegistryError("the registry is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append((lookup, future))
        if self._answering is None or self._answering.done():
            self._answering = asyncio.create_task(self._answer_waiting(), name="log-lookups")
        return await future

    async def close(self) -> None:
        """Answer what waits, then close the connection. Idempotent."""
        if not self._closed:
            self._closed = True
            await uninterrupted(self._close())

    async def _close(self) -> None:
        if self._answering is not None:
            await asyncio.wait([self._answering])
        await asyncio.get_running_loop().run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    async def _answer_waiting(self) -> None:
        while self._waiting:
            batch = [waiting for waiting in self._waiting[:MAX_BATCH] if not waiting[1].done()]
            del self._waiting[:MAX_BATCH]
            lookups = [lookup for lookup, _ in batch]
            answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._answers, lookups)
            for (_, future), answer in zip(batch, answers, strict=True):
                if future.done():
                    continue
                if isinstance(answer, Exception):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)

    # --- on the thread ----------------------------------------------------------------------------------------------

    def _answers(self, lookups: Sequence[Lookup[Any]]) -> list[Any]:
        """An answer, or the error in its place, for each lookup, all of one moment."""
        try:
            if self._connection is None:
                self._connection = open_reader(self._file)
            self._connection.execute("BEGIN")
            try:
                return [_answer(self._connection, lookup) for lookup in lookups]
            finally:
                self._connection.rollback()
        except Exception as error:
            self._disconnect()  # the next batch tries with a new one
            return [failure(error)] * len(lookups)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _answer(connection: sqlite3.Connection, lookup: Lookup[Any]) -> Any:
    try:
        return lookup.read(connection.execute(lookup.statement, lookup.key).fetchone())
    except Exception as error:
        return failure(error)
