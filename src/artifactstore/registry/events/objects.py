"""Events of objects: stored, claimed, damaged, mended, deleted, purged, attested."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from artifactstore.domain.artifact import SignatureOutcome
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.registry.payloads import Fields


def _text(digest: Digest | None) -> str | None:
    return None if digest is None else str(digest)


def object_of(subject: str) -> Digest:
    """The object that a subject names; ValueError."""
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
        return cls(object_of(subject), fields.text("namespace"))


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
        return cls(object_of(subject), fields.text("reason"), blake3, sha256, fields.number_or_none("size_bytes"))


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
        return cls(object_of(subject), how)


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
        return cls(object_of(subject))


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
        return cls(object_of(subject))


@dataclass(frozen=True, slots=True)
class ObjectAttested:
    """A statement about the object was attached; the statement is an object itself."""

    type: ClassVar[str] = "object.attested"
    version: ClassVar[int] = 1
    blake3: Digest
    statement: Digest
    predicate_type: str
    signature: SignatureOutcome
    key_id: str | None

    @property
    def subject(self) -> str:
        """The object."""
        return str(self.blake3)

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {
            "statement": str(self.statement),
            "predicate_type": self.predicate_type,
            "signature": str(self.signature),
            "key_id": self.key_id,
        }

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        return cls(
            object_of(subject),
            fields.digest("statement", Algorithm.BLAKE3),
            fields.text("predicate_type"),
            SignatureOutcome(fields.text("signature")),
            fields.text_or_none("key_id"),
        )
