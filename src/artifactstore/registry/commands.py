"""What can be asked of the log: each command names the rows it needs and decides its events from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal
from uuid import UUID

from artifactstore.domain.artifact import Artifact, ArtifactMetadata, ObjectRecord, ObjectState, Retrievals
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    ObjectInUseError,
    ObjectNotFoundError,
    PreconditionFailedError,
    RegistryError,
)
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
from artifactstore.registry.folding import Keys, ObjectRow, WorkingSet, created_artifact

#: If-Match: one of these digests, or "*" for whatever the latest version is; None for no condition.
type Condition = frozenset[Digest] | Literal["*"] | None


def check_condition(latest: Digest | None, *, create_only: bool, if_match: Condition) -> None:
    """PreconditionFailedError unless the name's live latest version (None: there is none) is as the caller wants it."""
    if create_only and latest is not None:
        raise PreconditionFailedError("the name has a version already")
    if if_match is None:
        return
    if latest is None:
        raise PreconditionFailedError("the name has no version that could match")
    if if_match != "*" and latest not in if_match:
        raise PreconditionFailedError(f"the latest version is {latest}")


class _Plain:
    """The defaults of a command."""

    __slots__ = ()
    frees_space: ClassVar[bool] = False
    tombstones: ClassVar[bool] = False


class _Freeing(_Plain):
    """A command that is served from the reserve when the disk is full."""

    __slots__ = ()
    frees_space: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes that are durable in a backend. `mended`: they replaced a copy that an event vouched for."""

    identity: ObjectIdentity
    backend_id: str
    primary_algorithm: Algorithm
    mended: bool

    def events(self, rows: WorkingSet, namespace: str | None) -> list[Event]:
        """What is to be recorded of the object: stored, mended or nothing."""
        row = rows.objects[self.identity.blake3.value]
        if row is not None and row.identity != self.identity:
            raise RegistryError(f"{self.identity.blake3} is known with another SHA-256 digest or size")
        if row is None and rows.by_sha256[self.identity.sha256.value] is not None:
            raise RegistryError(f"{self.identity.sha256} is known with another BLAKE3 digest")
        if row is None or not row.present:
            return [ObjectStored(self.identity, self.backend_id, self.primary_algorithm, namespace)]
        if self.mended or row.state == ObjectState.DAMAGED:
            return [ObjectMended(self.identity.blake3, "upload")]
        return []


@dataclass(frozen=True, slots=True)
class RecordObject(_Plain):
    """A bare upload, into a namespace."""

    upload: Upload
    namespace: str

    @property
    def keys(self) -> Keys:
        """The object and the claim."""
        blake3 = self.upload.identity.blake3.value
        return Keys(objects={blake3}, sha256={self.upload.identity.sha256.value}, claims={(blake3, self.namespace)})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Stored, or mended, or claimed, or nothing new."""
        blake3 = self.upload.identity.blake3
        events = self.upload.events(rows, self.namespace)
        if not any(isinstance(event, ObjectStored) for event in events) and not rows.claimed(
            blake3.value, self.namespace
        ):
            events.append(ObjectClaimed(blake3, self.namespace))
        return events

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> tuple[ObjectRecord, bool]:
        """The object, and whether it is new."""
        return _row(rows, self.upload.identity.blake3).record(), _stored(recorded)


@dataclass(frozen=True, slots=True)
class RecordArtifact(_Plain):
    """An upload to a name: its next version."""

    upload: Upload
    id: UUID
    namespace: str
    name: str
    metadata: ArtifactMetadata
    create_only: bool
    if_match: Condition

    @property
    def keys(self) -> Keys:
        """The object and the name."""
        identity = self.upload.identity
        return Keys(
            objects={identity.blake3.value}, sha256={identity.sha256.value}, names={(self.namespace, self.name)}
        )

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """The object's events, then the artifact's."""
        name = rows.names[self.namespace, self.name]
        latest = Digest.blake3(name.latest_blake3) if name is not None and name.live else None
        check_condition(latest, create_only=self.create_only, if_match=self.if_match)
        return [*self.upload.events(rows, None), self._created(1 if name is None else name.latest_version + 1)]

    def _created(self, number: int) -> ArtifactCreated:
        blake3 = self.upload.identity.blake3
        return ArtifactCreated(self.id, self.namespace, self.name, number, blake3, self.metadata)

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> tuple[Artifact, bool]:
        """The artifact, and whether its object is new."""
        name = rows.names[self.namespace, self.name]
        created = self._created(0 if name is None else name.latest_version)
        return created_artifact(recorded[-1], created, self.upload.identity), _stored(recorded)


@dataclass(frozen=True, slots=True)
class MarkDamaged(_Freeing):
    """A check found the stored copy missing or different."""

    event: ObjectDamaged

    @property
    def keys(self) -> Keys:
        """The object."""
        return Keys(objects={self.event.blake3.value})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """The mark, unless it stands there for the same reason."""
        row = _present(rows, self.event.blake3)
        known = row.state == ObjectState.DAMAGED and row.damage == self.event.reason
        return () if known else (self.event,)

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> ObjectRecord:
        """The object."""
        return _row(rows, self.event.blake3).record()


@dataclass(frozen=True, slots=True)
class MarkSound(_Plain):
    """A check found the stored copy whole."""

    blake3: Digest

    @property
    def keys(self) -> Keys:
        """The object."""
        return Keys(objects={self.blake3.value})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Mended, if it was marked damaged."""
        damaged = _present(rows, self.blake3).state == ObjectState.DAMAGED
        return (ObjectMended(self.blake3, "verification"),) if damaged else ()

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> ObjectRecord:
        """The object."""
        return _row(rows, self.blake3).record()


@dataclass(frozen=True, slots=True)
class DeleteObject(_Freeing):
    """Decide an object's deletion."""

    blake3: Digest

    @property
    def keys(self) -> Keys:
        """The object, and whether anything refers to it."""
        return Keys(objects={self.blake3.value}, references={self.blake3.value})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Deleted; refused while an artifact refers to it."""
        _present(rows, self.blake3)
        if rows.is_referenced(self.blake3.value):
            raise ObjectInUseError(f"an artifact refers to {self.blake3}")
        return (ObjectDeleted(self.blake3),)

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> ObjectRecord:
        """The object, deleting."""
        return _row(rows, self.blake3).record()


@dataclass(frozen=True, slots=True)
class PurgeObject(_Freeing):
    """Record that a deleted object's bytes are gone."""

    blake3: Digest

    @property
    def keys(self) -> Keys:
        """The object."""
        return Keys(objects={self.blake3.value})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Purged, if it is deleting; nothing otherwise."""
        row = rows.objects[self.blake3.value]
        return (ObjectPurged(self.blake3),) if row is not None and row.state == ObjectState.DELETING else ()

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Tombstone(_Freeing):
    """Delete all versions of a name."""

    tombstones: ClassVar[bool] = True
    namespace: str
    name: str
    if_match: Condition

    @property
    def keys(self) -> Keys:
        """The name."""
        return Keys(names={(self.namespace, self.name)})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Tombstoned through the latest version."""
        row = rows.names[self.namespace, self.name]
        if row is None or not row.live:
            raise ArtifactNotFoundError(f"there is no artifact {self.namespace}/{self.name}")
        check_condition(Digest.blake3(row.latest_blake3), create_only=False, if_match=self.if_match)
        return (NameTombstoned(self.namespace, self.name, row.latest_version),)

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> int:
        """The last version that is deleted."""
        row = rows.names[self.namespace, self.name]
        return 0 if row is None else row.tombstoned_through


@dataclass(frozen=True, slots=True)
class RecordRetrievals(_Plain):
    """Record downloads, summed."""

    entries: tuple[Retrievals, ...]

    @property
    def keys(self) -> Keys:
        """None: retrievals are facts of their own."""
        return Keys()

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """One event for all, none for none."""
        return (RetrievalsRecorded(self.entries),) if self.entries else ()

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> None:
        """Nothing."""


def _row(rows: WorkingSet, blake3: Digest) -> ObjectRow:
    row = rows.objects[blake3.value]
    if row is None:
        raise ObjectNotFoundError(f"there is no object {blake3}")
    return row


def _present(rows: WorkingSet, blake3: Digest) -> ObjectRow:
    row = _row(rows, blake3)
    if not row.present:
        raise ObjectNotFoundError(f"there is no object {blake3}")
    return row


def _stored(recorded: Sequence[RecordedEvent]) -> bool:
    return any(item.type == ObjectStored.type for item in recorded)
