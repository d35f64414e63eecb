"""Searching artifacts: a page at a time, in the order of namespace, name, version.

Theory of operation. A search runs along one index, whose keys end in that order: of a label, of an object, of a kind,
of a media type, or of the names themselves, whichever says most. What else is asked is looked up for each row on the
way. A page reads so many rows and no more, found or not, and its cursor is the last one it has read: so the cost of a
page depends neither on its number nor on how rare a match is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, exists, func, literal, select, tuple_

from artifactstore.domain.artifact import Artifact, ArtifactMetadata
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import InvalidQueryError
from artifactstore.registry.cursors import Scalar, decode_cursor, encode_cursor
from artifactstore.registry.schema import views

MAX_PAGE = 1000
#: Text and payloads of a page, about: it ends there even if fewer rows than its limit are found.
PAGE_BYTES = 4 * 2**20
#: Namespaces that a page of a search by name looks into.
NAMESPACES = 64
#: Rows that a page looks at.
SCANNED = 4096
#: Rows a statement, at first and at most: the driver fetches all of them, and each may have 64 KiB of provenance.
_STEP, _MAX_STEP = 64, 1024

_MAX_CODE_POINT = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)  # code points that no text has

_objects, _names, _artifacts, _labels = views.objects.c, views.names.c, views.artifacts.c, views.artifact_labels.c

type Key = tuple[str, str, int]  # namespace, name, version

#: The columns that `artifact_of` reads.
ARTIFACT = select(views.artifacts, _objects.sha256, _objects.size_bytes, _names.tombstoned_through).select_from(
    views.artifacts.join(views.objects, _objects.blake3 == _artifacts.blake3).join(
        views.names, and_(_names.namespace == _artifacts.namespace, _names.name == _artifacts.name)
    )
)


@dataclass(frozen=True, slots=True)
class ArtifactQuery:
    """A search; what is None, or empty, is not asked for. All that is asked must hold.

    `labels`: pairs of a key and a value, or of a key and None for any value. `created_after` and `created_before` are
    times as the log writes them; the first belongs to the range, the second does not. `namespaces`: the only ones that
    are searched. Without `include_deleted`, versions of tombstoned names are left out.
    """

    namespace: str | None = None
    name: str | None = None
    name_prefix: str | None = None
    kind: str | None = None
    labels: tuple[tuple[str, str | None], ...] = ()
    media_type: str | None = None
    digest: Digest | None = None
    size_min: int | None = None
    size_max: int | None = None
    created_after: str | None = None
    created_before: str | None = None
    namespaces: frozenset[str] | None = None
    include_deleted: bool = False
    limit: int = 100
    cursor: str | None = field(default=None, kw_only=True)

    def terms(self) -> tuple[Scalar, ...]:
        """What a cursor of this search is bound to: everything but where and how far it reads."""
        return (
            *(self.namespace, self.name, self.name_prefix, self.kind, self.media_type),
            *(None if self.digest is None else str(self.digest), self.size_min, self.size_max),
            *(self.created_after, self.created_before, self.include_deleted),
            *(None if self.namespaces is None else " ".join(sorted(self.namespaces)),),
            *(part for label in self.labels for part in label),
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Artifacts in the order of namespace, name, version; `next` is the cursor of what follows, None at the end.

    One with `next` may have fewer items than were asked for, or none.
    """

    items: tuple[Artifact, ...]
    next: str | None


def check_limit(limit: int) -> None:
    """InvalidQueryError unless a page may have so many items."""
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidQueryError(f"limit is a whole number from 1 to {MAX_PAGE}", field="limit")


def check_after(seq: int) -> None:
    """InvalidQueryError unless a page may begin after that event."""
    if not 0 <= seq < 2**53:
        raise InvalidQueryError(f"after is a whole number from 0 to {2**53 - 1}", field="after")


def artifacts(connection: Connection, query: ArtifactQuery) -> Page:
    """A page of a search. InvalidQueryError."""
    check_limit(query.limit)
    start = None if query.cursor is None else decode_cursor(query.terms(), query.cursor)
    blake3 = None if query.digest is None else _blake3(connection, query.digest)
    if query.digest is not None and blake3 is None:
        return Page((), None)
    search = _Search(connection, query, blake3)
    for looked_at, namespace in enumerate(_namespaces(connection, query, start)):
        if namespace is not None and looked_at == NAMESPACES:
            return search.page((namespace, "", 0))
        if (end := search.read(namespace, start)) is not None:
            return search.page(end)
    return search.page(None)


class _Search:
    """One page, as it grows."""

    def __init__(self, connection: Connection, query: ArtifactQuery, blake3: bytes | None) -> None:
        self._connection = connection
        self._query = query
        self._range = _Range(query, blake3)
        self._wanted = _conditions(query, blake3)
        self._rows: list[Row[*tuple[Any, ...]]] = []
        self._size = 0
        self._left = SCANNED

    def page(self, end: Key | None) -> Page:
        """What was found; something may follow `end`, unless it is None."""
        following = None if end is None else encode_cursor(self._query.terms(), end)
        return Page(tuple(artifact_of(row) for row in self._rows), following)

    def read(self, namespace: str | None, start: Key | None) -> Key | None:
        """Read one range after `start`; where to go on if it is not at its end."""
        step = _STEP
        while True:
            if self._left <= 0:
                return start
            step = min(step, self._left)
            last = self._connection.execute(self._range.keys(namespace, start).offset(step - 1).limit(1)).first()
            until = None if last is None else (last.namespace, last.name, last.version)
            if (end := self._take(namespace, start, until)) is not None or until is None:
                return end
            self._left -= step
            start = until
            step = min(2 * step, _MAX_STEP)

    def _take(self, namespace: str | None, start: Key | None, until: Key | None) -> Key | None:
        """Look at the rows of a range after `start`, up to `until`; where to go on if the page is full."""
        statement = self._range.rows(namespace, start, until).where(*self._wanted)
        missing = self._query.limit + 1 - len(self._rows)
        for row in self._connection.execute(statement.limit(missing)):
            if len(self._rows) == self._query.limit or self._size >= PAGE_BYTES:  # something follows
                return _key(self._rows[-1])
            self._rows.append(row)
            self._size += len(row.provenance or "") + len(row.labels)
        return None


class _Range:
    """The index that a search runs along."""

    def __init__(self, query: ArtifactQuery, blake3: bytes | None) -> None:
        self._query = query
        exact = next((label for label in query.labels if label[1] is not None), None)
        label = exact or next(iter(query.labels), None)
        table: Any = views.artifacts.c
        rows: Select[*tuple[Any, ...]] = ARTIFACT
        along: list[ColumnElement[bool]] = []
        if exact is None and blake3 is not None:
            along = [table.blake3 == blake3]
        elif exact is None and query.kind is not None:
            along = [table.kind == query.kind]
        elif label is not None:
            table = views.artifact_labels.c
            rows = ARTIFACT.join(views.artifact_labels, table.artifact_id == _artifacts.id)
            along = [table.key == label[0]]
            if label[1] is not None:
                along.append(table.value == label[1])
        elif query.media_type is not None:
            along = [table.media_type == query.media_type]
        self._place = (table.namespace, table.name, table.version)
        self._along = along
        self._keys = select(*self._place).order_by(*self._place)
        self._rows = rows.order_by(*self._place)

    def keys(self, namespace: str | None, start: Key | None) -> Select[*tuple[Any, ...]]:
        """The places of the rows of one namespace, or of all, after `start`."""
        return self._keys.where(*self._bounds(namespace, start, None))

    def rows(self, namespace: str | None, start: Key | None, until: Key | None) -> Select[*tuple[Any, ...]]:
        """The rows themselves, up to `until`."""
        return self._rows.where(*self._bounds(namespace, start, until))

    def _bounds(self, namespace: str | None, start: Key | None, until: Key | None) -> list[ColumnElement[bool]]:
        query, (of_namespace, of_name, _) = self._query, self._place
        conditions = list(self._along)
        within = namespace is not None
        if within:
            conditions.append(of_namespace == namespace)
        if query.name is not None:
            conditions.append(of_name == query.name)
        if query.name_prefix:
            conditions.append(of_name >= query.name_prefix)
            if (bound := prefix_bound(query.name_prefix)) is not None:
                conditions.append(of_name < bound)
        if start is not None and (namespace is None or namespace == start[0]):
            conditions.append(self._after(start, within=within))
        if until is not None:
            conditions.append(self._up_to(until, within=within))
        return conditions

    def _after(self, start: Key, *, within: bool) -> ColumnElement[bool]:
        """Keys after `start`. As one comparison of rows, an index begins right there, however many come before it."""
        return self._compared(within) > tuple_(*(start[1:] if within else start))

    def _up_to(self, end: Key, *, within: bool) -> ColumnElement[bool]:
        """Keys up to `end`, itself included."""
        return self._compared(within) <= tuple_(*(end[1:] if within else end))

    def _compared(self, within: bool) -> ColumnElement[Any]:
        return tuple_(*(self._place[1:] if within else self._place))


def _conditions(query: ArtifactQuery, blake3: bytes | None) -> list[ColumnElement[bool]]:
    """What is looked up for each row, whether the index says it already or not."""
    conditions: list[ColumnElement[bool]] = []
    if not query.include_deleted:
        conditions.append(_artifacts.version > _names.tombstoned_through)
    for column, value in (
        (_artifacts.blake3, blake3),
        (_artifacts.kind, query.kind),
        (_artifacts.media_type, query.media_type),
    ):
        if value is not None:
            conditions.append(column == value)
    if query.size_min is not None:
        conditions.append(_objects.size_bytes >= query.size_min)
    if query.size_max is not None:
        conditions.append(_objects.size_bytes <= query.size_max)
    if query.created_after is not None:
        conditions.append(_artifacts.created_at >= query.created_after)
    if query.created_before is not None:
        conditions.append(_artifacts.created_at < query.created_before)
    conditions += [_has_label(key, value) for key, value in query.labels]
    return conditions


def _has_label(key: str, value: str | None) -> ColumnElement[bool]:
    same = (
        _labels.key == key,
        _labels.namespace == _artifacts.namespace,
        _labels.name == _artifacts.name,
        _labels.version == _artifacts.version,
    )
    asked = same if value is None else (*same, _labels.value == value)
    return exists(select(literal(1)).where(*asked).correlate(views.artifacts))


def _blake3(connection: Connection, digest: Digest) -> bytes | None:
    if digest.algorithm is Algorithm.BLAKE3:
        return digest.value
    found = connection.scalar(select(_objects.blake3).where(_objects.sha256 == digest.value))
    return None if found is None else bytes(found)


def _key(row: Row[*tuple[Any, ...]]) -> Key:
    return row.namespace, row.name, row.version


def _namespaces(connection: Connection, query: ArtifactQuery, start: Key | None) -> Iterator[str | None]:
    """The ranges to search: one namespace, all at once (None), or one after the other.

    The last is for a name or a prefix: one range of the index per namespace, not one scan over all names.
    """
    allowed = query.namespaces
    if query.namespace is not None:
        if allowed is None or query.namespace in allowed:
            yield query.namespace
    elif allowed is not None:
        yield from sorted(item for item in allowed if start is None or item >= start[0])
    elif query.name is None and query.name_prefix is None:
        yield None
    else:
        namespace = start[0] if start is not None else _next_namespace(connection, None)
        while namespace is not None:
            yield namespace
            namespace = _next_namespace(connection, namespace)


def _next_namespace(connection: Connection, after: str | None) -> str | None:
    statement = select(func.min(_names.namespace))
    found = connection.scalar(statement if after is None else statement.where(_names.namespace > after))
    return None if found is None else str(found)


def prefix_bound(prefix: str) -> str | None:
    """The first text, by code point, after all that begin with `prefix`; None if there is no such text."""
    while prefix:
        successor = ord(prefix[-1]) + 1
        prefix = prefix[:-1]
        if successor in _SURROGATES:
            successor = _SURROGATES.stop
        if successor <= _MAX_CODE_POINT:
            return prefix + chr(successor)
    return None


def artifact_of(row: Sequence[Any]) -> Artifact:
    """What a row of ARTIFACT says."""
    (
        artifact_id,
        namespace,
        name,
        version,
        blake3,
        kind,
        media_type,
        labels,
        provenance,
        retention,
        created_at,
        created_by,
        revision,
        sha256,
        size_bytes,
        tombstoned_through,
    ) = row
    return Artifact(
        UUID(bytes=artifact_id),
        namespace,
        name,
        version,
        ObjectIdentity(Digest.blake3(blake3), Digest.sha256(sha256), size_bytes),
        ArtifactMetadata(kind, media_type, json.loads(labels), provenance, retention),
        created_at,
        created_by,
        revision,
        deleted=version <= tombstoned_through,
    )
