from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from artifactstore.dataplane.activity import Activity
from artifactstore.dataplane.blocks import BLOCK_BYTES
from artifactstore.dataplane.inproc import InProcessDataPlane
from artifactstore.dataplane.space import SpaceLedger
from artifactstore.dataplane.spi import IngestHints
from artifactstore.dataplane.staging import StagingArea
from artifactstore.storage.backends.localfs import LocalFileSystemBackend
from artifactstore.storage.root import Root
from tests.backends import empty_root, root_directory
from tests.planes import Local, local

__all__ = ["empty_root", "local", "root_directory"]


async def test_an_upload_is_seen_from_its_begin_to_its_end(local: Local) -> None:
    """In a staging file with a name, or without: it is counted once."""
    more = asyncio.Event()

    async def stream() -> AsyncIterator[bytes]:
        yield bytes(BLOCK_BYTES)
        await more.wait()
        yield b"end"

    upload = asyncio.create_task(local.plane.ingest_stream(stream()))
    while (seen := await local.plane.activity()).staging_bytes < BLOCK_BYTES:
        await asyncio.sleep(0)
    assert seen == Activity(uploads=1, staging_files=1, staging_bytes=BLOCK_BYTES, promised_bytes=0)
    more.set()
    await upload
    assert await local.plane.activity() == Activity(0, 0, 0, 0)


async def test_what_is_promised_is_told(local: Local) -> None:
    backend = LocalFileSystemBackend(Root(local.root))
    space = SpaceLedger(local.root, 0)
    plane = InProcessDataPlane(backend, staging=StagingArea(local.root / "staging"), space=space)
    more = asyncio.Event()

    async def stream() -> AsyncIterator[bytes]:
        await more.wait()
        yield b"12345"

    upload = asyncio.create_task(plane.ingest_stream(stream(), IngestHints(size_hint=5)))
    while not (seen := await plane.activity()).uploads:
        await asyncio.sleep(0)
    assert seen.promised_bytes == 5
    more.set()
    await upload
    assert (await plane.activity()).promised_bytes == 0
    await plane.close()
    await backend.close()
