from __future__ import annotations

import dataclasses
import os
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain.errors import LogCorruptError
from artifactstore.registry.envelope import SALT_BYTES, RecordedEvent, Salts, check, leaf, record, timestamp
from artifactstore.registry.events import NameTombstoned, encode

LOG = "0199a0b0-0000-7000-8000-000000000001"
EVENT = NameTombstoned("default", "é\U0001f600/\u2028", 3)
TIME = "2026-11-23T20:18:59.123456Z"
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ENVELOPES = st.fixed_dictionaries(
    {
        "seq": st.integers(1, 2**53 - 1),
        "event_id": st.builds(UUID, bytes=st.binary(min_size=16, max_size=16)),
        "type_name": TEXT,
        "version": st.integers(1, 2**31),
        "subject": TEXT,
        "actor": TEXT,
        "time": TEXT,
        "salt": st.binary(min_size=16, max_size=16),
        "payload": st.binary(max_size=40),
    }
)


def independent_leaf(log_id: str, commitment: bytes, fields: dict[str, Any]) -> bytes:
    """As docs/event-log.md says it, with another JSON writer."""
    envelope = {
        "log": log_id,
        "seq": fields["seq"],
        "id": str(fields["event_id"]),
        "type": fields["type_name"],
        "version": fields["version"],
        "subject": fields["subject"],
        "actor": fields["actor"],
        "time": fields["time"],
        "commitment": commitment.hex(),
    }
    return sha256(b"\x00" + rfc8785.dumps(envelope)).digest()


def recorded(seq: int = 1) -> RecordedEvent:
    return record(LOG, seq, EVENT, actor="token:é", time=TIME, salt=os.urandom(SALT_BYTES))


@given(ENVELOPES)
def test_the_leaf_is_what_another_implementation_computes(fields: dict[str, Any]) -> None:
    commitment = sha256(fields["salt"] + fields["payload"]).digest()
    assert leaf(LOG, **fields) == independent_leaf(LOG, commitment, fields)


def test_a_recorded_event_has_the_leaf_of_its_row() -> None:
    row = recorded()
    fields = {
        "seq": row.seq,
        "event_id": row.id,
        "type_name": row.type,
        "version": row.version,
        "subject": row.subject,
        "actor": row.actor,
        "time": row.time,
    }
    # the payload itself is not needed: a redacted event has its commitment in its place
    assert row.leaf == independent_leaf(LOG, sha256(row.salt + row.payload).digest(), fields)
    assert row.payload == encode(EVENT)
    assert row.event() == EVENT
    check(LOG, 1, row)


def test_ids_and_salts_are_new_each_time_and_ids_go_up() -> None:
    rows = [recorded(seq) for seq in range(1, 101)]
    assert len({row.salt for row in rows}) == len({row.leaf for row in rows}) == 100
    assert {len(row.salt) for row in rows} == {16}
    assert [row.id for row in rows] == sorted({row.id for row in rows})
    assert {row.id.version for row in rows} == {7}


CHANGES: list[tuple[str, object]] = [
    ("id", UUID(int=1)),
    ("type", "object.stored"),
    ("version", 2),
    ("subject", "name:default/other"),
    ("actor", "token:e"),
    ("time", "2026-11-23T20:18:59.123457Z"),
    ("payload", b"{}"),
    ("salt", bytes(16)),
    ("leaf", bytes(32)),
]


def test_every_field_of_a_row_is_changed_below() -> None:
    assert {name for name, _ in CHANGES} | {"seq"} == {field.name for field in dataclasses.fields(RecordedEvent)}


@pytest.mark.parametrize(("name", "value"), CHANGES)
def test_a_changed_field_is_found(name: str, value: object) -> None:
    changed = dataclasses.replace(recorded(), **{name: value})  # type: ignore[arg-type]  # a field's name and value
    with pytest.raises(LogCorruptError, match="event 1 is not what was recorded"):
        check(LOG, 1, changed)


def test_an_event_belongs_to_one_place_in_one_log() -> None:
    moved = dataclasses.replace(recorded(1), seq=2)
    with pytest.raises(LogCorruptError, match="event 2 is not what was recorded"):
        check(LOG, 2, moved)
    with pytest.raises(LogCorruptError):
        check("0199a0b0-0000-7000-8000-000000000002", 1, recorded(1))


def test_a_gap_is_found() -> None:
    with pytest.raises(LogCorruptError, match="event 2 is missing from the log: 3 comes in its place"):
        check(LOG, 2, recorded(3))


@given(
    st.datetimes(
        min_value=datetime(1000, 1, 3),
        max_value=datetime(9999, 12, 29),
        timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    )
)
def test_a_timestamp_is_utc_text_of_one_length(moment: datetime) -> None:
    text = timestamp(moment)
    assert len(text) == 27
    assert text.endswith("Z")
    assert datetime.fromisoformat(text) == moment


def test_timestamps_sort_as_their_moments() -> None:
    begin = datetime(2026, 12, 31, 23, 59, 59, 999_999, UTC)
    moments = [begin + timedelta(microseconds=step) for step in range(3)]
    texts = [timestamp(moment) for moment in moments]
    assert texts == sorted(texts)
    assert texts[0] == "2026-12-31T23:59:59.999999Z"
    assert texts[1] == "2027-01-01T00:00:00.000000Z"


def test_no_salt_is_given_twice() -> None:
    salts = Salts()
    drawn = [salts.next() for _ in range(1000)]
    assert {len(salt) for salt in drawn} == {SALT_BYTES}
    assert len(set(drawn)) == 1000
    assert Salts().next() not in drawn
