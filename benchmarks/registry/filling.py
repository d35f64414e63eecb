"""A log made long in a short time: what the registry's writer does, in large transactions that are not synced."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from uuid_utils.compat import uuid7

from artifactstore.domain.artifact import ArtifactMetadata
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.registry.commands import RecordArtifact, Upload
from artifactstore.registry.envelope import RecordedEvent, Salts, record, timestamp
from artifactstore.registry.folding import apply
from artifactstore.registry.rows import Keys
from artifactstore.registry.schema import events, views
from artifactstore.registry.views import Views

_UPLOADS = 4096  # a transaction
_METADATA = ArtifactMetadata(kind="report", labels={"team": "bench", "stage": "final"})
_INSERT = f"INSERT INTO events ({', '.join(events.c.keys())}) VALUES ({', '.join('?' * len(events.c))})"


def upload() -> RecordArtifact:
    """New bytes under a new name."""
    identity = ObjectIdentity(Digest.blake3(os.urandom(32)), Digest.sha256(os.urandom(32)), 4096)
    namespace, name = f"bench-{identity.blake3.value[0] % 4}", identity.blake3.hex
    stored = Upload(identity, "local", Algorithm.BLAKE3, mended=False)
    named = f"run-{name[:2]}/report-{name[2:18]}.json"
    return RecordArtifact(stored, uuid7(), namespace, named, _METADATA, create_only=False, if_match=None)


def fill(file: Path, log_id: str, until: int) -> None:
    """Append uploads to the log of a registry that is closed, up to about so many events."""
    fold = Views(views)
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        for pragma in ("synchronous=OFF", "wal_autocheckpoint=50000", "cache_size=-200000"):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        (head,) = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()
        while head < until:
            uploads = [upload() for _ in range(min(_UPLOADS, (until - head + 1) // 2))]
            connection.execute("BEGIN IMMEDIATE")
            recorded = list(_record(connection, fold, log_id, head, uploads))
            connection.executemany(_INSERT, map(_row, recorded))
            head += len(recorded)
            connection.execute("UPDATE meta SET value = ? WHERE key = 'views_seq'", (str(head),))
            connection.execute("COMMIT")


def _record(
    connection: sqlite3.Connection, fold: Views, log_id: str, head: int, uploads: Sequence[RecordArtifact]
) -> Iterator[RecordedEvent]:
    keys, time, salts = Keys(), timestamp(datetime.now(UTC)), Salts()
    for command in uploads:
        keys.add(command.keys)
    rows = fold.load(connection, keys)
    for command in uploads:
        for event in command.decide(rows):
            head += 1
            recorded = record(log_id, head, event, actor="bench", time=time, salt=salts.next())
            apply(rows, recorded, event)
            yield recorded
    fold.store(connection, rows)


def _row(item: RecordedEvent) -> tuple[object, ...]:
    values = {name: getattr(item, name) for name in events.c.keys()}  # noqa: SIM118 - columns, not a dictionary
    return tuple((values | {"id": item.id.bytes}).values())
