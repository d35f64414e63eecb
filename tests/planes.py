"""A data plane over each backend, and ways to hold it at a step of its work."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import blake3
import pytest

from artifactstore.dataplane.blocks import BLOCK_BYTES
from artifactstore.dataplane.inproc import InProcessDataPlane
from artifactstore.dataplane.spi import Buffer, Gate, Publication, Verdict
from artifactstore.dataplane.staging import StagingArea
from artifactstore.domain.digest import Digest, ObjectIdentity
from artifactstore.domain.ranges import ByteRange
from artifactstore.storage.backends.localfs import LocalFileSystemBackend
from artifactstore.storage.backends.memory import MemoryBackend
from artifactstore.storage.root import Root
from artifactstore.storage.spi import StorageBackend
from tests.backends import stored_files
from tests.syscalls import Syscalls, descriptors_under
from tests.watched_publisher import watch_publisher

DATA = os.urandom(3 * BLOCK_BYTES + 1234)
BLAKE3 = Digest.blake3(blake3.blake3(DATA).digest())
SHA256 = Digest.sha256(hashlib.sha256(DATA).digest())


@dataclass
class Local:
    """A data plane over the local backend."""

    plane: InProcessDataPlane
    backend: LocalFileSystemBackend
    root: Path

    def path(self, address: Digest) -> Path:
        return self.root / "objects" / address.algorithm / address.hex[:2] / address.hex

    def stored(self) -> list[Path]:
        return stored_files(self.root / "objects")

    def assert_nothing_is_staged(self) -> None:
        assert stored_files(self.root / "staging") == []
        assert descriptors_under(self.root) == []


@pytest.fixture(params=[True, False], ids=["unnamed", "named"])
async def local(
    request: pytest.FixtureRequest, empty_root: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Local]:
    watch_publisher(monkeypatch)
    root = Root(empty_root)
    backend = LocalFileSystemBackend(root, unnamed=request.param)
    plane = InProcessDataPlane(backend, staging=StagingArea(root.staging, unnamed=request.param))
    yield Local(plane, backend, empty_root)
    await plane.close()
    await backend.close()


@pytest.fixture(params=["local", "memory"])
async def plane(request: pytest.FixtureRequest, empty_root: Path) -> AsyncIterator[InProcessDataPlane]:
    """With nothing said but the backend."""
    backend: StorageBackend = LocalFileSystemBackend(Root(empty_root)) if request.param == "local" else MemoryBackend()
    made = InProcessDataPlane(backend)
    yield made
    await made.close()
    await backend.close()


@pytest.fixture
def syscalls(local: Local, root_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Syscalls:
    return Syscalls(root_directory, monkeypatch)


async def pieces(data: bytes, size: int = 100_000) -> AsyncIterator[Buffer]:
    for offset in range(0, len(data), size):
        yield data[offset : offset + size]


async def read(plane: InProcessDataPlane, address: Digest, byte_range: ByteRange | None = None) -> bytes:
    async with await plane.serve_object(address, byte_range) as served:
        return b"".join([chunk async for chunk in served.chunks()])


def gate_of(publication: Publication, address: Digest | None = None) -> Gate:
    async def gate(_: ObjectIdentity) -> Verdict:
        return Verdict(publication, address)

    return gate


class Barrier:
    """Holds a method of the backend at its beginning, or after its end, until the test lets it go."""

    def __init__(self, backend: object, method: str, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
        self.reached = asyncio.Event()
        self.release = asyncio.Event()
        self.calls = 0
        inner: Callable[..., Awaitable[Any]] = getattr(backend, method)

        async def held(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            result = await inner(*args, **kwargs) if after else None
            self.reached.set()
            await self.release.wait()
            return result if after else await inner(*args, **kwargs)

        monkeypatch.setattr(backend, method, held)


class HeldCall:
    """Holds a system call of a worker until the test lets it go."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = asyncio.Event()
        self.release = threading.Event()
        loop = asyncio.get_running_loop()
        inner: Callable[..., Any] = getattr(os, name)

        def held(*args: Any, **kwargs: Any) -> Any:
            loop.call_soon_threadsafe(self.reached.set)
            assert self.release.wait(30)
            return inner(*args, **kwargs)

        monkeypatch.setattr(os, name, held)
