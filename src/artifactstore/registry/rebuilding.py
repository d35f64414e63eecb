"""Folding the log from its beginning into fresh tables, which then take the place of the views.

The shadow tables grow in batches, each a short transaction, while appending goes on. One last transaction folds what
came meanwhile, drops the views and renames the shadows: whenever this is broken off, there are the old views or the
new ones, each with the `meta` row that is true of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache

from sqlalchemy import Connection, MetaData, delete, insert, inspect, text
from sqlalchemy.schema import CreateIndex, CreateTable, DropIndex, DropTable

from artifactstore.cancellation import uninterrupted
from artifactstore.domain.errors import LogCorruptError
from artifactstore.registry import queries
from artifactstore.registry.envelope import RecordedEvent, check
from artifactstore.registry.schema import (
    VIEWS_SEQ_KEY,
    VIEWS_VERSION,
    VIEWS_VERSION_KEY,
    ViewTables,
    meta,
)
from artifactstore.registry.schema import views as live
from artifactstore.registry.sqlite import Writer, driver
from artifactstore.registry.views import Views

#: Events per transaction: some ten milliseconds, which an append may have to wait.
BATCH = 500

type Progress = Callable[[int, int], None]  # events done, events in all


@cache
def _shadow_views() -> Views:
    """Prepared once: that takes longer than to fold a short log."""
    return Views(ViewTables(MetaData(), "shadow_"))


class Shadow:
    """Views that are folded from event 1 on, in tables of their own; `seq` is how far they are."""

    def __init__(self, log_id: str) -> None:
        self._log_id = log_id
        self.seq = 0
        self._views = _shadow_views()
        self.tables = self._views.tables

    def create(self, connection: Connection) -> None:
        """Make the empty tables, in place of what a rebuild that was broken off has left."""
        self.drop(connection)
        for table in self.tables.all():
            connection.execute(CreateTable(table))
        for index in self.tables.fold_indexes:
            connection.execute(CreateIndex(index))

    def drop(self, connection: Connection) -> None:
        """Remove the tables, if they are there."""
        there = set(inspect(connection).get_table_names())
        for table in self.tables.all():
            if table.name in there:
                connection.execute(DropTable(table))

    def read(self, source: Connection, *, until: int | None = None) -> list[RecordedEvent]:
        """The next events, at most BATCH and a page, checked: each in its place, with its own leaf. LogCorruptError."""
        limit = BATCH if until is None else min(BATCH, until - self.seq)
        recorded = queries.events(source, self.seq, limit)
        for number, item in enumerate(recorded, self.seq + 1):
            check(self._log_id, number, item)
        return recorded

    def fold(self, target: Connection, recorded: Sequence[RecordedEvent]) -> None:
        """Fold them into the tables; the caller moves `seq` when that is committed. UnknownEventError."""
        try:
            self._views.fold(driver(target), recorded)
        except sqlite3.IntegrityError as error:  # what the fold does not look for: an artifact's id that stands twice
            first, last = recorded[0].seq, recorded[-1].seq
            raise LogCorruptError(f"one of the events {first} to {last} cannot follow: {error}") from error


async def rebuild(writer: Writer, log_id: str, progress: Progress | None = None) -> int:
    """Replace the views by what the log says; the number of events folded. Raises, with the views as they were."""
    shadow = Shadow(log_id)
    await writer.run(lambda connection: _in_transaction(connection, shadow.create))
    try:
        more = True
        while more:
            done, total = await writer.run(lambda connection: _step(connection, shadow))
            more = total - done > BATCH
            if progress is not None:
                progress(done, total)
        done = await writer.run(lambda connection: _replace(connection, shadow))
    except BaseException as error:
        try:
            await uninterrupted(writer.run(lambda connection: _in_transaction(connection, shadow.drop)))
        except Exception as failed:  # less than what broke it off; the next rebuild drops them
            error.add_note(f"the tables of the unfinished rebuild are still there: {failed}")
        raise
    if progress is not None:
        progress(done, done)
    return done


def _in_transaction(connection: Connection, work: Callable[[Connection], None]) -> None:
    with connection.begin():
        work(connection)


def _step(connection: Connection, shadow: Shadow) -> tuple[int, int]:
    with connection.begin():
        recorded = shadow.read(connection)
        shadow.fold(connection, recorded)
        total = queries.head(connection)
    shadow.seq += len(recorded)  # after the commit
    return shadow.seq, total


def _replace(connection: Connection, shadow: Shadow) -> int:
    with connection.begin():
        while recorded := shadow.read(connection):
            shadow.fold(connection, recorded)
            shadow.seq += len(recorded)
        for index in shadow.tables.fold_indexes:
            connection.execute(DropIndex(index))
        quote = connection.dialect.identifier_preparer.quote
        for old, new in zip(live.all(), shadow.tables.all(), strict=True):
            connection.execute(DropTable(old))
            connection.execute(text(f"ALTER TABLE {quote(new.name)} RENAME TO {quote(old.name)}"))
        for index in live.indexes:
            connection.execute(CreateIndex(index))
        for key, value in ((VIEWS_VERSION_KEY, VIEWS_VERSION), (VIEWS_SEQ_KEY, shadow.seq)):
            connection.execute(delete(meta).where(meta.c.key == key))
            connection.execute(insert(meta).values(key=key, value=str(value)))
    return shadow.seq
