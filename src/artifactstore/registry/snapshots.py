"""The database as of one moment, in a file of its own that nobody writes. Blocking.

It is taken with SQLite's online backup, in one read transaction: appending goes on meanwhile, and what it appends is
not in the copy. Until it is taken the write-ahead log of the live database cannot begin anew, and grows.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from sqlalchemy import StaticPool, create_engine, func, select

from artifactstore.domain.artifact import ObjectRecord, ObjectState
from artifactstore.domain.digest import Algorithm
from artifactstore.domain.errors import RegistryError, StorageFullError
from artifactstore.registry import migration, queries
from artifactstore.registry.rows import ObjectRow
from artifactstore.registry.schema import LOG_ID, views
from artifactstore.registry.schema import events as log
from artifactstore.registry.sqlite import DATABASE_ERRORS, failure, is_full, open_reader

_PAGE = 1000
_objects = views.objects.c
_PRESENT = _objects.state.in_([state.value for state in ObjectState if state.present])


def take(database: Path, file: Path) -> None:
    """Copy a database that may be in use into a new file, synced. RegistryError, StorageFullError."""
    try:
        with closing(open_reader(database)) as live, closing(sqlite3.connect(file, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous=OFF")  # synced below, once
            live.backup(copy)  # all pages in one step: in several, each commit would make it begin again
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, which can be read from a medium that is read-only
        _sync(file)
    except (sqlite3.Error, OSError) as error:
        if is_full(error):
            raise StorageFullError(f"there is no space for a copy of the event log in {file.parent}") from error
        raise failure(error) from error


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Snapshot:
    """A database that `take` made. SchemaTooNewError, SchemaTooOldError: it is of another version's schema."""

    def __init__(self, file: Path) -> None:
        address = f"file:{quote(str(file.absolute()))}?immutable=1"
        connection = sqlite3.connect(address, uri=True, isolation_level=None, check_same_thread=False)
        self._engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
        self._connection = self._engine.connect()
        try:
            migration.check_current(self._connection)
            log_id = migration.meta_value(self._connection, LOG_ID)
            self.seq = queries.head(self._connection)
            folded = migration.views_seq(self._connection)
        except DATABASE_ERRORS as error:
            self.close()
            raise failure(error) from error
        except BaseException:
            self.close()
            raise
        if log_id is None or folded != self.seq:
            self.close()
            raise RegistryError(f"the views of {file} are folded up to event {folded} of {self.seq}")
        #: What tells this log from every other.
        self.log_id = log_id

    def leaf(self, seq: int) -> str | None:
        """The leaf of an event, in hex; None if there is no such event."""
        found = self._connection.scalar(select(log.c.leaf).where(log.c.seq == seq))
        return None if found is None else bytes(found).hex()

    def volume(self) -> tuple[int, int]:
        """How many objects are there, and their bytes in sum."""
        count, size = self._connection.execute(
            select(func.count(), func.coalesce(func.sum(_objects.size_bytes), 0)).where(_PRESENT)
        ).one()
        return int(count), int(size)

    def objects(self) -> Iterator[ObjectRecord]:
        """The objects that are there, damaged ones included."""
        after, more = b"", True
        while more:
            page = self._connection.execute(
                queries.OBJECT.where(_objects.blake3 > after, _PRESENT).order_by(_objects.blake3).limit(_PAGE)
            ).all()
            yield from (ObjectRow(*row).record() for row in page)
            more = len(page) == _PAGE
            after = page[-1].blake3 if page else after

    def addresses(self, algorithm: Algorithm, shard: int) -> set[str]:
        """The digests, in hex, that objects are kept under in one directory: those that begin with this byte."""
        column = _objects[algorithm.value]
        statement = select(column).where(
            column >= bytes([shard]), _objects.primary_algorithm == algorithm.value, _PRESENT
        )
        if shard < 255:
            statement = statement.where(column < bytes([shard + 1]))
        return {bytes(found).hex() for found in self._connection.scalars(statement)}

    def close(self) -> None:
        """Close the file. Idempotent."""
        self._connection.close()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
