"""Objects in memory: for tests, and for a store that need not outlive its process."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import ObjectNotFoundError
from artifactstore.storage.durability import storage_error
from artifactstore.storage.spi import BackendHealth, StagedFile, StorageReceipt

_READ_BYTES = 1024 * 1024


class MemoryObject:
    """An object's bytes; `storage.spi.StoredObject`."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def size_bytes(self) -> int:
        """Their number."""
        return len(self._data)

    def fileno(self) -> int | None:
        """None: there is no file."""
        return None

    async def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`."""
        return self._data[offset : offset + length]

    async def close(self) -> None:
        """Nothing is held."""


class MemoryBackend:
    """The backend over a dictionary."""

    def __init__(self) -> None:
        self._objects: dict[Digest, bytes] = {}

    @property
    def backend_id(self) -> str:
        """`memory`."""
        return "memory"

    @property
    def staging_directory(self) -> Path | None:
        """Anywhere."""
        return None

    async def put(self, address: Digest, staged: StagedFile, *, replace: bool = False) -> StorageReceipt:
        """Copy the staged bytes; see the port."""
        kept = self._objects.get(address)
        if replace or kept is None or len(kept) != staged.size_bytes:
            try:
                self._objects[address] = await asyncio.to_thread(_content, staged)
            except OSError as error:
                raise storage_error("the staged file could not be read", error) from error
        return StorageReceipt(self.backend_id, str(address), staged.size_bytes)

    async def put_bytes(self, address: Digest, data: bytes, *, replace: bool = False) -> StorageReceipt:
        """Keep the bytes; see the port."""
        kept = self._objects.get(address)
        if replace or kept is None or len(kept) != len(data):
            self._objects[address] = data
        return StorageReceipt(self.backend_id, str(address), len(data))

    async def open(self, address: Digest) -> MemoryObject:
        """The object; see the port."""
        try:
            return MemoryObject(self._objects[address])
        except KeyError:
            raise ObjectNotFoundError(f"no copy of {address} is stored") from None

    async def stat(self, address: Digest) -> StorageReceipt | None:
        """The object's place and size, or None; see the port."""
        data = self._objects.get(address)
        return None if data is None else StorageReceipt(self.backend_id, str(address), len(data))

    async def sync(self, address: Digest) -> None:
        """What is in memory is as durable as it gets."""
        await self.open(address)

    async def delete(self, address: Digest) -> bool:
        """Forget the object; see the port."""
        return self._objects.pop(address, None) is not None

    async def health(self) -> BackendHealth:
        """Always well."""
        return BackendHealth(healthy=True, detail=f"{len(self._objects)} objects in memory")

    async def close(self) -> None:
        """Nothing is held that others need."""


def _content(staged: StagedFile) -> bytes:
    content = bytearray()
    while piece := os.pread(staged.fd, _READ_BYTES, len(content)):
        content += piece
    return bytes(content)
