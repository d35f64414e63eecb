"""The event types, each with its version and the JSON fields of its payload.

A type is a frozen dataclass. `fields` gives the payload as JSON values, `read` is its inverse; what the subject already
says (which object, which name) is not said again, except where docs/event-log.md lists it. A type's payload never
changes: a new form is a new class with the next version, and the old one stays readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

from artifactstore.domain.errors import ArtifactStoreError, LogCorruptError, UnknownEventError
from artifactstore.registry import payloads
from artifactstore.registry.events.artifacts import (
    ArtifactCreated,
    ArtifactLabelled,
    NameTombstoned,
    RetrievalsRecorded,
)
from artifactstore.registry.events.objects import (
    ObjectAttested,
    ObjectClaimed,
    ObjectDamaged,
    ObjectDeleted,
    ObjectMended,
    ObjectPurged,
    ObjectStored,
)
from artifactstore.registry.events.packages import Member, PackageSealed
from artifactstore.registry.events.tokens import TokenIssued, TokenRevoked
from artifactstore.registry.payloads import Fields

__all__ = [
    "EVENT_TYPES",
    "ArtifactCreated",
    "ArtifactLabelled",
    "Event",
    "Member",
    "NameTombstoned",
    "ObjectAttested",
    "ObjectClaimed",
    "ObjectDamaged",
    "ObjectDeleted",
    "ObjectMended",
    "ObjectPurged",
    "ObjectStored",
    "PackageSealed",
    "RetrievalsRecorded",
    "TokenIssued",
    "TokenRevoked",
    "decode",
    "encode",
]


class Event(Protocol):
    """What happened, before it has a place in the log."""

    type: ClassVar[str]
    version: ClassVar[int]

    @property
    def subject(self) -> str:
        """What it happened to: `blake3:<hex>`, `name:<namespace>/<name>`, `retrievals`, or `artifact:`, `package:` or
        `token:` with an id.
        """
        ...

    def fields(self) -> dict[str, Any]:
        """The payload as JSON values; integers below 2^53, no floats."""
        ...

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """The event of a decoded payload."""
        ...


#: Every type and version that this code can read. A type that is missing here stops a rebuild, by its name.
EVENT_TYPES: Mapping[tuple[str, int], type[Event]] = {
    ("object.stored", 1): ObjectStored,
    ("object.claimed", 1): ObjectClaimed,
    ("object.damaged", 1): ObjectDamaged,
    ("object.mended", 1): ObjectMended,
    ("object.deleted", 1): ObjectDeleted,
    ("object.purged", 1): ObjectPurged,
    ("object.attested", 1): ObjectAttested,
    ("artifact.created", 1): ArtifactCreated,
    ("artifact.labelled", 1): ArtifactLabelled,
    ("name.tombstoned", 1): NameTombstoned,
    ("retrievals.recorded", 1): RetrievalsRecorded,
    ("package.sealed", 1): PackageSealed,
    ("token.issued", 1): TokenIssued,
    ("token.revoked", 1): TokenRevoked,
}


def encode(event: Event) -> bytes:
    """The payload's bytes: canonical JSON (RFC 8785)."""
    return payloads.dump(event.fields())


def decode(seq: int, type_name: str, version: int, subject: str, payload: bytes) -> Event:
    """The event of a stored row. UnknownEventError for a type of later code, LogCorruptError for a wrong payload."""
    event_type = EVENT_TYPES.get((type_name, version))
    if event_type is None:
        raise UnknownEventError(f"event {seq} is a {type_name} of version {version}, which this version cannot read")
    try:
        event = event_type.read(subject, payloads.load(payload))
        if event.subject != subject:
            raise ValueError(f"it is of {event.subject}, not of {subject}")
    except (ArtifactStoreError, LookupError, TypeError, ValueError) as error:
        raise LogCorruptError(f"event {seq}, a {type_name}, has a payload that cannot be read: {error}") from None
    return event
