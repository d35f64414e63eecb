"""Events that cannot follow the ones before them, and what the fold makes of those that can."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from operator import itemgetter
from uuid import UUID

import pytest

from artifactstore.domain.artifact import ArtifactMetadata, Retrievals, SignatureOutcome
from artifactstore.domain.digest import Algorithm, ObjectIdentity
from artifactstore.domain.errors import LogCorruptError
from artifactstore.domain.token import Scope
from artifactstore.registry.envelope import SALT_BYTES, record
from artifactstore.registry.events import (
    ArtifactCreated,
    ArtifactLabelled,
    Event,
    Member,
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
from artifactstore.registry.rebuilding import Shadow
from artifactstore.registry.sqlite import scratch_engine
from tests.unit.registry.conftest import Dump, dump_of, identity

LOG, TIME = "log", "2026-11-23T20:18:59.123456Z"
ONE, TWO, THREE = identity(1), identity(2), identity(3)


def stored(item: ObjectIdentity = ONE, namespace: str | None = "default") -> ObjectStored:
    return ObjectStored(item, "memory", Algorithm.BLAKE3, namespace)


def created(
    number: int, item: ObjectIdentity = ONE, *, identifier: int | None = None, provenance: str | None = None
) -> ArtifactCreated:
    metadata = ArtifactMetadata(labels={"a": "1"} if provenance else {}, provenance=provenance)
    return ArtifactCreated(UUID(int=identifier or number), "default", "a", number, item.blake3, metadata)


DAMAGED = ObjectDamaged(ONE.blake3, "missing", None, None, None)
DELETED, PURGED = ObjectDeleted(ONE.blake3), ObjectPurged(ONE.blake3)

ATTESTED = ObjectAttested(ONE.blake3, TWO.blake3, "https://slsa.dev/provenance/v1", SignatureOutcome.VERIFIED, "key")
EXPIRY = "2027-01-01T00:00:00.000000Z"
ISSUED = TokenIssued(UUID(int=8), "ci", bytes(32), frozenset({Scope.WRITE, Scope.READ}), frozenset({"b", "a"}), EXPIRY)
REVOKED = TokenRevoked(UUID(int=8))


def sealed(
    number: int, manifest: ObjectIdentity = ONE, *, member: ObjectIdentity = ONE, supersedes: int | None = None
) -> PackageSealed:
    members = (Member("b", member.blake3, "text/plain", UUID(int=3)), Member("c", ONE.blake3, "text/plain", None))
    earlier = None if supersedes is None else UUID(int=supersedes)
    return PackageSealed(UUID(int=number), "default", "p", manifest.blake3, members, earlier)


def fold(events: Sequence[Event], at_once: int) -> Dump:
    """The rows of these events, folded so many at a time."""
    shadow, engine = Shadow(LOG), scratch_engine()
    recorded = [
        record(LOG, seq, event, actor="test", time=TIME, salt=bytes(SALT_BYTES)) for seq, event in enumerate(events, 1)
    ]
    try:
        with engine.connect() as connection:
            with connection.begin():
                shadow.create(connection)
            for begin in range(0, len(recorded), at_once):
                with connection.begin():
                    shadow.fold(connection, recorded[begin : begin + at_once])
            driver = connection.connection.driver_connection
            assert driver is not None
            return dump_of(driver, prefix="shadow_")
    finally:
        engine.dispose()


IMPOSSIBLE: dict[str, list[Event]] = {
    "claim of what was never stored": [ObjectClaimed(ONE.blake3, "default")],
    "damage of what was never stored": [DAMAGED],
    "mending of what was never stored": [ObjectMended(ONE.blake3, "upload")],
    "deletion of what was never stored": [DELETED],
    "purge of what was never stored": [PURGED],
    "artifact of what was never stored": [created(1)],
    "stored twice": [stored(), stored()],
    "stored anew with another size": [stored(), DELETED, stored(dataclasses.replace(ONE, size_bytes=7))],
    "stored anew with another SHA-256": [stored(), DELETED, stored(dataclasses.replace(ONE, sha256=TWO.sha256))],
    "the SHA-256 of another object": [stored(), stored(dataclasses.replace(TWO, sha256=ONE.sha256))],
    "claimed twice": [stored(), ObjectClaimed(ONE.blake3, "default")],
    "claimed when deleted": [stored(), DELETED, ObjectClaimed(ONE.blake3, "other")],
    "damaged when deleted": [stored(), DELETED, DAMAGED],
    "mended when deleted": [stored(), DELETED, ObjectMended(ONE.blake3, "verification")],
    "deleted twice": [stored(), DELETED, DELETED],
    "deleted when purged": [stored(), DELETED, PURGED, DELETED],
    "purged when live": [stored(), PURGED],
    "purged twice": [stored(), DELETED, PURGED, PURGED],
    "an artifact of what is deleted": [stored(), DELETED, created(1)],
    "a first version that is not 1": [stored(), created(2)],
    "a version twice": [stored(), created(1), created(1, identifier=9)],
    "a version left out": [stored(), created(1), created(3)],
    "a version that begins anew": [stored(), created(1), NameTombstoned("default", "a", 1), created(1, identifier=9)],
    "an id twice": [stored(), created(1), created(2, identifier=1)],
    "labels of no artifact": [ArtifactLabelled(UUID(int=1), {})],
    "a statement about nothing": [stored(TWO), ATTESTED],
    "a statement that is not there": [stored(), ATTESTED],
    "a package of what is not there": [stored(), sealed(1, member=TWO)],
    "a package whose manifest is not there": [stored(TWO), sealed(1, member=TWO)],
    "a package twice": [stored(), sealed(1), sealed(2)],
    "a package's id twice": [stored(), stored(TWO), sealed(1), sealed(1, TWO)],
    "a package in place of none": [stored(), sealed(1, supersedes=9)],
    "two packages in place of one": [
        *(stored(), stored(TWO), stored(THREE)),
        *(sealed(1), sealed(2, TWO, supersedes=1), sealed(3, THREE, supersedes=1)),
    ],
    "a token twice": [ISSUED, ISSUED],
    "no token revoked": [REVOKED],
    "a token revoked twice": [ISSUED, REVOKED, REVOKED],
    "a tombstone of nothing": [NameTombstoned("default", "a", 1)],
    "a tombstone twice": [stored(), created(1), NameTombstoned("default", "a", 1), NameTombstoned("default", "a", 1)],
    "a tombstone of a later version": [stored(), created(1), NameTombstoned("default", "a", 2)],
    "a tombstone of an earlier version": [stored(), created(1), created(2), NameTombstoned("default", "a", 1)],
}


@pytest.mark.parametrize("at_once", [1, 100])
@pytest.mark.parametrize("events", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_an_event_that_cannot_follow_stops_the_fold(events: list[Event], at_once: int) -> None:
    fold(events[:-1], at_once)
    with pytest.raises(LogCorruptError, match=r"event"):
        fold(events, at_once)


@pytest.mark.parametrize("events", [events for name, events in IMPOSSIBLE.items() if name != "an id twice"])
def test_the_event_and_its_subject_are_named(events: list[Event]) -> None:
    with pytest.raises(LogCorruptError) as caught:
        fold(events, 100)
    assert f"event {len(events)}, {events[-1].type} of {events[-1].subject}, cannot be: " in str(caught.value)


HISTORY: list[Event] = [
    stored(),
    stored(TWO, None),
    ObjectClaimed(TWO.blake3, "other"),
    created(1),
    created(2, TWO),
    DAMAGED,
    NameTombstoned("default", "a", 2),
    DELETED,
    stored(ONE, "other"),
    created(3),
    ObjectDeleted(TWO.blake3),
    ObjectPurged(TWO.blake3),
    RetrievalsRecorded((Retrievals(ONE.blake3, UUID(int=3), "reader", "2026-11-23T20:18Z", 2, 2),)),
    RetrievalsRecorded(()),
    created(4, provenance=json.dumps({"inputs": [str(TWO.blake3), {"artifact": str(UUID(int=3))}, 7]})),
    ArtifactLabelled(UUID(int=4), {"b": "2", "c": "3"}),
    ArtifactLabelled(UUID(int=4), {"c": "4"}),
    stored(TWO),
    ATTESTED,
    ObjectAttested(TWO.blake3, ONE.blake3, "other", SignatureOutcome.UNSIGNED, None),
    sealed(5),
    sealed(6, TWO, member=TWO, supersedes=5),
    ISSUED,
    REVOKED,
    stored(THREE, "other"),
    ObjectAttested(THREE.blake3, ONE.blake3, "other", SignatureOutcome.UNSIGNED, None),
    ObjectDeleted(THREE.blake3),
]


@pytest.mark.parametrize("at_once", range(2, len(HISTORY) + 1))
def test_the_rows_do_not_depend_on_where_batches_end(at_once: int) -> None:
    assert fold(HISTORY, at_once) == fold(HISTORY, 1)


def test_the_rows_of_a_history() -> None:
    rows = fold(HISTORY, 3)
    states = {row[0]: (row[5], row[6], row[8]) for row in rows["objects"]}
    assert states == {
        ONE.blake3.value: ("live", None, 9),
        TWO.blake3.value: ("live", None, 18),
        THREE.blake3.value: ("deleting", None, 25),
    }
    assert sorted(rows["object_namespaces"]) == sorted([(ONE.blake3.value, "other"), (TWO.blake3.value, "default")])
    assert rows["names"] == [("default", "a", 4, UUID(int=4).bytes, 2, 2, 2)]
    assert sorted(row[3] for row in rows["artifacts"]) == [1, 2, 3, 4]
    assert rows["artifact_labels"] == [("c", "default", "a", 4, "4", UUID(int=4).bytes)]
    assert [row[-1] for row in rows["artifacts"]] == [1, 1, 1, 3], "revisions"
    assert rows["artifact_inputs"] == [
        (UUID(int=4).bytes, 0, "blake3", TWO.blake3.value),
        (UUID(int=4).bytes, 1, "artifact", UUID(int=3).bytes),
    ]
    assert sorted(rows["attestations"], key=itemgetter(1)) == [
        (ONE.blake3.value, 19, TWO.blake3.value, ATTESTED.predicate_type, "verified", "key", TIME, "test"),
        (TWO.blake3.value, 20, ONE.blake3.value, "other", "unsigned", None, TIME, "test"),
    ]
    first, second = UUID(int=5).bytes, UUID(int=6).bytes
    assert [(row[0], *row[3:8]) for row in rows["packages"]] == [
        (first, ONE.blake3.value, 2, 2, None, second),
        (second, TWO.blake3.value, 2, 3, first, None),
    ]
    assert len(rows["package_members"]) == 4
    assert [row[3:7] for row in rows["tokens"]] == [("read write", "a b", EXPIRY, TIME)]
    assert rows["namespace_usage"] == [("default", 3, 4), ("other", 1, 1)]
    assert rows["retrievals"] == [(13, 0, ONE.blake3.value, UUID(int=3).bytes, "reader", "2026-11-23T20:18Z", 2, 2)]
