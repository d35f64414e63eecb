"""The storage port: what a backend must do with bytes, and nothing about facts.

Theory of operation. A backend keeps immutable objects under digests. Bytes reach it as a finished, synced staging file
(`StagedFile`) that belongs to the data plane; they leave it through a `StoredObject`. A backend never digests, never
decides who may delete, and knows no registry. Whoever calls `put` and `delete` for one address excludes them from each
other (design, invariant 6); a backend only has to be correct when calls for DIFFERENT addresses, or several `put`s of
one address, overlap. Blocking work is done off the event loop. Every failure that is not named in a contract below is
raised as StorageError, and then the operation may be tried again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from artifactstore.domain.digest import Digest


@dataclass(frozen=True, slots=True)
class StorageReceipt:
    """Where a backend keeps an object."""

    backend_id: str
    key: str  # the backend's own name for the place, such as `blake3/ab/<64 hex>`
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BackendHealth:
    """What a backend says of itself. `detail` is one line for people."""

    healthy: bool
    detail: str
    free_bytes: int | None = None  # None where the notion does not apply


@runtime_checkable
class StagedFile(Protocol):
    """A finished staging file: all bytes written and synced, not yet published. The data plane owns and discards it."""

    @property
    def fd(self) -> int:
        """An open descriptor of the file; use positioned reads only."""
        ...

    @property
    def path(self) -> Path | None:
        """Its name in the staging directory; None for a file without one (O_TMPFILE)."""
        ...

    @property
    def size_bytes(self) -> int:
        """How many bytes it holds."""
        ...


@runtime_checkable
class StoredObject(Protocol):
    """An object opened for reading. It goes on giving the same bytes when the object is mended or deleted meanwhile."""

    @property
    def size_bytes(self) -> int:
        """The size of the stored copy, which is the object's unless the copy is damaged."""
        ...

    def fileno(self) -> int | None:
        """A descriptor for positioned reads and `sendfile`, owned by this object; None where there is none."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`; fewer only at the end, b"" past it."""
        ...

    async def close(self) -> None:
        """Give up the descriptor. Idempotent."""
        ...


@runtime_checkable
class StorageBackend(Protocol):
    """A place for immutable objects. The conformance suite runs every contract below against every backend."""

    @property
    def backend_id(self) -> str:
        """The stable name by which receipts and events refer to this backend."""
        ...

    @property
    def staging_directory(self) -> Path | None:
        """Where staging files must lie so that `put` is a link and not a copy; None: anywhere."""
        ...

    async def put(self, address: Digest, staged: StagedFile, *, replace: bool = False) -> StorageReceipt:
        """Publish the staged bytes under `address`, durably.

        When it returns, a reader finds the whole object under `address`, and a power cut cannot take it away. Until
        then a reader finds the earlier state or the whole object, never a part. An object that is there already is
        kept, and made durable before this returns (its directory is synced), if it has the staged file's size; with
        `replace`, or when its size differs, the staged bytes take its place in one step, and those who have the old
        copy open keep it. The staged file stays the caller's to discard, and has served then: to try again after a
        failure is to stage again. StorageFullError: there is no room for it.
        """
        ...

    async def put_bytes(self, address: Digest, data: bytes, *, replace: bool = False) -> StorageReceipt:
        """Publish these bytes under `address`, durably: `put` of what is small enough to be in memory.

        It promises what `put` does, and leaves nothing behind when it fails. A cancellation goes on when it is done:
        the object is there then, or nothing of it.
        """
        ...

    async def open(self, address: Digest) -> StoredObject:
        """Open for reading; ObjectNotFoundError if it is not there. Never creates, never locks.

        Here and in `read`, UnreadableCopyError says that the copy itself is at fault, and any other StorageError that
        it could not be read now.
        """
        ...

    async def stat(self, address: Digest) -> StorageReceipt | None:
        """Where the stored copy is, and its size; None if it is not there. Reads no content."""
        ...

    async def sync(self, address: Digest) -> None:
        """Make the stored copy durable, as `put` leaves it; ObjectNotFoundError if it is not there."""
        ...

    async def delete(self, address: Digest) -> bool:
        """Remove the object durably: True if it was there, False if not. Frees the space even when the disk is full.

        Those who have it open keep what they had. The caller has made sure that nothing refers to it.
        """
        ...

    async def health(self) -> BackendHealth:
        """Look whether the backend can be read and written now. Never raises."""
        ...

    async def close(self) -> None:
        """Give up what the backend holds. Idempotent; objects that are open stay readable."""
        ...
