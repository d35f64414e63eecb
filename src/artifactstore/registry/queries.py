"""What the views and the log answer, a page at a time, on the connection that is given.

One row by its key is a lookup (`registry.lookups`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, literal, or_, select

from artifactstore.domain.artifact import Artifact, ArtifactMetadata, ObjectRecord, ObjectState, Retrievals
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import InvalidQueryError
from artifactstore.registry.cursors import Scalar, decode_cursor, encode_cursor
from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.folding import ObjectRow
from artifactstore.registry.schema import events as log
from artifactstore.registry.schema import views

MAX_PAGE = 1000
#: Text and payloads of a page, about: it ends there even if fewer rows than its limit are found.
PAGE_BYTES = 4 * 2**20
#: Namespaces that a page of a search by name looks into.
NAMESPACES = 64
#: Rows of artifacts a statement: the driver fetches all of them, and each may have 64 KiB of provenance.
_FETCH = 64

_objects, _names = views.objects.c, views.names.c
_artifacts, _retrievals = views.artifacts.c, views.retrievals.c
_MAX_CODE_POINT = 0x10FFFF
_SURROGATES = range(0xD800, 0xE000)  # code points that no text has

#: The columns of an ObjectRow.
OBJECT = select(
    _objects.blake3,
    _objects.sha256,
    _objects.size_bytes,
    _objects.backend_id,
    _objects.primary_algorithm,
    _objects.state,
    _objects.damage,
    _objects.created_at,
    _objects.created_seq,
)
#: The columns that `artifact_of` reads.
ARTIFACT = select(views.artifacts, _objects.sha256, _objects.size_bytes, _names.tombstoned_through).select_from(
    views.artifacts.join(views.objects, _objects.blake3 == _artifacts.blake3).join(
        views.names, and_(_names.namespace == _artifacts.namespace, _names.name == _artifacts.name)
    )
)


@dataclass(frozen=True, slots=True)
class ArtifactQuery:
    """A search. Without `include_deleted`, versions of tombstoned names are left out."""

    namespace: str | None = None
    name: str | None = None
    name_prefix: str | None = None
    limit: int = 100
    cursor: str | None = None
    include_deleted: bool = False

    def terms(self) -> tuple[Scalar, ...]:
        """What a cursor of this search is bound to: everything but where and how far it reads."""
        return (self.namespace, self.name, self.name_prefix, self.include_deleted)


@dataclass(frozen=True, slots=True)
class Page:
    """Artifacts in the order of namespace, name, version; `next` is the cursor of what follows, None at the end.

    One with `next` may have fewer items than were asked for, or none.
    """

    items: tuple[Artifact, ...]
    next: str | None


def deleting(connection: Connection, after: bytes, limit: int) -> list[ObjectRecord]:
    """A page of the objects whose bytes may remain, in the order of their BLAKE3 digests."""
    state = literal(
        ObjectState.DELETING.value, literal_execute=True
    )  # the index is of this state: no variable finds it
    statement = OBJECT.where(_objects.state == state, _objects.blake3 > after).order_by(_objects.blake3).limit(limit)
    return [ObjectRow(*row).record() for row in connection.execute(statement)]


def artifacts(connection: Connection, query: ArtifactQuery) -> Page:
    """A page of a search."""
    if not 1 <= query.limit <= MAX_PAGE:
        raise InvalidQueryError(f"limit is a whole number from 1 to {MAX_PAGE}", field="limit")
    start = None if query.cursor is None else decode_cursor(query.terms(), query.cursor)
    rows: list[Row[*tuple[Any, ...]]] = []
    size = 0
    for looked_at, namespace in enumerate(_namespaces(connection, query, start)):
        if namespace is not None and looked_at == NAMESPACES:
            return _page(query, rows, (namespace, "", 0))
        for row in _found(connection, query, namespace, start, query.limit + 1 - len(rows)):
            if len(rows) == query.limit or size >= PAGE_BYTES:  # something follows
                return _page(query, rows, _key(rows[-1]))
            rows.append(row)
            size += len(row.provenance or "") + len(row.labels)
    return _page(query, rows, None)


def _page(query: ArtifactQuery, rows: Sequence[Row[*tuple[Any, ...]]], end: tuple[str, str, int] | None) -> Page:
    following = None if end is None else encode_cursor(query.terms(), end)
    return Page(tuple(artifact_of(row) for row in rows), following)


def _key(row: Row[*tuple[Any, ...]]) -> tuple[str, str, int]:
    return row.namespace, row.name, row.version


def _namespaces(
    connection: Connection, query: ArtifactQuery, start: tuple[str, str, int] | None
) -> Iterator[str | None]:
    """The ranges to search: one namespace, all at once (None), or one after the other.

    The last is for a name or a prefix: one range of the index per namespace, not one scan over all names.
    """
    if query.namespace is not None or (query.name is None and query.name_prefix is None):
        yield query.namespace
        return
    namespace = start[0] if start is not None else _next_namespace(connection, None)
    while namespace is not None:
        yield namespace
        namespace = _next_namespace(connection, namespace)


def _found(
    connection: Connection,
    query: ArtifactQuery,
    namespace: str | None,
    start: tuple[str, str, int] | None,
    wanted: int,
) -> Iterator[Row[*tuple[Any, ...]]]:
    """So many rows of one range, a few at a time."""
    while wanted > 0:
        limit = min(wanted, _FETCH)
        rows = connection.execute(_search(query, namespace, start).limit(limit)).all()
        yield from rows
        if len(rows) < limit:
            return
        wanted -= limit
        start = _key(rows[-1])


def _next_namespace(connection: Connection, after: str | None) -> str | None:
    statement = select(func.min(_names.namespace))
    found = connection.scalar(statement if after is None else statement.where(_names.namespace > after))
    return None if found is None else str(found)


def _search(
    query: ArtifactQuery, namespace: str | None, start: tuple[str, str, int] | None
) -> Select[*tuple[Any, ...]]:
    conditions: list[ColumnElement[bool]] = []
    if namespace is not None:
        conditions.append(_artifacts.namespace == namespace)
    if query.name is not None:
        conditions.append(_artifacts.name == query.name)
    if query.name_prefix:
        conditions.append(_artifacts.name >= query.name_prefix)
        if (bound := prefix_bound(query.name_prefix)) is not None:
            conditions.append(_artifacts.name < bound)
    if start is not None and (namespace is None or namespace == start[0]):
        conditions.append(_after(start, within=namespace is not None))
    if not query.include_deleted:
        conditions.append(_artifacts.version > _names.tombstoned_through)
    order = (_artifacts.namespace, _artifacts.name, _artifacts.version)
    return ARTIFACT.where(*conditions).order_by(*order)


def _after(start: tuple[str, str, int], *, within: bool) -> ColumnElement[bool]:
    """Keys after `start`; the first condition of each pair is the one an index can begin at."""
    namespace, name, version = start
    later = and_(
        _artifacts.name >= name,
        or_(_artifacts.name > name, _artifacts.version > version),
    )
    if within:
        return later
    return and_(_artifacts.namespace >= namespace, or_(_artifacts.namespace > namespace, later))


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


def events(connection: Connection, after: int, limit: int) -> list[RecordedEvent]:
    """The events from the one after `after` on: at most `limit`, and about PAGE_BYTES of payload, but at least one."""
    sizes = select(log.c.seq, func.length(log.c.payload)).where(log.c.seq > after).order_by(log.c.seq).limit(limit)
    last, size = after, 0
    for seq, payload_bytes in connection.execute(sizes):
        if last > after and size + payload_bytes > PAGE_BYTES:
            break
        last, size = seq, size + payload_bytes
    statement = (
        select(
            log.c.seq,
            log.c.id,
            log.c.type,
            log.c.version,
            log.c.subject,
            log.c.actor,
            log.c.time,
            log.c.payload,
            log.c.leaf,
            log.c.salt,
        )
        .where(log.c.seq > after, log.c.seq <= last)
        .order_by(log.c.seq)
    )
    return [RecordedEvent(seq, UUID(bytes=event_id), *rest) for seq, event_id, *rest in connection.execute(statement)]


def head(connection: Connection) -> int:
    """The last event's number; 0 of an empty log."""
    return int(connection.scalar(select(func.coalesce(func.max(log.c.seq), 0))) or 0)


def retrievals(
    connection: Connection,
    *,
    artifact_id: UUID | None,
    blake3: Digest | None,
    limit: int,
    after: tuple[str, str] | None,
) -> list[Retrievals]:
    """Downloads of an artifact, or of an object by whatever address, summed by minute and actor, in that order."""
    if (artifact_id is None) == (blake3 is None):
        raise InvalidQueryError("retrievals are asked for by artifact or by object", field="artifact_id")
    minute, actor = _retrievals.minute, _retrievals.actor
    statement = (
        select(
            func.min(_retrievals.blake3), minute, actor, func.sum(_retrievals.count), func.sum(_retrievals.size_bytes)
        )
        .group_by(minute, actor)
        .order_by(minute, actor)
        .limit(limit)
    )
    if artifact_id is not None:
        statement = statement.where(_retrievals.artifact_id == artifact_id.bytes)
    if blake3 is not None:
        statement = statement.where(_retrievals.blake3 == blake3.value)
    if after is not None:
        statement = statement.where(minute >= after[0], or_(minute > after[0], actor > after[1]))
    rows: Sequence[Row[*tuple[Any, ...]]] = connection.execute(statement).all()
    return [Retrievals(Digest.blake3(row[0]), artifact_id, row[2], row[1], int(row[3]), int(row[4])) for row in rows]


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
