"""The library's port: what every store is, over a local root (`store.Store`) and over a server (`remote.RemoteStore`).

Sources of bytes are `bytes`, a path, or any asynchronous iterable of buffers. All errors are those of `domain.errors`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Protocol, Self, runtime_checkable
from uuid import UUID

from artifactstore.dataplane.sources import Source
from artifactstore.domain.artifact import (
    Artifact,
    ArtifactMetadata,
    Attestation,
    ObjectState,
    Package,
    Retrievals,
    SealedMember,
)
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.documents import identity_document, parse_identity
from artifactstore.domain.lineage import Lineage
from artifactstore.domain.names import DEFAULT_NAMESPACE
from artifactstore.domain.package import MemberSource, PackageDescription
from artifactstore.domain.ranges import ByteRange
from artifactstore.manifests.exports import ExportFormat
from artifactstore.token_spi import TokenIssuing

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
class PackagePage:
    """One page of packages; `next` is the `after` of the following one. An empty page is the end."""

    items: tuple[Package, ...]
    next: int


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
class ExportedPackage(Protocol):
    """A package as one file, opened. Close it, or use it as an asynchronous context manager."""

    @property
    def filename(self) -> str:
        """A name for the file: it depends on the package alone."""
        ...

    @property
    def media_type(self) -> str:
        """The file's media type."""
        ...

    @property
    def size_bytes(self) -> int:
        """How long the file is."""
        ...

    def chunks(self) -> AsyncIterable[bytes]:
        """The file's bytes, once. An error in mid-stream leaves a file that no reader takes for whole."""
        ...

    async def close(self) -> None:
        """Give up what it holds. Idempotent."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc: object) -> None: ...


@runtime_checkable
class ArtifactStore(TokenIssuing, Protocol):
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
        kind: str | None = None,
        labels: Sequence[tuple[str, str | None]] = (),
        media_type: str | None = None,
        digest: Digest | None = None,
        size_min: int | None = None,
        size_max: int | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ArtifactPage:
        """A page of artifacts in the order of namespace, name, version; without those of tombstoned names.

        What is given must all hold. `labels`: pairs of a key and a value, or of a key and None for any value.
        `created_after` belongs to the range, `created_before` does not; both are aware of their time zone.
        InvalidNameError, InvalidMetadataError; InvalidQueryError: `limit` is not from 1 to 1,000, the cursor is not one
        of this search, a size or a time cannot be. A page with a cursor may have few items, or none: a page looks at so
        many artifacts and no more.
        """
        ...

    async def record_artifact(
        self,
        namespace: str,
        name: str,
        digest: Digest,
        *,
        metadata: ArtifactMetadata | None = None,
        create_only: bool = False,
        if_match: Condition = None,
    ) -> Artifact:
        """Record bytes that are stored already as the next version of a name.

        ObjectNotFoundError, ObjectDamagedError; the rest is as for `put_file`.
        """
        ...

    async def relabel(
        self, artifact_id: UUID, changes: Mapping[str, str | None], *, if_match: frozenset[int] | None = None
    ) -> Artifact:
        """Set labels, or take away those whose value is None; others stay. The artifact as it is then.

        What changes nothing makes no revision. ArtifactNotFoundError, also when it is deleted; InvalidMetadataError;
        PreconditionFailedError: its revision is none of `if_match`.
        """
        ...

    async def sources(self, artifact_id: UUID, *, depth: int = 1) -> Lineage:
        """What an artifact was made from, as its provenance says, and what that was made from, to a depth of 1 to 32.

        ArtifactNotFoundError; InvalidQueryError: the depth.
        """
        ...

    async def derived(self, artifact_id: UUID, *, depth: int = 1) -> Lineage:
        """What was made from an artifact, or from its bytes, and from that. Otherwise as `sources`."""
        ...

    async def attest(self, artifact_id: UUID, document: bytes) -> tuple[Attestation, bool]:
        """Attach an in-toto Statement, plain or in a DSSE envelope, to an artifact's object. True: that is new.

        The document is stored as it is, as an object of the artifact's namespace, before it is attached. Its signature
        is verified with the keys that are configured, and the outcome recorded: the same statement with the same
        outcome is attached once. ArtifactNotFoundError, also when it is deleted; ObjectTooLargeError: more than 1 MiB;
        InvalidStatementError: it is no Statement, none of its subjects is the object, or its signature is refused.
        """
        ...

    async def attestations(self, artifact_id: UUID) -> tuple[Attestation, ...]:
        """What is attached to an artifact's object, in the order of attaching. ArtifactNotFoundError."""
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

    async def seal_package(
        self,
        namespace: str,
        name: str,
        members: Sequence[MemberSource],
        *,
        description: PackageDescription | None = None,
        supersedes: UUID | None = None,
    ) -> tuple[Package, bool]:
        """Seal members that are stored as a package. False: a package with the same manifest was there, and is given.

        InvalidPackageError, whose `field` is `members[i].name` for a member that is not there, or whose name breaks a
        rule; ObjectDamagedError: a member's stored copy is damaged; PackageNotFoundError: what it supersedes is not in
        the namespace; PreconditionFailedError: that is superseded by another already.
        """
        ...

    async def package(self, package_id: UUID) -> Package:
        """One package; PackageNotFoundError. Its manifest is the object that it names.

        A server's answer has the members, too, 10,000 at most: they are read and dropped.
        """
        ...

    async def packages(
        self, *, namespace: str | None = None, name: str | None = None, after: int = 0, limit: int = 100
    ) -> PackagePage:
        """A page of packages in the order of their sealing, from the one after `after`.

        InvalidNameError; InvalidQueryError: `limit` is not from 1 to 1,000.
        """
        ...

    async def members(self, package_id: UUID) -> tuple[SealedMember, ...]:
        """The members of a package, 10,000 at most, in its order; PackageNotFoundError."""
        ...

    async def open_export(self, package_id: UUID, form: ExportFormat) -> ExportedPackage:
        """A package as one file, streamed as it is read: nothing of it is kept on the way.

        PackageNotFoundError; ObjectDamagedError, ObjectNotFoundError: a member is known not to be there whole.
        """
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

    async def retrievals(
        self, artifact_id: UUID, *, after: tuple[str, str] | None = None, limit: int = 100
    ) -> tuple[Retrievals, ...]:
        """A page of who read an artifact, summed by minute and actor, in that order; ArtifactNotFoundError.

        `after`: the minute and the actor of the last one of the page before; an empty page is the end.
        InvalidQueryError: `limit` is not from 1 to 1,000.
        """
        ...

    async def close(self) -> None:
        """Write what is still in memory, and give up the root or the connection. Idempotent."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
