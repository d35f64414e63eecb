"""What the events of objects do to the views."""

from __future__ import annotations

from artifactstore.domain.artifact import ObjectState
from artifactstore.domain.digest import Digest
from artifactstore.registry.envelope import RecordedEvent, contradiction
from artifactstore.registry.events import ObjectAttested, ObjectClaimed, ObjectDeleted, ObjectPurged, ObjectStored
from artifactstore.registry.rows import AttestationRow, ObjectRow, WorkingSet


def changed(rows: WorkingSet, recorded: RecordedEvent, blake3: Digest) -> ObjectRow:
    """The object's row, about to be changed."""
    row = rows.objects[blake3.value]
    if row is None:
        raise contradiction(recorded, f"{blake3} was never stored")
    rows.changed_objects[row.blake3] = None
    return row


def present(rows: WorkingSet, recorded: RecordedEvent, blake3: Digest) -> ObjectRow:
    """The row of an object that is there, about to be changed."""
    row = changed(rows, recorded, blake3)
    if not row.present:
        raise contradiction(recorded, f"{blake3} is {row.state}")
    return row


def there(rows: WorkingSet, recorded: RecordedEvent, blake3: Digest) -> ObjectRow:
    """The row of an object that is there, to be referred to."""
    row = rows.objects[blake3.value]
    if row is None or not row.present:
        raise contradiction(recorded, f"{blake3} is not there")
    return row


def stored(rows: WorkingSet, recorded: RecordedEvent, event: ObjectStored) -> None:
    """The object is live, whatever it was."""
    identity = event.identity
    blake3, sha256 = identity.blake3.value, identity.sha256.value
    before = rows.objects[blake3]
    if before is not None and (before.present or before.identity != identity):
        raise contradiction(recorded, f"the object is {before.state}, with {before.size_bytes} bytes")
    if rows.by_sha256[sha256] not in (None, blake3):
        raise contradiction(recorded, "another object has its SHA-256 digest")
    rows.objects[blake3] = ObjectRow(
        blake3,
        sha256,
        identity.size_bytes,
        event.backend_id,
        event.primary_algorithm.value,
        ObjectState.LIVE.value,
        None,
        recorded.time,
        recorded.seq,
    )
    rows.by_sha256[sha256] = blake3
    rows.changed_objects[blake3] = None
    if event.namespace is not None:
        _claim(rows, recorded, event.identity.blake3, event.namespace)


def claimed(rows: WorkingSet, recorded: RecordedEvent, event: ObjectClaimed) -> None:
    """A further namespace has uploaded it."""
    present(rows, recorded, event.blake3)
    _claim(rows, recorded, event.blake3, event.namespace)


def _claim(rows: WorkingSet, recorded: RecordedEvent, blake3: Digest, namespace: str) -> None:
    claim = (blake3.value, namespace)
    if rows.claims[claim]:
        raise contradiction(recorded, f"the namespace {namespace} has the object already")
    rows.claims[claim] = True
    rows.new_claims[claim] = None
    rows.use(namespace, 1, there(rows, recorded, blake3).size_bytes)


def deleted(rows: WorkingSet, recorded: RecordedEvent, event: ObjectDeleted) -> None:
    """The object is on its way out: no namespace has it any more, and no statement is about it."""
    row = present(rows, recorded, event.blake3)
    row.state, row.damage = ObjectState.DELETING.value, None
    rows.unclaimed[row.blake3] = None
    for claim in [claim for claim, is_claimed in rows.claims.items() if claim[0] == row.blake3 and is_claimed]:
        rows.claims[claim] = False
        rows.new_claims.pop(claim, None)
        rows.use(claim[1], -1, -row.size_bytes)
    rows.unattested[row.blake3] = None
    rows.attestations[row.blake3] = []
    rows.added = [item for item in rows.added if not (isinstance(item, AttestationRow) and item.blake3 == row.blake3)]


def purged(rows: WorkingSet, recorded: RecordedEvent, event: ObjectPurged) -> None:
    """Its bytes are gone."""
    row = changed(rows, recorded, event.blake3)
    if row.state != ObjectState.DELETING:
        raise contradiction(recorded, f"the object is {row.state}")
    row.state = ObjectState.PURGED.value


def attested(rows: WorkingSet, recorded: RecordedEvent, event: ObjectAttested) -> None:
    """A statement about it is there."""
    there(rows, recorded, event.blake3)
    there(rows, recorded, event.statement)
    row = AttestationRow(
        event.blake3.value,
        recorded.seq,
        event.statement.value,
        event.predicate_type,
        str(event.signature),
        event.key_id,
        recorded.time,
        recorded.actor,
    )
    rows.attestations[row.blake3].append(row)
    rows.added.append(row)
