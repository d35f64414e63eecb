"""Commands of objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from artifactstore.domain.artifact import Attestation, ObjectRecord, ObjectState
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import ObjectDamagedError, ObjectInUseError, ObjectNotFoundError, RegistryError
from artifactstore.domain.usage import Quota, Usage
from artifactstore.registry.commands.command import Freeing, Plain
from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.events import (
    Event,
    ObjectAttested,
    ObjectClaimed,
    ObjectDamaged,
    ObjectDeleted,
    ObjectMended,
    ObjectPurged,
    ObjectStored,
)
from artifactstore.registry.rows import AttestationRow, Keys, ObjectRow, WorkingSet


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
class StoredBytes:
    """An object that is there already, by its record."""

    identity: ObjectIdentity

    def events(self, rows: WorkingSet, namespace: str | None) -> list[Event]:
        """Nothing is to be recorded of the object. ObjectNotFoundError, ObjectDamagedError."""
        row = present(rows, self.identity.blake3)
        if row.state == ObjectState.DAMAGED:
            raise ObjectDamagedError(f"the stored copy of {self.identity.blake3} is damaged; upload the object again")
        return []


def check_quota(rows: WorkingSet, quota: Quota | None, namespace: str, size_bytes: int) -> None:
    """QuotaExceededError if the namespace has no room for one more of that size."""
    if quota is not None:
        row = rows.usage[namespace]
        used = Usage(namespace) if row is None else Usage(namespace, row.objects, row.size_bytes)
        quota.check(used, size_bytes)


@dataclass(frozen=True, slots=True)
class RecordObject(Plain):
    """A bare upload, into a namespace."""

    upload: Upload
    namespace: str
    quota: Quota | None = None

    @property
    def keys(self) -> Keys:
        """The object and the claim."""
        blake3 = self.upload.identity.blake3.value
        return Keys(
            objects={blake3},
            sha256={self.upload.identity.sha256.value},
            claims={(blake3, self.namespace)},
            usage={self.namespace},
        )

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Stored, or mended, or claimed, or nothing new."""
        blake3 = self.upload.identity.blake3
        events = self.upload.events(rows, self.namespace)
        is_new = any(isinstance(event, ObjectStored) for event in events)
        if is_new or not rows.claimed(blake3.value, self.namespace):
            check_quota(rows, self.quota, self.namespace, self.upload.identity.size_bytes)
            if not is_new:
                events.append(ObjectClaimed(blake3, self.namespace))
        return events

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> tuple[ObjectRecord, bool]:
        """The object, and whether it is new."""
        return row_of(rows, self.upload.identity.blake3).record(), stored(recorded)


@dataclass(frozen=True, slots=True)
class MarkDamaged(Freeing):
    """A check found the stored copy missing or different."""

    event: ObjectDamaged

    @property
    def keys(self) -> Keys:
        """The object."""
        return Keys(objects={self.event.blake3.value})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """The mark, unless it stands there for the same reason."""
        row = present(rows, self.event.blake3)
        known = row.state == ObjectState.DAMAGED and row.damage == self.event.reason
        return () if known else (self.event,)

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> ObjectRecord:
        """The object."""
        return row_of(rows, self.event.blake3).record()


@dataclass(frozen=True, slots=True)
class MarkSound(Plain):
    """A check found the stored copy whole."""

    blake3: Digest

    @property
    def keys(self) -> Keys:
        """The object."""
        return Keys(objects={self.blake3.value})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Mended, if it was marked damaged."""
        damaged = present(rows, self.blake3).state == ObjectState.DAMAGED
        return (ObjectMended(self.blake3, "verification"),) if damaged else ()

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> ObjectRecord:
        """The object."""
        return row_of(rows, self.blake3).record()


@dataclass(frozen=True, slots=True)
class DeleteObject(Freeing):
    """Decide an object's deletion."""

    blake3: Digest

    @property
    def keys(self) -> Keys:
        """The object, whether anything refers to it, and what goes with it."""
        blake3 = self.blake3.value
        return Keys(objects={blake3}, references={blake3}, claims_of={blake3})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Deleted; refused while an artifact, a package or an attestation refers to it."""
        present(rows, self.blake3)
        if rows.is_referenced(self.blake3.value):
            raise ObjectInUseError(f"an artifact, a package or an attestation refers to {self.blake3}")
        return (ObjectDeleted(self.blake3),)

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> ObjectRecord:
        """The object, deleting."""
        return row_of(rows, self.blake3).record()


@dataclass(frozen=True, slots=True)
class PurgeObject(Freeing):
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
class Attest(Plain):
    """Attach a statement, which is stored, to an object."""

    event: ObjectAttested

    @property
    def keys(self) -> Keys:
        """Both objects, and what is attached already."""
        blake3 = self.event.blake3.value
        return Keys(objects={blake3, self.event.statement.value}, attestations={blake3})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Attested, unless the same statement is attached with the same outcome."""
        present(rows, self.event.blake3)
        present(rows, self.event.statement)
        return () if self._row(rows) is not None else (self.event,)

    def _row(self, rows: WorkingSet) -> AttestationRow | None:
        outcome = (self.event.statement.value, str(self.event.signature), self.event.key_id)
        there = rows.attestations[self.event.blake3.value]
        return next((row for row in there if (row.statement, row.signature, row.key_id) == outcome), None)

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> tuple[Attestation, bool]:
        """The attestation, and whether it is new."""
        row = self._row(rows)
        assert row is not None  # noqa: S101 - it was there, or was folded just now
        return row.attestation(), bool(recorded)


def row_of(rows: WorkingSet, blake3: Digest) -> ObjectRow:
    """The object's row; ObjectNotFoundError."""
    row = rows.objects[blake3.value]
    if row is None:
        raise ObjectNotFoundError(f"there is no object {blake3}")
    return row


def present(rows: WorkingSet, blake3: Digest) -> ObjectRow:
    """The row of an object that is there; ObjectNotFoundError."""
    row = row_of(rows, blake3)
    if not row.present:
        raise ObjectNotFoundError(f"there is no object {blake3}")
    return row


def stored(recorded: Sequence[RecordedEvent]) -> bool:
    """Whether the object is new."""
    return any(item.type == ObjectStored.type for item in recorded)
