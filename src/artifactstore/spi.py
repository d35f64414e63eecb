"""The library's port: what every store is, over a local root (`store.Store`) and over a server (`remote.RemoteStore`).

Sources of bytes are `bytes`, a path, or any asynchronous iterable of buffers. All errors are those of `domain.errors`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, Self, runtime_checkable
from uuid import UUID

from artifactstore.dataplane.sources import Source
from artifactstore.domain.artifact import Artifact, ArtifactMetadata, ObjectState, Retrievals
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.documents import identity_document, parse_identity
from artifactstore.domain.names import DEFAULT_NAMESPACE
from artifactstore.domain.ranges import ByteRange

type Condition = frozenset[Digest] | Literal["*"] | None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object that is stored. `created`: this call brought it into the registry."""

    identity: ObjectIdentity
    created: bool
    state: ObjectState = ObjectState.LIVE


@dataclass(frozen=True, slots=True)
class Verification:
    """What re-reading an object showed."""

    verified: bool
    reason: str | None  # None, or one of: missing, unreadable, digest-mismatch
    expected: ObjectIdentity
    actual_blake3: Digest | None
    actual_sha256: Digest | None
    actual_size_bytes: int | None

    def document(self) -> dict[str, Any]:
        """The outcome as JSON shows it."""
        return {
            "verified": self.verified,
            "reason": self.reason,
            **identity_document(self.expected),
            "actual_blake3": None if self.actual_blake3 is None else str(self.actual_blake3),
            "actual_sha256": None if self.actual_sha256 is None else str(self.actual_sha256),
            "actual_size_bytes": self.actual_size_bytes,
        }

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """The inverse of `document`."""
        blake3, sha256 = document["actual_blake3"], document["actual_sha256"]
        return cls(
            document["verified"],
            document["reason"],
            parse_identity(document),
            None if blake3 is None else Digest.parse(blake3),
            None if sha256 is None else Digest.parse(sha256),
            document["actual_size_bytes"],
        )


@dataclass(frozen=True, slots=True)
class ArtifactPage:
    """One page of a search; `next` is the cursor of the following one, None at the end."""

    items: tuple[Artifact, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the log, with its payload decoded. The proof's parts are there as hexadecimal text."""

    seq: int
    id: UUID
    type: str
    version: int
    subject: str
    actor: str
    time: str
    salt: str
    leaf: str
    payload: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The entry as JSON shows it."""
        return {**asdict(self), "id": str(self.id)}

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Self:
        """The inverse of `document`."""
        return cls(**{**document, "id": UUID(document["id"])})


@runtime_checkable
class Content(Protocol):
    """The bytes of an object, or a range of them, opened. Close it, or use it as an asynchronous context manager."""

    @property
    def identity(self) -> ObjectIdentity:
        """The object's digests and size."""
        ...

    @property
    def byte_range(self) -> ByteRange:
        """The bytes that `chunks` gives."""
        ...

    def chunks(self) -> AsyncIterable[bytes]:
        """The bytes, in buffers of bounded size."""
        ...

    async def close(self) -> None:
        """Give up what it holds. Idempotent."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...


@runtime_checkable
class ArtifactStore(Protocol):
    """A store of objects and artifacts. Use it as an asynchronous context manager, or close it."""

    async def put_object(
        self,
        source: Source,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        expected: Sequence[Digest] = (),
        size_hint: int | None = None,
        primary_algorithm: Algorithm = Algorithm.BLAKE3,
    ) -> StoredObject:
        """Store bytes durably. Each of `expected` must be a digest of them: else DigestMismatchError.

        `size_hint`: how many bytes will come, where that is known; too few are IncompleteBodyError, too many
        InvalidInputError. ObjectTooLargeError, StorageFullError. Whatever the source raises goes on to the caller.
        After any error nothing is stored. `primary_algorithm` is for a local root to choose: InvalidInputError for
        another than BLAKE3 through a server.
        """
        ...

    async def put_file(
        self,
        namespace: str,
        name: str,
        source: Source,
        *,
        metadata: ArtifactMetadata | None = None,
        expected: Sequence[Digest] = (),
        size_hint: int | None = None,
        create_only: bool = False,
        if_match: Condition = None,
    ) -> tuple[Artifact, bool]:
        """Store bytes durably as the next version of a name. True: the object is new to the registry, too.

        PreconditionFailedError: `create_only` and the name has a live version, or `if_match` lacks its BLAKE3 digest.
        InvalidNameError; InvalidMetadataError, whose `field` is the metadata's. The rest is as for `put_object`.
        """
        ...

    async def object(self, digest: Digest) -> StoredObject:
        """An object by either digest, a damaged one too; ObjectNotFoundError. Its `created` is False."""
        ...

    async def file(self, namespace: str, name: str) -> Artifact:
        """The latest version of a name; ArtifactNotFoundError if there is none or the name is tombstoned."""
        ...

    async def artifact(self, artifact_id: UUID) -> Artifact:
        """One artifact, deleted ones included; ArtifactNotFoundError."""
        ...

    async def artifacts(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        name_prefix: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ArtifactPage:
        """A page of artifacts in the order of namespace, name, version; without those of tombstoned names.

        InvalidNameError; InvalidQueryError: `limit` is not from 1 to 1,000, or the cursor is not one of this search.
        """
        ...

    async def open_object(self, digest: Digest, byte_range: ByteRange | None = None) -> Content:
        """The bytes of an object, or a range of them.

        ObjectNotFoundError; ObjectDamagedError; InvalidInputError: the range does not lie within the object.
        """
        ...

    async def open_file(self, namespace: str, name: str, byte_range: ByteRange | None = None) -> Content:
        """The bytes of a name's latest version; ArtifactNotFoundError, and as for `open_object`."""
        ...

    async def open_artifact(self, artifact_id: UUID, byte_range: ByteRange | None = None) -> Content:
        """The bytes of one version; ArtifactNotFoundError, also when it is deleted, and as for `open_object`."""
        ...

    async def verify_object(self, digest: Digest) -> Verification:
        """Re-read an object and digest it again; what is found to be damaged is recorded. ObjectNotFoundError."""
        ...

    async def delete_object(self, digest: Digest) -> None:
        """Delete an object; ObjectNotFoundError, ObjectInUseError while an artifact refers to it."""
        ...

    async def delete_file(self, namespace: str, name: str, *, if_match: Condition = None) -> None:
        """Tombstone a name: its versions no longer refer to their objects.

        ArtifactNotFoundError; PreconditionFailedError: `if_match` lacks the latest version's BLAKE3 digest.
        """
        ...

    async def events(self, *, after: int = 0, limit: int = 100) -> tuple[Event, ...]:
        """The log in order, from the event after `after`. InvalidQueryError: `limit` is not from 1 to 1,000."""
        ...

    async def retrievals(self, artifact_id: UUID) -> tuple[Retrievals, ...]:
        """Who read an artifact, summed by actor and minute; ArtifactNotFoundError."""
        ...

    async def close(self) -> None:
        """Write what is still in memory, and give up the root or the connection. Idempotent."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
