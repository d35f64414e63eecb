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

from sqlalchemy import (
    ColumnElement,
    LargeBinary,
    Select,
    Table,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    update,
)

from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.events import Event
from artifactstore.registry.folding import apply, keys_of
from artifactstore.registry.rows import (
    ArtifactRow,
    AttestationRow,
    InputRow,
    Keys,
    LabelRow,
    Loaded,
    MemberRow,
    NameRow,
    ObjectRow,
    PackageRow,
    RetrievalRow,
    TokenRow,
    UsageRow,
    WorkingSet,
)
from artifactstore.registry.schema import ViewTables
from artifactstore.registry.sqlite import prepared

#: Of the objects that a statement is about, so many are looked at: more than a batch deletes (`log.MAX_BATCH`), so that
#: one is left if there are as many.
ENOUGH_STATED = 513


def _columns(row: type[Any]) -> tuple[str, ...]:
    return tuple(item.name for item in fields(row))


_OBJECT_FIELDS = _columns(ObjectRow)
_NAME_FIELDS = _columns(NameRow)[:-1]  # the digest of its latest version's object is looked up


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
        self._claims_of = prepared(select(claims.c.namespace).where(claims.c.blake3 == bindparam("blake3")), "blake3")
        self._references = self._prepare_references()
        self._stated = prepared(
            select(tables.attestations.c.blake3).where(tables.attestations.c.statement == bindparam("statement")),
            "statement",
        )
        self._package_of = prepared(
            select(tables.packages.c.id).where(tables.packages.c.manifest == bindparam("manifest")), "manifest"
        )
        self._unclaim = prepared(delete(claims).where(claims.c.blake3 == bindparam("claimed")), "claimed")
        self._unattest = prepared(
            delete(tables.attestations).where(tables.attestations.c.blake3 == bindparam("attested")), "attested"
        )
        self._add_claim = prepared(insert(claims), "blake3", "namespace")
        self._objects = _Rows(objects, _OBJECT_FIELDS, 1)
        self._names = _Rows(names, _NAME_FIELDS, 2)
        self._artifacts = _Rows(artifacts, _columns(ArtifactRow), 1)
        self._labels = _Rows(tables.artifact_labels, _columns(LabelRow), 4)
        self._attestations = _Rows(tables.attestations, _columns(AttestationRow), 1)
        self._packages = _Rows(tables.packages, _columns(PackageRow), 1)
        self._tokens = _Rows(tables.tokens, _columns(TokenRow), 1)
        self._usage = _Rows(tables.namespace_usage, _columns(UsageRow), 1)
        #: Those that are only inserted, in the order of their tables.
        self._added: dict[type[Any], _Rows] = {
            LabelRow: self._labels,
            InputRow: _Rows(tables.artifact_inputs, _columns(InputRow), 2),
            AttestationRow: self._attestations,
            MemberRow: _Rows(tables.package_members, _columns(MemberRow), 2),
            RetrievalRow: _Rows(tables.retrievals, _columns(RetrievalRow), 2),
        }

    def _prepare_references(self) -> tuple[str, ...]:
        """What may refer to an object: a version that is not tombstoned, and a package."""
        tables = self.tables
        names, artifacts, blake3 = tables.names.c, tables.artifacts.c, bindparam("blake3", type_=LargeBinary)
        there: Select[Any] = select(literal_column("1"))
        conditions: tuple[tuple[ColumnElement[bool], ...], ...] = (
            (
                artifacts.blake3 == blake3,
                artifacts.namespace == names.namespace,
                artifacts.name == names.name,
                artifacts.version > names.tombstoned_through,
            ),
            (tables.package_members.c.blake3 == blake3,),
            (tables.packages.c.manifest == blake3,),
        )
        return tuple(prepared(there.where(*asked), "blake3") for asked in conditions)

    def load(self, connection: sqlite3.Connection, keys: Keys) -> WorkingSet:
        """The rows of these keys."""
        rows = WorkingSet()
        find = connection.execute
        self._load_objects(connection, keys, rows)
        for claim in keys.claims:
            unknown = rows.objects.get(claim[0], claim) is None  # what was never stored has no claims
            rows.claims[claim] = not unknown and find(self._claim, claim).fetchone() is not None
        for key in keys.names:
            name = find(self._name, key).fetchone()
            rows.names[key] = None
            if name is not None:
                rows.names[key] = NameRow(*name)
                rows.known_names.add(key)
        for blake3 in keys.references:
            rows.referenced[blake3] = any(
                find(reference, (blake3,)).fetchone() is not None for reference in self._references
            )
            rows.stated[blake3] = {about for (about,) in find(self._stated, (blake3,)).fetchmany(ENOUGH_STATED)}
        self._artifacts.load(connection, keys.artifacts, ArtifactRow, rows.artifacts)
        self._tokens.load(connection, keys.tokens, TokenRow, rows.tokens)
        self._load_packages(connection, keys, rows)
        self._load_usage(connection, keys, rows)
        for blake3 in keys.attestations:
            found = self._attestations.find(connection, blake3)
            rows.attestations[blake3] = [AttestationRow(*row) for row in found]
        return rows

    def _load_packages(self, connection: sqlite3.Connection, keys: Keys, rows: WorkingSet) -> None:
        packages = set(keys.packages)
        for manifest in keys.manifests:
            found = connection.execute(self._package_of, (manifest,)).fetchone()
            rows.by_manifest[manifest] = None if found is None else found[0]
            packages.update(found or ())
        self._packages.load(connection, packages, PackageRow, rows.packages)

    def _load_usage(self, connection: sqlite3.Connection, keys: Keys, rows: WorkingSet) -> None:
        namespaces = set(keys.usage)
        for blake3 in keys.claims_of:
            for (namespace,) in connection.execute(self._claims_of, (blake3,)):
                rows.claims[blake3, namespace] = True
                namespaces.add(namespace)
        self._usage.load(connection, namespaces, UsageRow, rows.usage)

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
        if rows.unattested:
            connection.executemany(self._unattest, [(blake3,) for blake3 in rows.unattested])
        self._labels.delete(connection, list(rows.unlabelled))
        objects = [(blake3, row) for blake3 in rows.changed_objects if (row := rows.objects[blake3]) is not None]
        self._objects.insert(connection, [row for key, row in objects if key not in rows.known_objects])
        self._objects.update(connection, [row for key, row in objects if key in rows.known_objects])
        if rows.new_claims:
            connection.executemany(self._add_claim, list(rows.new_claims))
        self._store_added(connection, rows)
        names = [(key, name) for key in rows.changed_names if (name := rows.names[key]) is not None]
        self._names.insert(connection, [name for key, name in names if key not in rows.known_names])
        self._names.update(connection, [name for key, name in names if key in rows.known_names])
        self._artifacts.store(connection, rows.artifacts)
        self._packages.store(connection, rows.packages)
        self._tokens.store(connection, rows.tokens)
        self._usage.store(connection, rows.usage)

    def _store_added(self, connection: sqlite3.Connection, rows: WorkingSet) -> None:
        added: dict[type[Any], list[object]] = {kind: [] for kind in self._added}
        for row in rows.added:
            added[type(row)].append(row)
        for kind, table in self._added.items():
            table.insert(connection, added[kind])

    def fold(self, connection: sqlite3.Connection, recorded: Sequence[RecordedEvent]) -> None:
        """Load, apply and store a run of the log, decoding it first."""
        decoded: list[tuple[RecordedEvent, Event]] = [(item, item.event()) for item in recorded]
        rows = self.load(connection, keys_of(event for _, event in decoded))
        for item, event in decoded:
            apply(rows, item, event)
        self.store(connection, rows)


class _Rows:
    """How the rows of one table are found and written: `names` are its columns, the first `keys` of them its key."""

    def __init__(self, table: Table, names: tuple[str, ...], keys: int) -> None:
        key, rest = names[:keys], names[keys:]
        by_key = [table.c[name] == bindparam(f"key_{name}") for name in key]
        keyed = tuple(f"key_{name}" for name in key)
        self._find = prepared(select(*(table.c[name] for name in names)).where(*by_key), *keyed)
        self._insert = prepared(insert(table).values({name: bindparam(name) for name in names}), *names)
        update_rest = update(table).values({name: bindparam(name) for name in rest})
        self._update = prepared(update_rest.where(*by_key), *rest, *keyed)
        self._delete = prepared(delete(table).where(*by_key), *keyed)
        self._new: Callable[[object], tuple[Any, ...]] = attrgetter(*names)
        self._changed: Callable[[object], tuple[Any, ...]] = attrgetter(*rest, *key)

    def find(self, connection: sqlite3.Connection, key: object) -> list[tuple[Any, ...]]:
        """The rows of a key of one column."""
        return connection.execute(self._find, (key,)).fetchall()

    def load[K, R](
        self, connection: sqlite3.Connection, keys: Iterable[K], row: Callable[..., R], into: Loaded[K, R]
    ) -> None:
        """The row of each key of one column."""
        for key in keys:
            found = self.find(connection, key)
            into.rows[key] = row(*found[0]) if found else None
            if found:
                into.known.add(key)

    def insert(self, connection: sqlite3.Connection, rows: Sequence[object]) -> None:
        if rows:
            connection.executemany(self._insert, list(map(self._new, rows)))

    def update(self, connection: sqlite3.Connection, rows: Sequence[object]) -> None:
        if rows:
            connection.executemany(self._update, list(map(self._changed, rows)))

    def delete(self, connection: sqlite3.Connection, keys: Sequence[tuple[Any, ...]]) -> None:
        if keys:
            connection.executemany(self._delete, keys)

    def store[K, R](self, connection: sqlite3.Connection, rows: Loaded[K, R]) -> None:
        """Write what changed of rows that were loaded."""
        changed = [(key, row) for key in rows.changed if (row := rows.rows[key]) is not None]
        self.insert(connection, [row for key, row in changed if key not in rows.known])
        self.update(connection, [row for key, row in changed if key in rows.known])
