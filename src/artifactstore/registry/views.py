"""The views' rows on their way between the tables and a working set, on the driver's own connection.

SQLAlchemy says each statement once, from the schema; the driver runs its text with plain tuples, since an event has a
few microseconds (ADR-0020). A row of a batch's keys is found by its key, alone: such a lookup costs the driver little,
and a list of key pairs would make SQLite read the whole table. Rows that were there when the batch began are updated,
others inserted, both by executemany: portable SQL, with no upsert of one dialect.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from sqlalchemy import Select, Table, bindparam, delete, exists, insert, literal_column, select, update

from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.events import Event
from artifactstore.registry.folding import (
    ArtifactRow,
    Keys,
    NameRow,
    ObjectRow,
    RetrievalRow,
    WorkingSet,
    apply,
    keys_of,
)
from artifactstore.registry.schema import ViewTables
from artifactstore.registry.sqlite import prepared

_OBJECT_FIELDS = tuple(item.name for item in fields(ObjectRow))
_NAME_FIELDS = ("namespace", "name", "latest_version", "latest_id", "tombstoned_through")
_ARTIFACT_FIELDS = tuple(item.name for item in fields(ArtifactRow))
_RETRIEVAL_FIELDS = tuple(item.name for item in fields(RetrievalRow))


class Views:
    """The statements of one set of view tables, prepared once."""

    def __init__(self, tables: ViewTables) -> None:
        self.tables = tables
        objects, claims, names, artifacts = tables.objects, tables.object_namespaces, tables.names, tables.artifacts
        there: Select[Any] = select(literal_column("1"))
        object_row = select(*(objects.c[name] for name in _OBJECT_FIELDS))
        self._object = prepared(object_row.where(objects.c.blake3 == bindparam("blake3")), "blake3")
        self._object_by_sha256 = prepared(object_row.where(objects.c.sha256 == bindparam("sha256")), "sha256")
        self._claim = prepared(
            there.where(claims.c.blake3 == bindparam("blake3"), claims.c.namespace == bindparam("namespace")),
            "blake3",
            "namespace",
        )
        self._name = prepared(
            select(*(names.c[name] for name in _NAME_FIELDS), artifacts.c.blake3)
            .join(artifacts, artifacts.c.id == names.c.latest_id)
            .where(names.c.namespace == bindparam("namespace"), names.c.name == bindparam("name")),
            "namespace",
            "name",
        )
        self._reference = prepared(
            there.where(
                exists().where(
                    artifacts.c.blake3 == bindparam("blake3"),
                    artifacts.c.namespace == names.c.namespace,
                    artifacts.c.name == names.c.name,
                    artifacts.c.version > names.c.tombstoned_through,
                )
            ),
            "blake3",
        )
        self._unclaim = prepared(delete(claims).where(claims.c.blake3 == bindparam("claimed")), "claimed")
        self._add_claim = prepared(insert(claims), "blake3", "namespace")
        self._objects = _Rows(objects, _OBJECT_FIELDS, 1)
        self._names = _Rows(names, _NAME_FIELDS, 2)
        self._artifacts = _Rows(artifacts, _ARTIFACT_FIELDS, 1)
        self._retrievals = _Rows(tables.retrievals, _RETRIEVAL_FIELDS, 2)

    def load(self, connection: sqlite3.Connection, keys: Keys) -> WorkingSet:
        """The rows of these keys."""
        rows = WorkingSet()
        find = connection.execute
        self._load_objects(connection, keys, rows)
        for claim in keys.claims:
            rows.claims[claim] = find(self._claim, claim).fetchone() is not None
        for key in keys.names:
            name = find(self._name, key).fetchone()
            rows.names[key] = None
            if name is not None:
                rows.names[key] = NameRow(*name)
                rows.known_names.add(key)
        for blake3 in keys.references:
            rows.referenced[blake3] = find(self._reference, (blake3,)).fetchone() is not None
        return rows

    def _load_objects(self, connection: sqlite3.Connection, keys: Keys, rows: WorkingSet) -> None:
        rows.objects = dict.fromkeys(keys.objects)
        rows.by_sha256 = dict.fromkeys(keys.sha256)
        self._find_objects(connection, self._object, keys.objects, rows)
        missing = [sha256 for sha256, blake3 in rows.by_sha256.items() if blake3 is None]
        self._find_objects(connection, self._object_by_sha256, missing, rows)

    def _find_objects(
        self, connection: sqlite3.Connection, statement: str, digests: Iterable[bytes], rows: WorkingSet
    ) -> None:
        for digest in digests:
            found = connection.execute(statement, (digest,)).fetchone()
            if found is not None:
                row = ObjectRow(*found)
                rows.objects[row.blake3] = row
                rows.by_sha256[row.sha256] = row.blake3
                rows.known_objects.add(row.blake3)

    def store(self, connection: sqlite3.Connection, rows: WorkingSet) -> None:
        """Write what changed."""
        if rows.unclaimed:
            connection.executemany(self._unclaim, [(blake3,) for blake3 in rows.unclaimed])
        objects = [(blake3, row) for blake3 in rows.changed_objects if (row := rows.objects[blake3]) is not None]
        self._objects.insert(connection, [row for key, row in objects if key not in rows.known_objects])
        self._objects.update(connection, [row for key, row in objects if key in rows.known_objects])
        if rows.new_claims:
            connection.executemany(self._add_claim, list(rows.new_claims))
        self._artifacts.insert(connection, rows.new_artifacts)
        names = [(key, name) for key in rows.changed_names if (name := rows.names[key]) is not None]
        self._names.insert(connection, [name for key, name in names if key not in rows.known_names])
        self._names.update(connection, [name for key, name in names if key in rows.known_names])
        self._retrievals.insert(connection, rows.new_retrievals)

    def fold(self, connection: sqlite3.Connection, recorded: Sequence[RecordedEvent]) -> None:
        """Load, apply and store a run of the log, decoding it first."""
        decoded: list[tuple[RecordedEvent, Event]] = [(item, item.event()) for item in recorded]
        rows = self.load(connection, keys_of(event for _, event in decoded))
        for item, event in decoded:
            apply(rows, item, event)
        self.store(connection, rows)


class _Rows:
    """How the rows of one table are written: `names` are its columns, the first `keys` of them its key."""

    def __init__(self, table: Table, names: tuple[str, ...], keys: int) -> None:
        key, rest = names[:keys], names[keys:]
        self._insert = prepared(insert(table).values({name: bindparam(name) for name in names}), *names)
        update_rest = update(table).values({name: bindparam(name) for name in rest})
        by_key = update_rest.where(*(table.c[name] == bindparam(f"key_{name}") for name in key))
        self._update = prepared(by_key, *rest, *(f"key_{name}" for name in key))
        self._new: Callable[[object], tuple[Any, ...]] = attrgetter(*names)
        self._changed: Callable[[object], tuple[Any, ...]] = attrgetter(*rest, *key)

    def insert(self, connection: sqlite3.Connection, rows: Sequence[object]) -> None:
        if rows:
            connection.executemany(self._insert, list(map(self._new, rows)))

    def update(self, connection: sqlite3.Connection, rows: Sequence[object]) -> None:
        if rows:
            connection.executemany(self._update, list(map(self._changed, rows)))
