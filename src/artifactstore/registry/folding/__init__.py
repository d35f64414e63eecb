"""What an event does to the views: a pure function over the rows that it touches, in memory.

The rows are prefetched for a whole batch (`views.load`), changed here, and written back together (`views.store`).
Appending, rebuilding and verifying all go through `apply`, so they cannot disagree. An event that cannot follow the
ones before it raises LogCorruptError. Whether an object that is deleted is referred to is not asked here: that is
decided before the event is written, and the fold takes it as a fact.
"""

from __future__ import annotations

from collections.abc import Iterable

from artifactstore.domain.artifact import ObjectState
from artifactstore.registry.envelope import RecordedEvent, contradiction
from artifactstore.registry.events import (
    ArtifactCreated,
    ArtifactLabelled,
    Event,
    NameTombstoned,
    ObjectAttested,
    ObjectClaimed,
    ObjectDamaged,
    ObjectDeleted,
    ObjectMended,
    ObjectPurged,
    ObjectStored,
    PackageSealed,
    RetrievalsRecorded,
    TokenIssued,
    TokenRevoked,
)
from artifactstore.registry.folding import artifacts, objects, packages, tokens
from artifactstore.registry.rows import Keys, WorkingSet


def keys_of(events: Iterable[Event]) -> Keys:
    """The rows that folding these events looks at."""
    keys = Keys()
    for event in events:
        add_keys(keys, event)
    return keys


def add_keys(keys: Keys, event: Event) -> None:
    """Add the rows that folding this event looks at."""
    match event:
        case ObjectStored():
            keys.objects.add(event.identity.blake3.value)
            keys.sha256.add(event.identity.sha256.value)
            if event.namespace is not None:
                keys.claims.add((event.identity.blake3.value, event.namespace))
                keys.usage.add(event.namespace)
        case ObjectClaimed():
            keys.objects.add(event.blake3.value)
            keys.claims.add((event.blake3.value, event.namespace))
            keys.usage.add(event.namespace)
        case ObjectDeleted():
            keys.objects.add(event.blake3.value)
            keys.claims_of.add(event.blake3.value)
        case ObjectAttested():
            keys.objects.update((event.blake3.value, event.statement.value))
            keys.attestations.add(event.blake3.value)
        case ObjectDamaged() | ObjectMended() | ObjectPurged():
            keys.objects.add(event.blake3.value)
        case ArtifactCreated():
            keys.objects.add(event.blake3.value)
            keys.names.add((event.namespace, event.name))
            keys.usage.add(event.namespace)
        case ArtifactLabelled():
            keys.artifacts.add(event.id.bytes)
        case NameTombstoned():
            keys.names.add((event.namespace, event.name))
            keys.usage.add(event.namespace)
        case PackageSealed():
            keys.objects.update(member.blake3.value for member in event.members)
            keys.objects.add(event.manifest.value)
            keys.manifests.add(event.manifest.value)
            keys.packages.add(event.id.bytes)
            if event.supersedes is not None:
                keys.packages.add(event.supersedes.bytes)
        case TokenIssued() | TokenRevoked():
            keys.tokens.add(event.id.bytes)


def apply(rows: WorkingSet, recorded: RecordedEvent, event: Event) -> None:
    """Change `rows` as the event says."""
    match event:
        case ObjectStored():
            objects.stored(rows, recorded, event)
        case ObjectClaimed():
            objects.claimed(rows, recorded, event)
        case ObjectDamaged():
            row = objects.present(rows, recorded, event.blake3)
            row.state, row.damage = ObjectState.DAMAGED.value, event.reason
        case ObjectMended():
            row = objects.present(rows, recorded, event.blake3)
            row.state, row.damage = ObjectState.LIVE.value, None
        case ObjectDeleted():
            objects.deleted(rows, recorded, event)
        case ObjectPurged():
            objects.purged(rows, recorded, event)
        case ObjectAttested():
            objects.attested(rows, recorded, event)
        case ArtifactCreated():
            artifacts.created(rows, recorded, event)
        case ArtifactLabelled():
            artifacts.labelled(rows, recorded, event)
        case NameTombstoned():
            artifacts.tombstoned(rows, recorded, event)
        case RetrievalsRecorded():
            artifacts.retrieved(rows, recorded, event)
        case PackageSealed():
            packages.sealed(rows, recorded, event)
        case TokenIssued():
            tokens.issued(rows, recorded, event)
        case TokenRevoked():
            tokens.revoked(rows, recorded, event)
        case _:
            raise contradiction(recorded, "the fold has no rule for it")
