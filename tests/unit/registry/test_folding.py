"""Events that cannot follow the ones before them, and what the fold makes of those that can."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from uuid import UUID

import pytest

from artifactstore.domain.artifact import ArtifactMetadata, Retrievals
from artifactstore.domain.digest import Algorithm, ObjectIdentity
from artifactstore.domain.errors import LogCorruptError
from artifactstore.registry.envelope import record
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
from artifactstore.registry.rebuilding import Shadow
from artifactstore.registry.sqlite import scratch_engine
from tests.unit.registry.conftest import Dump, dump_of, identity

LOG, TIME = "log", "2026-11-23T20:18:59.123456Z"
ONE, TWO = identity(1), identity(2)


def stored(item: ObjectIdentity = ONE, namespace: str | None = "default") -> ObjectStored:
    return ObjectStored(item, "memory", Algorithm.BLAKE3, namespace)


def created(number: int, item: ObjectIdentity = ONE, *, identifier: int | None = None) -> ArtifactCreated:
    return ArtifactCreated(UUID(int=identifier or number), "default", "a", number, item.blake3, ArtifactMetadata())


DAMAGED = ObjectDamaged(ONE.blake3, "missing", None, None, None)
DELETED, PURGED = ObjectDeleted(ONE.blake3), ObjectPurged(ONE.blake3)


def fold(events: Sequence[Event], at_once: int) -> Dump:
    """The rows of these events, folded so many at a time."""
    shadow, engine = Shadow(LOG), scratch_engine()
    recorded = [record(LOG, seq, event, actor="test", time=TIME) for seq, event in enumerate(events, 1)]
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
]


@pytest.mark.parametrize("at_once", range(2, len(HISTORY) + 1))
def test_the_rows_do_not_depend_on_where_batches_end(at_once: int) -> None:
    assert fold(HISTORY, at_once) == fold(HISTORY, 1)


def test_the_rows_of_a_history() -> None:
    rows = fold(HISTORY, 3)
    states = {row[0]: (row[5], row[6], row[8]) for row in rows["objects"]}
    assert states == {ONE.blake3.value: ("live", None, 9), TWO.blake3.value: ("purged", None, 2)}
    assert rows["object_namespaces"] == [(ONE.blake3.value, "other")]
    assert rows["names"] == [("default", "a", 3, UUID(int=3).bytes, 2)]
    assert sorted(row[3] for row in rows["artifacts"]) == [1, 2, 3]
    assert rows["retrievals"] == [(13, 0, ONE.blake3.value, UUID(int=3).bytes, "reader", "2026-11-23T20:18Z", 2, 2)]
