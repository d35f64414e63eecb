"""The records that the registry keeps: objects, artifacts, packages, attestations, and who read what."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from artifactstore.domain import names
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.provenance import check_inputs


class ObjectState(StrEnum):
    """Where an object stands.

    live -> damaged (a check failed) -> live (mended); live or damaged -> deleting (decided, bytes may remain) ->
    purged (bytes gone); an upload makes deleting and purged live again, with bytes of its own.
    """

    LIVE = "live"
    DAMAGED = "damaged"
    DELETING = "deleting"
    PURGED = "purged"

    @property
    def present(self) -> bool:
        """Whether the object exists for callers: it is listed, and a deletion of it finds something."""
        return self in (ObjectState.LIVE, ObjectState.DAMAGED)


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """An object as the registry knows it. Times are UTC text with microseconds, as in the log."""

    identity: ObjectIdentity
    backend_id: str
    primary_algorithm: Algorithm
    state: ObjectState
    created_at: str
    damage: str | None = None  # why it is marked damaged

    @property
    def address(self) -> Digest:
        """The digest its backend keeps it under."""
        return self.identity.digest(self.primary_algorithm)


@dataclass(frozen=True, slots=True)
class ArtifactMetadata:
    """What a caller says of an artifact."""

    kind: str | None = None
    media_type: str = names.DEFAULT_MEDIA_TYPE
    labels: dict[str, str] = field(default_factory=dict)
    provenance: str | None = None  # a digest, or the text of a JSON object, as given
    retention: str | None = None

    def checked(self) -> ArtifactMetadata:
        """The same in the form that is stored; InvalidMetadataError names the field that breaks a rule."""
        provenance = None if self.provenance is None else names.check_provenance(self.provenance)
        check_inputs(provenance)
        return ArtifactMetadata(
            kind=None if self.kind is None else names.check_kind(self.kind),
            media_type=names.check_media_type(self.media_type),
            labels=names.check_labels(self.labels.items()),
            provenance=provenance,
            retention=None if self.retention is None else names.check_retention(self.retention),
        )


@dataclass(frozen=True, slots=True)
class Artifact:
    """A recorded identity: one version of a name, pointing at one object."""

    id: UUID
    namespace: str
    name: str
    version: int  # from 1, without gaps within a name
    identity: ObjectIdentity
    metadata: ArtifactMetadata
    created_at: str
    created_by: str
    revision: int = 1  # counts the events that changed the record; its creation is the first
    deleted: bool = False  # its name was tombstoned after it


#: A minute of UTC, as retrievals are summed by.
MINUTE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True, slots=True)
class Retrievals:
    """Downloads of one subject by one actor within one minute."""

    blake3: Digest
    artifact_id: UUID | None  # None: read by digest
    actor: str
    minute: str  # UTC, `2026-01-31T23:59Z`
    count: int
    size_bytes: int  # bytes sent, in sum


@dataclass(frozen=True, slots=True)
class SealedMember:
    """What a package holds under one name."""

    name: str
    identity: ObjectIdentity
    media_type: str
    artifact_id: UUID | None = None  # the version that it was sealed from, if it was


@dataclass(frozen=True, slots=True)
class Package:
    """A sealed set of members. Its manifest, an object, says all that is proved of it."""

    id: UUID
    namespace: str
    name: str
    manifest: ObjectIdentity
    members: int
    size_bytes: int  # of the members, in sum
    created_at: str
    created_by: str
    supersedes: UUID | None = None
    superseded_by: UUID | None = None


class SignatureOutcome(StrEnum):
    """What is known of who signed a statement."""

    UNSIGNED = "unsigned"  # there is no signature
    UNVERIFIED = "unverified"  # none is by a key that is configured
    VERIFIED = "verified"
    FAILED = "failed"  # one names a configured key, which did not make it, and no other one holds


@dataclass(frozen=True, slots=True)
class Attestation:
    """A statement about an object, as it was attached; the statement is an object itself."""

    blake3: Digest  # the object it is about
    statement: Digest  # BLAKE3 of the document
    predicate_type: str
    signature: SignatureOutcome
    key_id: str | None  # the key that verified it
    created_at: str
    created_by: str
