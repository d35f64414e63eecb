"""The event types, each with its version and the JSON fields of its payload.

A type is a frozen dataclass. `fields` gives the payload as JSON values, `read` is its inverse; what the subject already
says (which object, which name) is not said again, except where docs/event-log.md lists it. A type's payload never
changes: a new form is a new class with the next version, and the old one stays readable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self
from uuid import UUID

from artifactstore.domain.artifact import ArtifactMetadata, Retrievals
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import ArtifactStoreError, LogCorruptError, UnknownEventError
from artifactstore.registry import payloads
from artifactstore.registry.payloads import Fields


class Event(Protocol):
    """What happened, before it has a place in the log."""

    type: ClassVar[str]
    version: ClassVar[int]

    @property
    def subject(self) -> str:
        """What it happened to: `blake3:<hex>`, `artifact:<uuid>`, `name:<namespace>/<name>` or `retrievals`."""
        ...

    def fields(self) -> dict[str, Any]:
        """The payload as JSON values; integers below 2^53, no floats."""
        ...

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """The event of a decoded payload."""
        ...


def _text(digest: Digest | None) -> str | None:
    return None if digest is None else str(digest)


def _object(subject: str) -> Digest:
    digest = Digest.parse(subject)
    if digest.algorithm is not Algorithm.BLAKE3:
        raise ValueError("an object's subject is its BLAKE3 digest")
    return digest


@dataclass(frozen=True, slots=True)
class ObjectStored:
    """Bytes are durable in a backend. `namespace` is that of a bare upload, None when stored through an artifact."""

    type: ClassVar[str] = "object.stored"
    version: ClassVar[int] = 1
    identity: ObjectIdentity
    backend_id: str
    primary_algorithm: Algorithm
    namespace: str | None

    @property
    def subject(self) -> str:
        """The object."""
        return str(self.identity.blake3)

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {
            "blake3": str(self.identity.blake3),
            "sha256": str(self.identity.sha256),
            "size_bytes": self.identity.size_bytes,
            "backend_id": self.backend_id,
            "primary_algorithm": str(self.primary_algorithm),
            "namespace": self.namespace,
        }

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        blake3, sha256 = fields.digest("blake3", Algorithm.BLAKE3), fields.digest("sha256", Algorithm.SHA256)
        identity = ObjectIdentity(blake3, sha256, fields.number("size_bytes"))
        primary = Algorithm(fields.text("primary_algorithm"))
        return cls(identity, fields.text("backend_id"), primary, fields.text_or_none("namespace"))


@dataclass(frozen=True, slots=True)
class ObjectClaimed:
    """A further bare upload of a known object, in another namespace."""

    type: ClassVar[str] = "object.claimed"
    version: ClassVar[int] = 1
    blake3: Digest
    namespace: str

    @property
    def subject(self) -> str:
        """The object."""
        return str(self.blake3)

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {"namespace": self.namespace}

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        return cls(_object(subject), fields.text("namespace"))


@dataclass(frozen=True, slots=True)
class ObjectDamaged:
    """A check found the stored copy missing or different; what it found, as far as it could read."""

    type: ClassVar[str] = "object.damaged"
    version: ClassVar[int] = 1
    blake3: Digest
    reason: str
    actual_blake3: Digest | None
    actual_sha256: Digest | None
    size_bytes: int | None

    @property
    def subject(self) -> str:
        """The object."""
        return str(self.blake3)

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {
            "reason": self.reason,
            "actual_blake3": _text(self.actual_blake3),
            "actual_sha256": _text(self.actual_sha256),
            "size_bytes": self.size_bytes,
        }

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        blake3 = fields.digest_or_none("actual_blake3", Algorithm.BLAKE3)
        sha256 = fields.digest_or_none("actual_sha256", Algorithm.SHA256)
        return cls(_object(subject), fields.text("reason"), blake3, sha256, fields.number_or_none("size_bytes"))


@dataclass(frozen=True, slots=True)
class ObjectMended:
    """The stored copy is whole again: replaced by an upload, or found sound by a verification."""

    type: ClassVar[str] = "object.mended"
    version: ClassVar[int] = 1
    blake3: Digest
    how: Literal["upload", "verification"]

    @property
    def subject(self) -> str:
        """The object."""
        return str(self.blake3)

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {"how": self.how}

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        how: Literal["upload", "verification"] = "upload" if fields.text("how") == "upload" else "verification"
        if fields.text("how") != how:
            raise ValueError("how is upload or verification")
        return cls(_object(subject), how)


@dataclass(frozen=True, slots=True)
class ObjectDeleted:
    """The deletion is decided; bytes may remain."""

    type: ClassVar[str] = "object.deleted"
    version: ClassVar[int] = 1
    blake3: Digest

    @property
    def subject(self) -> str:
        """The object."""
        return str(self.blake3)

    def fields(self) -> dict[str, Any]:
        """The payload: nothing but the subject."""
        return {}

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        return cls(_object(subject))


@dataclass(frozen=True, slots=True)
class ObjectPurged:
    """The bytes of a deleted object are gone."""

    type: ClassVar[str] = "object.purged"
    version: ClassVar[int] = 1
    blake3: Digest

    @property
    def subject(self) -> str:
        """The object."""
        return str(self.blake3)

    def fields(self) -> dict[str, Any]:
        """The payload: nothing but the subject."""
        return {}

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        return cls(_object(subject))


@dataclass(frozen=True, slots=True)
class ArtifactCreated:
    """A version of a name, pointing at a stored object. Provenance is carried as the text its author wrote."""

    type: ClassVar[str] = "artifact.created"
    version: ClassVar[int] = 1
    id: UUID
    namespace: str
    name: str
    number: int  # the artifact's version; `version` is the event type's
    blake3: Digest
    metadata: ArtifactMetadata

    @property
    def subject(self) -> str:
        """The artifact."""
        return f"artifact:{self.id}"

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {
            "id": str(self.id),
            "namespace": self.namespace,
            "name": self.name,
            "version": self.number,
            "blake3": str(self.blake3),
            "kind": self.metadata.kind,
            "media_type": self.metadata.media_type,
            "labels": self.metadata.labels,
            "provenance": self.metadata.provenance,
            "retention": self.metadata.retention,
        }

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        metadata = ArtifactMetadata(
            kind=fields.text_or_none("kind"),
            media_type=fields.text("media_type"),
            labels=fields.texts("labels"),
            provenance=fields.text_or_none("provenance"),
            retention=fields.text_or_none("retention"),
        )
        return cls(
            UUID(fields.text("id")),
            fields.text("namespace"),
            fields.text("name"),
            fields.number("version"),
            fields.digest("blake3", Algorithm.BLAKE3),
            metadata,
        )


@dataclass(frozen=True, slots=True)
class NameTombstoned:
    """The versions of a name up to `through_version` are deleted."""

    type: ClassVar[str] = "name.tombstoned"
    version: ClassVar[int] = 1
    namespace: str
    name: str
    through_version: int

    @property
    def subject(self) -> str:
        """The name."""
        return f"name:{self.namespace}/{self.name}"

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {"namespace": self.namespace, "name": self.name, "through_version": self.through_version}

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        return cls(fields.text("namespace"), fields.text("name"), fields.number("through_version"))


@dataclass(frozen=True, slots=True)
class RetrievalsRecorded:
    """Downloads since the last such event, summed per object or artifact, actor and minute."""

    type: ClassVar[str] = "retrievals.recorded"
    version: ClassVar[int] = 1
    entries: tuple[Retrievals, ...]

    @property
    def subject(self) -> str:
        """Always the same."""
        return "retrievals"

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {
            "entries": [
                {
                    "blake3": str(entry.blake3),
                    "artifact_id": None if entry.artifact_id is None else str(entry.artifact_id),
                    "actor": entry.actor,
                    "minute": entry.minute,
                    "count": entry.count,
                    "size_bytes": entry.size_bytes,
                }
                for entry in self.entries
            ]
        }

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        return cls(
            tuple(
                Retrievals(
                    entry.digest("blake3", Algorithm.BLAKE3),
                    None if (artifact_id := entry.text_or_none("artifact_id")) is None else UUID(artifact_id),
                    entry.text("actor"),
                    entry.text("minute"),
                    entry.number("count"),
                    entry.number("size_bytes"),
                )
                for entry in fields.each("entries")
            )
        )


#: Every type and version that this code can read. A type that is missing here stops a rebuild, by its name.
EVENT_TYPES: Mapping[tuple[str, int], type[Event]] = {
    ("object.stored", 1): ObjectStored,
    ("object.claimed", 1): ObjectClaimed,
    ("object.damaged", 1): ObjectDamaged,
    ("object.mended", 1): ObjectMended,
    ("object.deleted", 1): ObjectDeleted,
    ("object.purged", 1): ObjectPurged,
    ("artifact.created", 1): ArtifactCreated,
    ("name.tombstoned", 1): NameTombstoned,
    ("retrievals.recorded", 1): RetrievalsRecorded,
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
