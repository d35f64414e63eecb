"""The data-plane port (ADR-0004): five operations on bytes. The control plane sees only this.

Theory of operation. `ingest_stream` drains a stream once; each buffer is digested and staged as it comes. When the
stream has ended and both digests are known, and the staging file of a body too large for memory is synced, the data
plane asks the caller's gate what to do with the bytes, and only then touches the backend. The gate is where the control
plane checks what the caller announced, takes the object's lock, and looks the object up; it keeps that lock until its
event is committed, so that publishing and deleting one object exclude each other (design, invariants 1, 2, 6 and 7).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.ranges import ByteRange
from artifactstore.storage.spi import BackendHealth, StorageReceipt

type Buffer = bytes | bytearray | memoryview


class Inflow(Protocol):
    """A body of known size that can be received straight into the data plane's own buffers.

    It is told from a stream by not being an AsyncIterable. Asking whether something has a protocol's members would cost
    a small upload a tenth of its time.
    """

    @property
    def size_bytes(self) -> int:
        """How many bytes there are: more are not given, and fewer are an error of `fill`."""
        ...

    async def fill(self, room: memoryview) -> None:
        """Receive the next bytes, as many as there is room for. Once cancelled, it touches `room` no more."""
        ...


#: What is whole already, comes by itself, or is to be received.
type Stream = bytes | AsyncIterable[Buffer] | Inflow


@dataclass(frozen=True, slots=True)
class IngestHints:
    """What is known of a stream before it is read. None of it is believed."""

    size_hint: int | None = None  # bytes that will come; space is promised for them
    primary_algorithm: Algorithm = Algorithm.BLAKE3  # the key of a NEW object
    backend_id: str | None = None  # None: the default backend


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of a stream."""

    primary_digest: Digest
    sha256_digest: Digest
    size_bytes: int
    receipt: StorageReceipt
    blake3_digest: Digest
    replaced: bool = False  # a copy that a committed event vouched for was missing or cut short, and is whole again

    @property
    def identity(self) -> ObjectIdentity:
        """Both digests and the size."""
        return ObjectIdentity(self.blake3_digest, self.sha256_digest, self.size_bytes)


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """What re-reading an object showed. The actual digests are those of the bytes that are stored now."""

    verified: bool
    reason: str | None  # None, or one of: missing, unreadable, digest-mismatch
    actual_blake3: Digest | None
    actual_sha256: Digest | None
    size_bytes: int | None


class Publication(Enum):
    """What a gate wants done with bytes that have been staged."""

    KEEP = "keep"  # publish; a copy of the same size that lies there is kept, and made durable
    REPLACE = "replace"  # publish over whatever lies there: nothing vouches for it
    TRUST = "trust"  # a committed event vouches for the stored copy: look only that it is there, whole in size


@dataclass(frozen=True, slots=True)
class Verdict:
    """A gate's answer: what to do, and under which digest the object is kept (None: by the hints)."""

    publication: Publication = Publication.KEEP
    address: Digest | None = None


type Gate = Callable[[ObjectIdentity], Awaitable[Verdict]]


@runtime_checkable
class ServedObject(Protocol):
    """A range of an object, opened. Close it, or use it as an async context manager."""

    @property
    def size_bytes(self) -> int:
        """The size of the whole stored copy."""
        ...

    @property
    def byte_range(self) -> ByteRange:
        """The bytes that iterating gives."""
        ...

    def fileno(self) -> int | None:
        """A descriptor for `sendfile` and positioned reads, or None; this object owns it."""
        ...

    def chunks(self, byte_range: ByteRange | None = None) -> AsyncIterable[bytes]:
        """The bytes of `byte_range` (default: of `self.byte_range`), in buffers of bounded size.

        StorageError: the stored copy ended before the range did, or could not be read.
        """
        ...

    async def close(self) -> None:
        """Give up the descriptor. Idempotent."""
        ...

    async def __aenter__(self) -> ServedObject: ...

    async def __aexit__(self, *exc: object) -> None: ...


@runtime_checkable
class DataPlane(Protocol):
    """The five operations."""

    async def ingest_stream(
        self, stream: Stream, hints: IngestHints | None = None, *, gate: Gate | None = None
    ) -> IngestResult:
        """Drain `stream` with bounded memory, digest and stage each buffer once, then publish as the gate says.

        On any exception, cancellation and the gate's own errors included, no staging file is left. Cancellation does
        not interrupt a publication half way: either it has not begun, or it is finished before CancelledError goes on.
        StorageFullError: the space promised to running uploads leaves no room. InvalidInputError: the hints name a
        backend that is not there. With Publication.TRUST, a stored copy
        that is missing or of another size is replaced (invariant 7). Without a gate: Publication.KEEP.
        """
        ...

    async def serve_object(self, address: Digest, byte_range: ByteRange | None = None) -> ServedObject:
        """Open an object by the digest it is kept under; ObjectNotFoundError if it is not there.

        `byte_range` must lie within the object (ValueError); None is the whole.
        """
        ...

    async def verify_object(self, address: Digest) -> VerifyResult:
        """Re-read the object through the backend, digest it again and compare with `address`.

        A copy that is verified is durable, too. StorageError: it could not be read now, which says nothing of it.
        """
        ...

    async def delete_object(self, address: Digest) -> bool:
        """Remove the bytes: True, or False if they were not there. The caller has the right to (invariant 6)."""
        ...

    async def backend_health(self) -> BackendHealth:
        """The backend's health."""
        ...
