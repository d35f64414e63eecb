"""The library's port: what every store is, over a local root (`store.Store`) and over a server (`remote.RemoteStore`).

Sources of bytes are `bytes`, a path, or any asynchronous iterable of buffers. All errors are those of `domain.errors`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self, runtime_checkable
from uuid import UUID

from artifactstore.domain.artifact import Artifact, ArtifactMetadata, ObjectState, Retrievals
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.names import DEFAULT_NAMESPACE
from artifactstore.domain.ranges import ByteRange

type Buffer = bytes | bytearray | memoryview
type Source = bytes | Path | AsyncIterable[Buffer]
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
        """Store bytes durably. Each of `expected` must be a digest of them: else DigestMismatchError."""
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

        PreconditionFailedError: `create_only` and the name has a live version, or `if_match` lacks its digest.
        """
        ...

    async def object(self, digest: Digest) -> StoredObject:
        """An object by either digest; ObjectNotFoundError. Its `created` is False."""
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
        """A page of artifacts in the order of namespace, name, version; without those of tombstoned names."""
        ...

    async def open_object(self, digest: Digest, byte_range: ByteRange | None = None) -> Content:
        """The bytes of an object; ObjectNotFoundError, ObjectDamagedError."""
        ...

    async def open_file(self, namespace: str, name: str, byte_range: ByteRange | None = None) -> Content:
        """The bytes of a name's latest version."""
        ...

    async def verify_object(self, digest: Digest) -> Verification:
        """Re-read an object and digest it again; what is found to be damaged is recorded."""
        ...

    async def delete_object(self, digest: Digest) -> None:
        """Delete an object; ObjectNotFoundError, ObjectInUseError while an artifact refers to it."""
        ...

    async def delete_file(self, namespace: str, name: str, *, if_match: Condition = None) -> None:
        """Tombstone a name: its versions no longer refer to their objects. ArtifactNotFoundError."""
        ...

    async def events(self, *, after: int = 0, limit: int = 100) -> tuple[Event, ...]:
        """The log in order, from the event after `after`."""
        ...

    async def retrievals(self, artifact_id: UUID) -> tuple[Retrievals, ...]:
        """Who read an artifact, summed by actor and minute."""
        ...

    async def close(self) -> None:
        """Write what is still in memory, and give up the root or the connection. Idempotent."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
