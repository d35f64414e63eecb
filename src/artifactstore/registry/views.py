"""The views' rows on their way between the tables and a working set: a few statements for a whole batch.

Rows that were there when the batch began are updated, others inserted, both by executemany: portable SQL, with no
upsert of one dialect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, bindparam, delete, exists, insert, select, tuple_, update

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

#: Variables per statement; SQLite before 3.32 takes 999.
_CHUNK = 900

_OBJECT_FIELDS = tuple(item.name for item in fields(ObjectRow))
_NAME_FIELDS = ("namespace", "name", "latest_version", "latest_id", "tombstoned_through")
_ARTIFACT_FIELDS = tuple(item.name for item in fields(ArtifactRow))
_RETRIEVAL_FIELDS = tuple(item.name for item in fields(RetrievalRow))


class Views:
    """The statements of one set of view tables, prepared once."""

    def __init__(self, tables: ViewTables) -> None:
        self.tables = tables
        objects, claims, names, artifacts = tables.objects, tables.object_namespaces, tables.names, tables.artifacts
        keys: Any = bindparam("keys", expanding=True)
        object_columns = [objects.c[name] for name in _OBJECT_FIELDS]
        self._objects = select(*object_columns).where(objects.c.blake3.in_(keys))
        self._objects_by_sha256 = select(*object_columns).where(objects.c.sha256.in_(keys))
        self._claims = select(claims.c.blake3, claims.c.namespace).where(
            tuple_(claims.c.blake3, claims.c.namespace).in_(keys)
        )
        self._names = (
            select(*(names.c[name] for name in _NAME_FIELDS), artifacts.c.blake3)
            .join(artifacts, artifacts.c.id == names.c.latest_id)
            .where(tuple_(names.c.namespace, names.c.name).in_(keys))
        )
        self._referenced = select(objects.c.blake3).where(
            objects.c.blake3.in_(keys),
            exists()
            .where(
                artifacts.c.blake3 == objects.c.blake3,
                artifacts.c.namespace == names.c.namespace,
                artifacts.c.name == names.c.name,
                artifacts.c.version > names.c.tombstoned_through,
            )
            .correlate(objects),
        )
        self._unclaim = delete(claims).where(claims.c.blake3 == bindparam("key_0"))
        self._update_objects = _update(objects, _OBJECT_FIELDS, 1)
        self._update_names = _update(names, _NAME_FIELDS, 2)

    def load(self, connection: Connection, keys: Keys) -> WorkingSet:
        """The rows of these keys."""
        rows = WorkingSet()
        self._load_objects(connection, keys, rows)
        rows.claims = dict.fromkeys(keys.claims, False)
        for claim in _fetch(connection, self._claims, sorted(keys.claims), 2):
            rows.claims[claim[0], claim[1]] = True
        rows.names = dict.fromkeys(keys.names)
        for name in _fetch(connection, self._names, sorted(keys.names), 2):
            rows.names[name[0], name[1]] = NameRow(*name)
            rows.known_names.add((name[0], name[1]))
        rows.referenced = dict.fromkeys(keys.references, False)
        for row in _fetch(connection, self._referenced, sorted(keys.references), 1):
            rows.referenced[row[0]] = True
        return rows

    def _load_objects(self, connection: Connection, keys: Keys, rows: WorkingSet) -> None:
        rows.objects = dict.fromkeys(keys.objects)
        rows.by_sha256 = dict.fromkeys(keys.sha256)
        found = [ObjectRow(*row) for row in _fetch(connection, self._objects, sorted(keys.objects), 1)]
        missing = sorted(keys.sha256 - {row.sha256 for row in found})
        found += [ObjectRow(*row) for row in _fetch(connection, self._objects_by_sha256, missing, 1)]
        for row in found:
            rows.objects[row.blake3] = row
            rows.by_sha256[row.sha256] = row.blake3
            rows.known_objects.add(row.blake3)

    def store(self, connection: Connection, rows: WorkingSet) -> None:
        """Write what changed."""
        tables = self.tables
        if rows.unclaimed:
            connection.execute(self._unclaim, [{"key_0": blake3} for blake3 in rows.unclaimed])
        objects = [row for blake3 in rows.changed_objects if (row := rows.objects[blake3]) is not None]
        new_objects = [row for row in objects if row.blake3 not in rows.known_objects]
        _insert(connection, tables.objects, _OBJECT_FIELDS, new_objects)
        known_objects = [row for row in objects if row.blake3 in rows.known_objects]
        _execute(connection, self._update_objects, _OBJECT_FIELDS, known_objects, 1)
        if rows.new_claims:
            connection.execute(
                insert(tables.object_namespaces),
                [{"blake3": blake3, "namespace": namespace} for blake3, namespace in rows.new_claims],
            )
        _insert(connection, tables.artifacts, _ARTIFACT_FIELDS, rows.new_artifacts)
        names = [(key, name) for key in rows.changed_names if (name := rows.names[key]) is not None]
        _insert(connection, tables.names, _NAME_FIELDS, [row for key, row in names if key not in rows.known_names])
        known_names = [row for key, row in names if key in rows.known_names]
        _execute(connection, self._update_names, _NAME_FIELDS, known_names, 2)
        _insert(connection, tables.retrievals, _RETRIEVAL_FIELDS, rows.new_retrievals)

    def fold(self, connection: Connection, recorded: Sequence[RecordedEvent]) -> None:
        """Load, apply and store a run of the log, decoding it first."""
        decoded: list[tuple[RecordedEvent, Event]] = [(item, item.event()) for item in recorded]
        rows = self.load(connection, keys_of(event for _, event in decoded))
        for item, event in decoded:
            apply(rows, item, event)
        self.store(connection, rows)


def _update(table: Table, names: Sequence[str], key_columns: int) -> Any:
    statement = update(table).values({name: bindparam(name) for name in names[key_columns:]})
    for position, name in enumerate(names[:key_columns]):
        statement = statement.where(table.c[name] == bindparam(f"key_{position}"))
    return statement


def _fetch(
    connection: Connection, statement: Select[*tuple[Any, ...]], keys: Sequence[Any], width: int
) -> Iterator[Row[*tuple[Any, ...]]]:
    """The rows of all keys, `width` variables each, in as few statements as the variable limit allows."""
    step = _CHUNK // width
    for begin in range(0, len(keys), step):
        yield from connection.execute(statement, {"keys": keys[begin : begin + step]}).all()


def _insert(connection: Connection, table: Table, names: Sequence[str], rows: Sequence[object]) -> None:
    if rows:
        connection.execute(insert(table), [{name: getattr(row, name) for name in names} for row in rows])


def _execute(
    connection: Connection, statement: Any, names: Sequence[str], rows: Sequence[object], key_columns: int
) -> None:
    if rows:
        keys = [f"key_{position}" for position in range(key_columns)]
        parameters = [*keys, *names[key_columns:]]
        values = ([getattr(row, name) for name in names] for row in rows)
        connection.execute(statement, [dict(zip(parameters, row, strict=True)) for row in values])
