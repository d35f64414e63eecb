"""The table `requests`: what requests that named an idempotency key were answered.

Theory of operation. The writer looks for a key's row before it decides a request, and writes the row in the transaction
that records the request's events: after a crash there are both or neither, so a request that is sent again is answered
as it was, or done for the first time. A request that is refused leaves nothing. A row counts for a time (`window`);
then its key is free, and the row is removed by a later transaction that writes rows, at most a few at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, insert, select

from artifactstore.domain.once import KeptAnswer
from artifactstore.registry.envelope import timestamp
from artifactstore.registry.schema import requests
from artifactstore.registry.sqlite import prepared

#: How long an answer is kept, where nothing else is said.
DEFAULT_WINDOW = timedelta(hours=24)
#: Expired rows that a transaction removes at least, if there are as many; at most twice as many as it writes.
_SWEEP = 64

_row = requests.c
_place = (_row.actor == bindparam("actor"), _row.key == bindparam("key"))
FIND = prepared(select(_row.fingerprint, _row.answer, _row.created_at).where(*_place), "actor", "key")
_FORGET = prepared(delete(requests).where(*_place), "actor", "key")
_KEEP = prepared(insert(requests), *requests.c.keys())
_EXPIRED = prepared(
    select(_row.actor, _row.key).where(_row.created_at < bindparam("before")).order_by(_row.created_at), "before"
)

type Place = tuple[str, str]  # actor, key


class Answers:
    """The statements of the table, on the writer's connection within its transaction."""

    def __init__(self, window: timedelta = DEFAULT_WINDOW) -> None:
        self._window = window

    def counts(self, kept: KeptAnswer, now: datetime) -> bool:
        """Whether it is not too old."""
        return kept.created_at >= self._oldest(now)

    def find(self, connection: sqlite3.Connection, place: Place, now: datetime) -> KeptAnswer | None:
        """What is kept under a key, unless it is too old."""
        found = connection.execute(FIND, place).fetchone()
        kept = None if found is None else KeptAnswer(*found)
        return kept if kept is not None and self.counts(kept, now) else None

    def keep(self, connection: sqlite3.Connection, kept: Mapping[Place, KeptAnswer], now: datetime) -> None:
        """Write rows, over any that are too old, and remove some others that are."""
        connection.executemany(_FORGET, list(kept))
        connection.executemany(
            _KEEP, [(*place, row.fingerprint, row.answer, row.created_at) for place, row in kept.items()]
        )
        expired = connection.execute(_EXPIRED, (self._oldest(now),)).fetchmany(max(_SWEEP, 2 * len(kept)))
        if expired:
            connection.executemany(_FORGET, expired)

    def _oldest(self, now: datetime) -> str:
        return timestamp(now - self._window)
