"""What an event does to the views: a pure function over the rows that it touches, in memory.

The rows are prefetched for a whole batch (`views.load`), changed here, and written back together (`views.store`).
Appending, rebuilding and verifying all go through `apply`, so they cannot disagree. An event that cannot follow the
ones before it raises LogCorruptError. Whether an object that is deleted is referred to is not asked here: that is
decided before the event is written, and the fold takes it as a fact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from artifactstore.domain.artifact import Artifact, ObjectRecord, ObjectState
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import LogCorruptError
from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.events import (
    ArtifactCreated,
    Event,
    NameTombstoned,
    ObjectClaimed,
    ObjectDamaged,
    ObjectDeleted,
    ObjectMended,
    ObjectPurged,
    ObjectStored,
    RetrievalsRecorded,
)
from artifactstore.registry.payloads import dump


@dataclass(slots=True)
class ObjectRow:
    """A row of `objects`."""

    blake3: bytes
    sha256: bytes
    size_bytes: int
    backend_id: str
    primary_algorithm: str
    state: str
    damage: str | None
    created_at: str
    created_seq: int

    @property
    def present(self) -> bool:
        """Whether the object is there for callers."""
        return ObjectState(self.state).present

    @property
    def identity(self) -> ObjectIdentity:
        """Both digests and the size."""
        return ObjectIdentity(Digest.blake3(self.blake3), Digest.sha256(self.sha256), self.size_bytes)

    def record(self) -> ObjectRecord:
        """The row as the domain's record."""
        algorithm, state = Algorithm(self.primary_algorithm), ObjectState(self.state)
        return ObjectRecord(self.identity, self.backend_id, algorithm, state, self.created_at, self.damage)


@dataclass(slots=True)
class NameRow:
    """A row of `names`, with the digest of its latest version's object, which is looked up and not stored."""

    namespace: str
    name: str
    latest_version: int
    latest_id: bytes
    tombstoned_through: int
    latest_blake3: bytes

    @property
    def live(self) -> bool:
        """Whether the latest version is not tombstoned."""
        return self.latest_version > self.tombstoned_through


@dataclass(slots=True)
class ArtifactRow:
    """A new row of `artifacts`."""

    id: bytes
    namespace: str
    name: str
    version: int
    blake3: bytes
    kind: str | None
    media_type: str
    labels: str
    provenance: str | None
    retention: str | None
    created_at: str
    created_by: str
    revision: int


@dataclass(slots=True)
class RetrievalRow:
    """A new row of `retrievals`."""

    seq: int
    position: int
    blake3: bytes
    artifact_id: bytes | None
    actor: str
    minute: str
    count: int
    size_bytes: int


type Claim = tuple[bytes, str]  # BLAKE3 digest, namespace
type NameKey = tuple[str, str]  # namespace, name


@dataclass(slots=True)
class Keys:
    """The rows that a request may look at or change."""

    objects: set[bytes] = field(default_factory=set)
    sha256: set[bytes] = field(default_factory=set)
    claims: set[Claim] = field(default_factory=set)
    names: set[NameKey] = field(default_factory=set)
    references: set[bytes] = field(default_factory=set)  # objects of which it asks whether an artifact refers to them

    def add(self, other: Keys) -> None:
        """Take in another's keys."""
        self.objects |= other.objects
        self.sha256 |= other.sha256
        self.claims |= other.claims
        self.names |= other.names
        self.references |= other.references


@dataclass(slots=True)
class WorkingSet:
    """The rows of a batch's keys. A key that was not loaded is a KeyError; None is a row that is not there."""

    objects: dict[bytes, ObjectRow | None] = field(default_factory=dict)
    by_sha256: dict[bytes, bytes | None] = field(default_factory=dict)
    claims: dict[Claim, bool] = field(default_factory=dict)
    names: dict[NameKey, NameRow | None] = field(default_factory=dict)
    referenced: dict[bytes, bool] = field(default_factory=dict)  # as it was before the batch

    known_objects: set[bytes] = field(default_factory=set)  # rows that the tables have already
    known_names: set[NameKey] = field(default_factory=set)
    changed_objects: dict[bytes, None] = field(default_factory=dict)  # dicts: in the order of change
    changed_names: dict[NameKey, None] = field(default_factory=dict)
    unclaimed: dict[bytes, None] = field(default_factory=dict)  # objects whose stored claims are void
    new_claims: dict[Claim, None] = field(default_factory=dict)
    new_artifacts: list[ArtifactRow] = field(default_factory=list)
    new_retrievals: list[RetrievalRow] = field(default_factory=list)

    def claimed(self, blake3: bytes, namespace: str) -> bool:
        """Whether a bare upload to the namespace vouches for reading the object there."""
        return self.claims[blake3, namespace]

    def is_referenced(self, blake3: bytes) -> bool:
        """Whether a version that is not tombstoned points at the object, those of this batch included.

        Exact only while no name of an earlier reference was tombstoned in the same batch: the writer sees to it.
        """
        return self.referenced[blake3] or any(
            row.blake3 == blake3 and row.version > self._name((row.namespace, row.name)).tombstoned_through
            for row in self.new_artifacts
        )

    def _name(self, key: NameKey) -> NameRow:
        row = self.names[key]
        assert row is not None, key  # noqa: S101 - it has a version, so it has a row
        return row


def keys_of(events: Iterable[Event]) -> Keys:
    """The rows that folding these events looks at."""
    keys = Keys()
    for event in events:
        match event:
            case ObjectStored():
                keys.objects.add(event.identity.blake3.value)
                keys.sha256.add(event.identity.sha256.value)
                if event.namespace is not None:
                    keys.claims.add((event.identity.blake3.value, event.namespace))
            case ObjectClaimed():
                keys.objects.add(event.blake3.value)
                keys.claims.add((event.blake3.value, event.namespace))
            case ObjectDamaged() | ObjectMended() | ObjectDeleted() | ObjectPurged():
                keys.objects.add(event.blake3.value)
            case ArtifactCreated():
                keys.objects.add(event.blake3.value)
                keys.names.add((event.namespace, event.name))
            case NameTombstoned():
                keys.names.add((event.namespace, event.name))
    return keys


def apply(rows: WorkingSet, recorded: RecordedEvent, event: Event) -> None:
    """Change `rows` as the event says."""
    match event:
        case ObjectStored():
            _stored(rows, recorded, event)
        case ObjectClaimed():
            _present(rows, recorded, event.blake3)
            _claim(rows, recorded, event.blake3.value, event.namespace)
        case ObjectDamaged():
            row = _present(rows, recorded, event.blake3)
            row.state, row.damage = ObjectState.DAMAGED.value, event.reason
        case ObjectMended():
            row = _present(rows, recorded, event.blake3)
            row.state, row.damage = ObjectState.LIVE.value, None
        case ObjectDeleted():
            row = _present(rows, recorded, event.blake3)
            row.state, row.damage = ObjectState.DELETING.value, None
            _unclaim(rows, event.blake3.value)
        case ObjectPurged():
            purged = _changed(rows, recorded, event.blake3)
            if purged.state != ObjectState.DELETING:
                raise _impossible(recorded, f"the object is {purged.state}")
            purged.state = ObjectState.PURGED.value
        case ArtifactCreated():
            _created(rows, recorded, event)
        case NameTombstoned():
            _tombstoned(rows, recorded, event)
        case RetrievalsRecorded():
            _retrieved(rows, recorded, event)
        case _:
            raise _impossible(recorded, "the fold has no rule for it")


def _impossible(recorded: RecordedEvent, why: str) -> LogCorruptError:
    return LogCorruptError(f"event {recorded.seq}, {recorded.type} of {recorded.subject}, cannot be: {why}")


def _changed(rows: WorkingSet, recorded: RecordedEvent, blake3: Digest) -> ObjectRow:
    row = rows.objects[blake3.value]
    if row is None:
        raise _impossible(recorded, f"{blake3} was never stored")
    rows.changed_objects[row.blake3] = None
    return row


def _present(rows: WorkingSet, recorded: RecordedEvent, blake3: Digest) -> ObjectRow:
    row = _changed(rows, recorded, blake3)
    if not row.present:
        raise _impossible(recorded, f"{blake3} is {row.state}")
    return row


def _stored(rows: WorkingSet, recorded: RecordedEvent, event: ObjectStored) -> None:
    identity = event.identity
    blake3, sha256 = identity.blake3.value, identity.sha256.value
    before = rows.objects[blake3]
    if before is not None and (before.present or before.identity != identity):
        raise _impossible(recorded, f"the object is {before.state}, with {before.size_bytes} bytes")
    if rows.by_sha256[sha256] not in (None, blake3):
        raise _impossible(recorded, "another object has its SHA-256 digest")
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
        _claim(rows, recorded, blake3, event.namespace)


def _claim(rows: WorkingSet, recorded: RecordedEvent, blake3: bytes, namespace: str) -> None:
    claim = (blake3, namespace)
    if rows.claims[claim]:
        raise _impossible(recorded, f"the namespace {namespace} has the object already")
    rows.claims[claim] = True
    rows.new_claims[claim] = None


def _unclaim(rows: WorkingSet, blake3: bytes) -> None:
    rows.unclaimed[blake3] = None
    for claim in [claim for claim in rows.claims if claim[0] == blake3]:
        rows.claims[claim] = False
        rows.new_claims.pop(claim, None)


def _created(rows: WorkingSet, recorded: RecordedEvent, event: ArtifactCreated) -> None:
    target = rows.objects[event.blake3.value]
    if target is None or not target.present:
        raise _impossible(recorded, f"{event.blake3} is not there")
    key = (event.namespace, event.name)
    name = rows.names[key]
    latest = 0 if name is None else name.latest_version
    if event.number != latest + 1:
        raise _impossible(recorded, f"version {event.number} follows version {latest}")
    tombstoned = 0 if name is None else name.tombstoned_through
    rows.names[key] = NameRow(*key, event.number, event.id.bytes, tombstoned, event.blake3.value)
    rows.changed_names[key] = None
    metadata = event.metadata
    rows.new_artifacts.append(
        ArtifactRow(
            event.id.bytes,
            event.namespace,
            event.name,
            event.number,
            event.blake3.value,
            metadata.kind,
            metadata.media_type,
            dump(metadata.labels).decode(),
            metadata.provenance,
            metadata.retention,
            recorded.time,
            recorded.actor,
            1,
        )
    )


def _tombstoned(rows: WorkingSet, recorded: RecordedEvent, event: NameTombstoned) -> None:
    key = (event.namespace, event.name)
    row = rows.names[key]
    if row is None or not row.live or event.through_version != row.latest_version:
        raise _impossible(recorded, f"version {event.through_version} is not the latest, or is tombstoned already")
    row.tombstoned_through = event.through_version
    rows.changed_names[key] = None


def _retrieved(rows: WorkingSet, recorded: RecordedEvent, event: RetrievalsRecorded) -> None:
    for position, entry in enumerate(event.entries):
        artifact_id = None if entry.artifact_id is None else entry.artifact_id.bytes
        rows.new_retrievals.append(
            RetrievalRow(
                recorded.seq,
                position,
                entry.blake3.value,
                artifact_id,
                entry.actor,
                entry.minute,
                entry.count,
                entry.size_bytes,
            )
        )


def created_artifact(recorded: RecordedEvent, event: ArtifactCreated, identity: ObjectIdentity) -> Artifact:
    """The artifact that an event has just made."""
    return Artifact(
        event.id,
        event.namespace,
        event.name,
        event.number,
        identity,
        event.metadata,
        recorded.time,
        recorded.actor,
    )
