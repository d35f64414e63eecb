"""What the views and the log answer. Each function reads one page, or one row, on the connection it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, and_, func, literal, or_, select

from artifactstore.domain.artifact import (
    Attestation,
    ObjectRecord,
    ObjectState,
    Package,
    Retrievals,
    SealedMember,
)
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.errors import InvalidQueryError
from artifactstore.domain.token import Token
from artifactstore.domain.usage import Usage
from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.rows import AttestationRow, ObjectRow, PackageRow, TokenRow
from artifactstore.registry.schema import events as log
from artifactstore.registry.schema import views
from artifactstore.registry.search import PAGE_BYTES

_objects, _claims, _names = views.objects.c, views.object_namespaces.c, views.names.c
_artifacts, _retrievals = views.artifacts.c, views.retrievals.c
_attestations, _packages, _members = views.attestations.c, views.packages.c, views.package_members.c
_tokens, _usage = views.tokens.c, views.namespace_usage.c
_of_its_name = and_(_names.namespace == _artifacts.namespace, _names.name == _artifacts.name)

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
_PACKAGE = select(
    views.packages, _objects.sha256.label("manifest_sha256"), _objects.size_bytes.label("manifest_size_bytes")
).join(views.objects, _objects.blake3 == _packages.manifest)


def usage(connection: Connection, namespace: str) -> Usage:
    """What a namespace holds."""
    row = connection.execute(select(_usage.objects, _usage.size_bytes).where(_usage.namespace == namespace)).first()
    return Usage(namespace) if row is None else Usage(namespace, row.objects, row.size_bytes)


def readable(connection: Connection, blake3: Digest, namespaces: frozenset[str]) -> bool:
    """Whether one of these namespaces has an object: uploaded bare, or as a version that is not tombstoned."""
    within = sorted(namespaces)
    claims = select(literal(1)).where(_claims.blake3 == blake3.value, _claims.namespace.in_(within))
    versions = (
        select(literal(1))
        .select_from(views.artifacts.join(views.names, _of_its_name))
        .where(
            _artifacts.blake3 == blake3.value,
            _artifacts.namespace.in_(within),
            _artifacts.version > _names.tombstoned_through,
        )
    )
    return any(connection.scalar(statement.limit(1)) is not None for statement in (claims, versions))


def attestations(connection: Connection, blake3: Digest, after: int, limit: int) -> list[tuple[int, Attestation]]:
    """A page of what is attached to an object, each with its place in the log, in that order."""
    statement = (
        select(views.attestations)
        .where(_attestations.blake3 == blake3.value, _attestations.seq > after)
        .order_by(_attestations.seq)
        .limit(limit)
    )
    rows = (AttestationRow(**row._mapping) for row in connection.execute(statement))
    return [(row.seq, row.attestation()) for row in rows]


def package(connection: Connection, package_id: UUID) -> Package | None:
    """One package."""
    row = connection.execute(_PACKAGE.where(_packages.id == package_id.bytes)).first()
    return None if row is None else _package(row)


def packages(
    connection: Connection, namespaces: frozenset[str] | None, name: str | None, after: int, limit: int
) -> list[tuple[int, Package]]:
    """A page of packages, each with its place in the log, in that order."""
    statement = _PACKAGE.where(_packages.created_seq > after).order_by(_packages.created_seq).limit(limit)
    if namespaces is not None:
        one = next(iter(namespaces)) if len(namespaces) == 1 else None
        among = _packages.namespace.in_(sorted(namespaces)) if one is None else _packages.namespace == one
        statement = statement.where(among)
    if name is not None:
        statement = statement.where(_packages.name == name)
    return [(row.created_seq, _package(row)) for row in connection.execute(statement)]


def members(connection: Connection, package_id: UUID, after: int, limit: int) -> list[SealedMember]:
    """A page of a package's members, in their order, from the one after position `after` (-1: the first)."""
    statement = (
        select(views.package_members, _objects.sha256, _objects.size_bytes)
        .join(views.objects, _objects.blake3 == _members.blake3)
        .where(_members.package_id == package_id.bytes, _members.position > after)
        .order_by(_members.position)
        .limit(limit)
    )
    return [
        SealedMember(
            row.name,
            ObjectIdentity(Digest.blake3(row.blake3), Digest.sha256(row.sha256), row.size_bytes),
            row.media_type,
            None if row.artifact_id is None else UUID(bytes=row.artifact_id),
        )
        for row in connection.execute(statement)
    ]


def token(connection: Connection, token_id: UUID) -> Token | None:
    """One token, revoked or not."""
    row = connection.execute(select(views.tokens).where(_tokens.id == token_id.bytes)).first()
    return None if row is None else TokenRow(**row._mapping).token()


def tokens(connection: Connection, after: int, limit: int) -> list[tuple[int, Token]]:
    """A page of tokens, each with its place in the log, in that order."""
    statement = select(views.tokens).where(_tokens.created_seq > after).order_by(_tokens.created_seq).limit(limit)
    rows = (TokenRow(**row._mapping) for row in connection.execute(statement))
    return [(row.created_seq, row.token()) for row in rows]


def _package(row: Row[*tuple[Any, ...]]) -> Package:
    manifest = ObjectIdentity(Digest.blake3(row.manifest), Digest.sha256(row.manifest_sha256), row.manifest_size_bytes)
    return PackageRow(*row[:-2]).package(manifest)


def deleting(connection: Connection, after: bytes, limit: int) -> list[ObjectRecord]:
    """A page of the objects whose bytes may remain, in the order of their BLAKE3 digests."""
    # the index is of this state: no variable finds it
    state = literal(ObjectState.DELETING.value, literal_execute=True)
    statement = OBJECT.where(_objects.state == state, _objects.blake3 > after).order_by(_objects.blake3).limit(limit)
    return [ObjectRow(*row).record() for row in connection.execute(statement)]


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
