from __future__ import annotations

import dataclasses
import json
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactstore.domain.artifact import ArtifactMetadata, Retrievals, SignatureOutcome
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import LogCorruptError, UnknownEventError
from artifactstore.domain.token import Scope
from artifactstore.registry.events import (
    EVENT_TYPES,
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
    decode,
    encode,
)
from tests.unit.registry.conftest import identity

BYTES32 = st.binary(min_size=32, max_size=32)
BLAKE3, SHA256 = st.builds(Digest.blake3, BYTES32), st.builds(Digest.sha256, BYTES32)
NUMBERS = st.integers(0, 2**53 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
IDS = st.builds(UUID, bytes=st.binary(min_size=16, max_size=16))
METADATA = st.builds(
    ArtifactMetadata,
    kind=st.none() | TEXT,
    media_type=TEXT,
    labels=st.dictionaries(TEXT, TEXT, max_size=3),
    provenance=st.none() | TEXT,
    retention=st.none() | TEXT,
)
ENTRIES = st.builds(Retrievals, BLAKE3, st.none() | IDS, TEXT, TEXT, NUMBERS, NUMBERS)
MEMBERS = st.builds(Member, TEXT, BLAKE3, TEXT, st.none() | IDS)
STRATEGIES: dict[type[Event], st.SearchStrategy[Event]] = {
    ObjectStored: st.builds(
        ObjectStored,
        st.builds(ObjectIdentity, BLAKE3, SHA256, NUMBERS),
        TEXT,
        st.sampled_from(Algorithm),
        st.none() | TEXT,
    ),
    ObjectClaimed: st.builds(ObjectClaimed, BLAKE3, TEXT),
    ObjectDamaged: st.builds(ObjectDamaged, BLAKE3, TEXT, st.none() | BLAKE3, st.none() | SHA256, st.none() | NUMBERS),
    ObjectMended: st.builds(ObjectMended, BLAKE3, st.sampled_from(["upload", "verification"])),
    ObjectDeleted: st.builds(ObjectDeleted, BLAKE3),
    ObjectPurged: st.builds(ObjectPurged, BLAKE3),
    ArtifactCreated: st.builds(ArtifactCreated, IDS, TEXT, TEXT, NUMBERS, BLAKE3, METADATA),
    NameTombstoned: st.builds(NameTombstoned, TEXT, TEXT, NUMBERS),
    RetrievalsRecorded: st.builds(RetrievalsRecorded, st.lists(ENTRIES, max_size=3).map(tuple)),
    ObjectAttested: st.builds(
        ObjectAttested, BLAKE3, BLAKE3, TEXT, st.sampled_from(SignatureOutcome), st.none() | TEXT
    ),
    ArtifactLabelled: st.builds(ArtifactLabelled, IDS, st.dictionaries(TEXT, TEXT, max_size=3)),
    PackageSealed: st.builds(
        PackageSealed, IDS, TEXT, TEXT, BLAKE3, st.lists(MEMBERS, max_size=3).map(tuple), st.none() | IDS
    ),
    TokenIssued: st.builds(
        TokenIssued,
        IDS,
        TEXT,
        st.binary(min_size=32, max_size=32),
        st.frozensets(st.sampled_from(Scope)),
        st.frozensets(TEXT),
        st.none() | TEXT,
    ),
    TokenRevoked: st.builds(TokenRevoked, IDS),
}
EVENTS = st.one_of(*STRATEGIES.values())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)

STORED = ObjectStored(identity(1), "memory", Algorithm.BLAKE3, "default")
CREATED = ArtifactCreated(UUID(int=1), "default", "a", 1, identity(1).blake3, ArtifactMetadata(labels={"a": "b"}))


def decoded(event: Event, payload: bytes) -> Event:
    return decode(7, event.type, event.version, event.subject, payload)


def test_every_type_is_in_the_table_under_its_own_name() -> None:
    assert set(STRATEGIES) == set(EVENT_TYPES.values())
    assert all(key == (event_type.type, event_type.version) for key, event_type in EVENT_TYPES.items())


@given(EVENTS)
def test_every_event_is_read_as_it_was_written(event: Event) -> None:
    assert decoded(event, encode(event)) == event


@given(EVENTS)
def test_a_payload_is_canonical_json(event: Event) -> None:
    payload = encode(event)
    assert payload == rfc8785.dumps(json.loads(payload))
    payload.decode("utf-8")


@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=lambda event_type: event_type.type)
def test_a_type_is_frozen_and_has_no_place_for_more(event_type: Any) -> None:
    assert event_type.__dataclass_params__.frozen
    assert "__slots__" in vars(event_type)


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        STORED.backend_id = "other"  # type: ignore[misc]  # what must fail


@pytest.mark.parametrize("size", [2**53, -(2**53), 2**64])
def test_an_integer_that_json_does_not_hold_exactly_is_not_written(size: int) -> None:
    with pytest.raises(ValueError):
        encode(dataclasses.replace(STORED, identity=dataclasses.replace(STORED.identity, size_bytes=size)))


@pytest.mark.parametrize(("type_name", "version"), [("object.frozen", 1), ("object.stored", 2), ("", 0)])
def test_an_unknown_type_or_version_is_named(type_name: str, version: int) -> None:
    with pytest.raises(UnknownEventError, match=f"event 7 is a {type_name} of version {version}"):
        decode(7, type_name, version, STORED.subject, encode(STORED))


@given(EVENTS, st.data())
@settings(max_examples=150)
def test_a_payload_with_a_wrong_value_is_refused_or_is_an_event(event: Event, data: st.DataObject) -> None:
    fields = json.loads(encode(event))
    target = data.draw(st.sampled_from([fields, *fields.get("entries", [])]))
    if target:
        key = data.draw(st.sampled_from(sorted(target)))
        if data.draw(st.booleans()):
            del target[key]
        else:
            target[key] = data.draw(JSON)
    check_refused_or_event(event, json.dumps(fields).encode())


@given(EVENTS, st.binary(max_size=8), st.integers(0, 400), st.integers(0, 8))
def test_a_payload_with_altered_bytes_is_refused_or_is_an_event(
    event: Event, junk: bytes, position: int, removed: int
) -> None:
    payload = encode(event)
    check_refused_or_event(event, payload[:position] + junk + payload[position + removed :])


def check_refused_or_event(event: Event, payload: bytes) -> None:
    try:
        found = decoded(event, payload)
    except LogCorruptError as error:
        assert f"event 7, a {event.type}," in str(error)
    else:
        assert found.subject == event.subject
        assert decoded(found, encode(found)) == found, "what is read can be written"


@pytest.mark.parametrize(
    ("event", "changes"),
    [
        (STORED, {"size_bytes": "1"}),
        (STORED, {"size_bytes": True}),
        (STORED, {"size_bytes": -1}),
        (STORED, {"size_bytes": 2**53}),
        (STORED, {"size_bytes": 1.0}),
        (STORED, {"namespace": 5}),
        (STORED, {"backend_id": None}),
        (STORED, {"backend_id": "\ud800"}),
        (STORED, {"primary_algorithm": "md5"}),
        (STORED, {"blake3": str(identity(2).blake3)}),
        (STORED, {"sha256": str(identity(1).blake3)}),
        (ObjectMended(identity(1).blake3, "upload"), {"how": "prayer"}),
        (CREATED, {"labels": {"a": 1}}),
        (CREATED, {"labels": [["a", "b"]]}),
        (CREATED, {"id": str(UUID(int=2))}),
        (CREATED, {"blake3": str(identity(1).sha256)}),
        (NameTombstoned("default", "a", 1), {"name": "b"}),
        (RetrievalsRecorded(()), {"entries": [1]}),
        (RetrievalsRecorded(()), {"entries": None}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else type(value).__name__,
)
def test_a_value_of_the_wrong_kind_is_refused(event: Event, changes: dict[str, object]) -> None:
    payload = json.dumps({**event.fields(), **changes}).encode()
    with pytest.raises(LogCorruptError, match=f"event 7, a {event.type}, has a payload that cannot be read"):
        decoded(event, payload)


@pytest.mark.parametrize("payload", [b"", b"null", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"how":NaN}'])
def test_what_is_no_json_object_is_refused(payload: bytes) -> None:
    with pytest.raises(LogCorruptError):
        decoded(ObjectMended(identity(1).blake3, "upload"), payload)


def test_the_subject_of_another_thing_is_refused() -> None:
    with pytest.raises(LogCorruptError, match=f"not of {identity(2).blake3}"):
        decode(7, STORED.type, 1, str(identity(2).blake3), encode(STORED))
    with pytest.raises(LogCorruptError):
        decode(7, "object.deleted", 1, str(identity(1).sha256), b"{}")
    with pytest.raises(LogCorruptError):
        decode(7, "retrievals.recorded", 1, "something", encode(RetrievalsRecorded(())))
