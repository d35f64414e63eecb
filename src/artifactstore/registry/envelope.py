"""An event's place in the log: its envelope, and the leaf that commits to it.

leaf = SHA-256(0x00 || envelope), an RFC 6962 leaf. The envelope commits to SHA-256(salt || payload) and not to the
payload, so that a payload can be redacted and the leaf still be computed; the salt keeps short payloads from being
guessed afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from uuid import UUID

from uuid_utils.compat import uuid7

from artifactstore.domain.errors import LogCorruptError
from artifactstore.registry.events import Event, decode, encode
from artifactstore.registry.payloads import text

SALT_BYTES = 16
_SALTS_AT_ONCE = 256
_LEAF_PREFIX = b"\x00"  # RFC 6962, 2.1: tells leaves from inner nodes


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """One row of the log."""

    seq: int
    id: UUID
    type: str
    version: int
    subject: str
    actor: str
    time: str  # UTC, `2026-11-23T20:18:59.123456Z`: the text that is hashed
    payload: bytes
    leaf: bytes
    salt: bytes

    def event(self) -> Event:
        """The payload, decoded."""
        return decode(self.seq, self.type, self.version, self.subject, self.payload)


def contradiction(recorded: RecordedEvent, why: str) -> LogCorruptError:
    """What to raise for an event that cannot follow the ones before it."""
    return LogCorruptError(f"event {recorded.seq}, {recorded.type} of {recorded.subject}, cannot be: {why}")


def timestamp(moment: datetime) -> str:
    """UTC text with microseconds, always 27 characters, so that text order is time order."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def leaf(
    log_id: str,
    *,
    seq: int,
    event_id: UUID,
    type_name: str,
    version: int,
    subject: str,
    actor: str,
    time: str,
    salt: bytes,
    payload: bytes,
) -> bytes:
    """The 32 bytes that commit to an event and its place in this log."""
    # Canonical JSON, written out: its keys are always these nine, in this order, and a line of them costs a tenth of
    # an encoder. The tests hold it against the rfc8785 library.
    envelope = (
        f'{{"actor":{text(actor)},"commitment":"{sha256(salt + payload).hexdigest()}","id":"{event_id}",'
        f'"log":{text(log_id)},"seq":{seq},"subject":{text(subject)},"time":{text(time)},"type":{text(type_name)},'
        f'"version":{version}}}'
    )
    return sha256(_LEAF_PREFIX + envelope.encode()).digest()


class Salts:
    """Random salts, drawn many at a time: to ask the system gives up the interpreter's lock. For one thread."""

    def __init__(self) -> None:
        self._drawn: Iterator[bytes] = iter(())

    def next(self) -> bytes:
        """A salt that nobody has had."""
        for salt in self._drawn:
            return salt
        drawn = os.urandom(SALT_BYTES * _SALTS_AT_ONCE)
        self._drawn = iter([drawn[at : at + SALT_BYTES] for at in range(0, len(drawn), SALT_BYTES)])
        return next(self._drawn)


def record(log_id: str, seq: int, event: Event, *, actor: str, time: str, salt: bytes) -> RecordedEvent:
    """Give an event its place in the log."""
    event_id, payload, subject = uuid7(), encode(event), event.subject
    committed = leaf(
        log_id,
        seq=seq,
        event_id=event_id,
        type_name=event.type,
        version=event.version,
        subject=subject,
        actor=actor,
        time=time,
        salt=salt,
        payload=payload,
    )
    return RecordedEvent(
        seq, event_id, event.type, event.version, subject, actor, time, payload=payload, leaf=committed, salt=salt
    )


def check(log_id: str, seq: int, recorded: RecordedEvent) -> None:
    """LogCorruptError unless `recorded` is event `seq` of this log and its leaf is its own."""
    if recorded.seq != seq:
        raise LogCorruptError(f"event {seq} is missing from the log: {recorded.seq} comes in its place")
    expected = leaf(
        log_id,
        seq=recorded.seq,
        event_id=recorded.id,
        type_name=recorded.type,
        version=recorded.version,
        subject=recorded.subject,
        actor=recorded.actor,
        time=recorded.time,
        salt=recorded.salt,
        payload=recorded.payload,
    )
    if expected != recorded.leaf:
        raise LogCorruptError(f"event {seq} is not what was recorded: its leaf does not match it")
