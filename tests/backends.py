"""Every implementation of `StorageBackend`, in every form that a file system gives it."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest

from artifactstore.dataplane.staging import StagingArea, StagingFile
from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.hashing import dual_digest
from artifactstore.storage.backends.localfs import LocalFileSystemBackend
from artifactstore.storage.backends.memory import MemoryBackend
from artifactstore.storage.root import SHARDS, Root, open_root
from artifactstore.storage.spi import StorageBackend
from tests.watched_publisher import watch_publisher

#: Files without a name; with one; with one on a file system that has no hard links. Their system calls can be watched.
LOCAL_FORMS = ("localfs-unnamed", "localfs-named", "localfs-without-links")
_DIRECTORIES = 6 + 2 * SHARDS  # of an empty root, itself among them
FORMS = ("memory", "localfs", *LOCAL_FORMS)


@dataclass
class Place:
    """A backend, and the staging area from which it is filled."""

    form: str
    backend: StorageBackend
    staging: StagingArea
    directory: Path  # the root

    def stage(self, data: bytes) -> StagingFile:
        """A finished staging file."""
        file = self.staging.create()
        file.write([data])
        file.sync()
        return file

    async def store(self, data: bytes, address: Digest | None = None, *, replace: bool = False) -> Digest:
        """Stage, publish and discard; the address it has."""
        address = address or digest_of(data)
        file = self.stage(data)
        try:
            await self.backend.put(address, file, replace=replace)
        finally:
            file.discard()
        return address

    async def read(self, address: Digest) -> bytes:
        """The whole object, through the backend."""
        stored = await self.backend.open(address)
        try:
            return await stored.read(0, stored.size_bytes + 1)
        finally:
            await stored.close()

    @property
    def publishing(self) -> str:
        """The system call without which nothing is published."""
        return {"memory": "pread", "localfs-without-links": "rename"}.get(self.form, "link")

    def path(self, address: Digest) -> Path:
        """Where the local backend keeps the object."""
        return self.directory / "objects" / address.algorithm / address.hex[:2] / address.hex


def _in_memory() -> TemporaryDirectory[str]:
    """A directory in which roots are made in no time; on disk where the machine has none."""
    shared = Path("/dev/shm")
    return TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None)


@pytest.fixture
def shared_memory() -> Iterator[Path]:
    """An empty directory in memory."""
    with _in_memory() as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def root_directory() -> Iterator[Path]:
    """Where the root lies that many tests use, one after the other."""
    with _in_memory() as directory:
        yield Path(directory)


@pytest.fixture
def empty_root(root_directory: Path) -> Iterator[Path]:
    """A root in which nothing is stored: made once, and emptied after each test."""
    path = root_directory / "root"
    open_root(path, writer=False)
    yield path
    directories = 0
    for parent, _, names in os.walk(path):
        directories += 1
        for name in names:
            if parent != str(path):
                Path(parent, name).unlink()
    if directories != _DIRECTORIES:
        shutil.rmtree(path)


def stored_files(directory: Path) -> list[Path]:
    """Everything below a directory that is not one."""
    return [Path(parent, name) for parent, _, names in os.walk(directory) for name in names]


def digest_of(data: bytes, algorithm: Algorithm = Algorithm.BLAKE3) -> Digest:
    """The address of these bytes."""
    digests = dual_digest(data)
    return Digest.blake3(digests.blake3) if algorithm is Algorithm.BLAKE3 else Digest.sha256(digests.sha256)


def make_place(form: str, directory: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A backend of that form over a root, of which the memory backend has only the staging. Close it."""
    root = Root(directory)
    if form == "memory":
        return Place(form, MemoryBackend(), StagingArea(root.staging), directory)
    if form == "localfs-without-links":
        monkeypatch.setattr(os, "link", _no_links)
    if form != "localfs":
        watch_publisher(monkeypatch)
    unnamed = form in ("localfs", "localfs-unnamed")
    staging = StagingArea(root.staging, unnamed=unnamed)
    return Place(form, LocalFileSystemBackend(root, unnamed=unnamed), staging, directory)


def _no_links(*_: object, **__: object) -> NoReturn:
    raise PermissionError(errno.EPERM, "this file system has no hard links")
