"""The data plane in this process: what `dataplane.spi.DataPlane` promises, over real backends."""

from __future__ import annotations

import ast
import asyncio
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import artifactstore
from artifactstore.dataplane.inproc import GROUP_BUFFERS, GROUP_BYTES, InProcessDataPlane
from artifactstore.dataplane.space import SpaceLedger
from artifactstore.dataplane.spi import (
    DataPlane,
    IngestHints,
    IngestResult,
    Publication,
    ServedObject,
    Verdict,
)
from artifactstore.dataplane.staging import StagingArea, StagingFile
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import DigestMismatchError, ObjectNotFoundError, StorageError, StorageFullError
from artifactstore.domain.ranges import ByteRange
from artifactstore.hashing.reference import blake3 as reference_blake3
from artifactstore.hashing.reference import sha256 as reference_sha256
from artifactstore.storage.backends.localfs import LocalFileSystemBackend
from artifactstore.storage.backends.memory import MemoryBackend
from artifactstore.storage.root import Root
from tests.backends import digest_of, empty_root, root_directory, stored_files
from tests.syscalls import Syscalls, descriptors_under

__all__ = ["empty_root", "root_directory"]
DATA = os.urandom(3 * GROUP_BYTES + 1234)


async def stream_of(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for offset in range(0, len(data), size):
        yield data[offset : offset + size]


async def read(plane: InProcessDataPlane, address: Digest, byte_range: ByteRange | None = None) -> bytes:
    async with await plane.serve_object(address, byte_range) as served:
        return b"".join([chunk async for chunk in served.chunks()])
