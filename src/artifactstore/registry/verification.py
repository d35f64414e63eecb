"""Comparing the views with what the log folds into, changing nothing.

The log is folded into a scratch database. The live views are read page by page, each page in a short read transaction
that also says up to which event they are folded; the scratch is brought to that same event before the two pages are
compared. So the comparison is exact while somebody appends, and no reader holds the log up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, Row, Table, select, tuple_

from artifactstore.domain.errors import LogCorruptError
from artifactstore.registry import queries
from artifactstore.registry.migration import views_seq
from artifactstore.registry.rebuilding import Progress, Shadow
from artifactstore.registry.schema import views as live
from artifactstore.registry.sqlite import Readers, scratch_engine

PAGE = 1000
#: Rows of artifacts a page, each of which may have 64 KiB of provenance: both sides hold a page in memory.
WIDE_PAGE = 64


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where the live views are not what the log says.

    `column` is None when a whole row is missing (`live` is None) or too many (`rebuilt` is None).
    """

    table: str
    key: str
    column: str | None
    live: object
    rebuilt: object

    def __str__(self) -> str:
        if self.column is not None:
            return f"{self.table} {self.key}: {self.column} is {_show(self.live)}, not {_show(self.rebuilt)}"
        return f"{self.table} {self.key}: the row {'is missing' if self.live is None else 'should not be there'}"


@dataclass(frozen=True, slots=True)
class _LivePage:
    """Rows of a view after a key, and the event that they are folded up to."""

    seq: int
    head: int
    rows: Sequence[Row[*tuple[Any, ...]]]


class Verifier:
    """One verification."""

    def __init__(self, readers: Readers, log_id: str, progress: Progress | None) -> None:
        self._readers = readers
        self._shadow = Shadow(log_id)
        self._progress = progress
        self._scratch: Engine = scratch_engine()

    async def run(self) -> Difference | None:
        """Fold, compare, and name the first difference. LogCorruptError or UnknownEventError stop it."""
        try:
            await self._on_scratch(self._shadow.create)
            head, seq = await self._readers.run(lambda connection: (queries.head(connection), views_seq(connection)))
            if head != seq:
                return Difference("meta", "views_seq", "value", seq, head)
            await self._advance(head)
            for old, new in zip(live.all(), self._shadow.tables.all(), strict=True):
                difference = await self._compare(old, new)
                if difference is not None:
                    return difference
            return None
        finally:
            await asyncio.to_thread(self._scratch.dispose)

    async def _on_scratch[T](self, work: Callable[[Connection], T]) -> T:
        def transact() -> T:
            with self._scratch.begin() as connection:
                return work(connection)

        return await asyncio.to_thread(transact)

    async def _advance(self, until: int) -> None:
        """Fold up to that event; the events are read on one connection and folded on the other."""
        shadow = self._shadow
        while shadow.seq < until:
            recorded = await self._readers.run(lambda source: shadow.read(source, until=until))
            if not recorded:
                raise LogCorruptError(f"event {shadow.seq + 1} is missing from the log")
            await self._on_scratch(partial(shadow.fold, recorded=recorded))
            shadow.seq += len(recorded)
            if self._progress is not None:
                self._progress(shadow.seq, until)

    async def _compare(self, old: Table, new: Table) -> Difference | None:
        size = min(PAGE, WIDE_PAGE) if old is live.artifacts else PAGE
        after: tuple[Any, ...] | None = None
        end: tuple[Any, ...] | None = None
        while True:
            page = await self._readers.run(partial(_live_page, table=old, after=after, limit=size))
            if page.seq != page.head:
                return Difference("meta", "views_seq", "value", page.seq, page.head)
            await self._advance(page.seq)
            last = _key(old, page.rows[-1]) if len(page.rows) == size else None
            expected = await self._on_scratch(partial(_rows, table=new, after=after, last=last, limit=size + 1))
            difference = _first_difference(old, page.rows, expected)
            if difference is not None or last is None:
                return difference
            if after is None:
                end = await self._end(old, new)
            if end is None or last >= end:
                return None
            after = last

    async def _end(self, old: Table, new: Table) -> tuple[Any, ...] | None:
        """The last key that either table has when one page was full: chasing what is appended later might never end."""
        ends = (
            await self._readers.run(partial(_last_key, table=old)),
            await self._on_scratch(partial(_last_key, table=new)),
        )
        return max((key for key in ends if key is not None), default=None)


def _live_page(connection: Connection, table: Table, after: tuple[Any, ...] | None, limit: int) -> _LivePage:
    return _LivePage(views_seq(connection), queries.head(connection), _rows(connection, table, after, None, limit))


def _rows(
    connection: Connection, table: Table, after: tuple[Any, ...] | None, last: tuple[Any, ...] | None, limit: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Rows after one key and up to another, in key order."""
    columns = list(table.primary_key.columns)
    statement = select(table).order_by(*columns).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(*columns) > after)
    if last is not None:
        statement = statement.where(tuple_(*columns) <= last)
    return connection.execute(statement).all()


def _last_key(connection: Connection, table: Table) -> tuple[Any, ...] | None:
    columns = [column.desc() for column in table.primary_key.columns]
    row = connection.execute(select(table).order_by(*columns).limit(1)).first()
    return None if row is None else _key(table, row)


def _key(table: Table, row: Row[*tuple[Any, ...]]) -> tuple[Any, ...]:
    return tuple(row._mapping[column.name] for column in table.primary_key.columns)


def _first_difference(
    table: Table, found: Sequence[Row[*tuple[Any, ...]]], expected: Sequence[Row[*tuple[Any, ...]]]
) -> Difference | None:
    for there, wanted in zip(found, expected, strict=False):
        key, wanted_key = _key(table, there), _key(table, wanted)
        if key != wanted_key:
            if key < wanted_key:
                return Difference(table.name, _name(key), None, tuple(there), None)
            return Difference(table.name, _name(wanted_key), None, None, tuple(wanted))
        for column, value, right in zip(table.columns, there, wanted, strict=True):
            if value != right or type(value) is not type(right):
                return Difference(table.name, _name(key), column.name, value, right)
    if len(found) > len(expected):
        extra = found[len(expected)]
        return Difference(table.name, _name(_key(table, extra)), None, tuple(extra), None)
    if len(expected) > len(found):
        missing = expected[len(found)]
        return Difference(table.name, _name(_key(table, missing)), None, None, tuple(missing))
    return None


def _name(key: tuple[Any, ...]) -> str:
    return "/".join(_show(part) for part in key)


def _show(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
