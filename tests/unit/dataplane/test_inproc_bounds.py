"""What bounds an upload: memory, space, failing system calls, and workers that a cancellation finds at work."""

from __future__ import annotations

import asyncio
import errno
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from artifactstore.dataplane.blocks import BLOCK_BYTES
from artifactstore.dataplane.ingestion import BLOCKS, SMALL_BYTES
from artifactstore.dataplane.inproc import InProcessDataPlane
from artifactstore.dataplane.space import SpaceLedger
from artifactstore.dataplane.spi import Buffer, IngestHints
from artifactstore.dataplane.staging import StagingFile
from artifactstore.domain.errors import StorageError, StorageFullError
from artifactstore.storage.backends.memory import MemoryBackend
from tests.backends import digest_of, empty_root, root_directory, stored_files
from tests.planes import BLAKE3, DATA, HeldCall, Local, local, pieces, read, syscalls
from tests.syscalls import Syscalls, descriptors_under

__all__ = ["empty_root", "local", "root_directory", "syscalls"]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("call", ["writev", "fdatasync"])
async def test_cancellation_while_a_worker_writes_leaves_nothing(
    local: Local, monkeypatch: pytest.MonkeyPatch, call: str, times: int
) -> None:
    held = HeldCall(call, monkeypatch)
    task = asyncio.create_task(local.plane.ingest_stream(pieces(DATA)))
    await held.reached.wait()
    for _ in range(times):
        task.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
    assert not task.done()  # the file is given up only when no thread works on it
    assert len(descriptors_under(local.root)) == 1
    held.release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert local.stored() == []
    local.assert_nothing_is_staged()


async def test_a_second_cancellation_does_not_take_the_file_from_a_worker(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = HeldCall("writev", monkeypatch)

    async def stream() -> AsyncIterator[Buffer]:
        yield DATA[:BLOCK_BYTES]
        await asyncio.Event().wait()

    task = asyncio.create_task(local.plane.ingest_stream(stream()))
    await held.reached.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.wait([task], timeout=0.05)
    assert len(descriptors_under(local.root)) == 1
    held.release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    local.assert_nothing_is_staged()


@pytest.mark.parametrize(
    ("call", "code", "kind"),
    [
        ("writev", errno.ENOSPC, StorageFullError),
        ("writev", errno.EIO, StorageError),
        ("fdatasync", errno.EIO, StorageError),
        ("fdatasync", errno.EDQUOT, StorageFullError),
        ("link", errno.ENOSPC, StorageFullError),
        ("fsync", errno.EIO, StorageError),
    ],
)
async def test_a_call_that_fails_leaves_nothing(
    local: Local, syscalls: Syscalls, call: str, code: int, kind: type[StorageError]
) -> None:
    with syscalls.failing(call, error=code), pytest.raises(StorageError) as caught:
        await local.plane.ingest_stream(pieces(DATA))
    assert type(caught.value) is kind
    assert local.stored() == []
    local.assert_nothing_is_staged()
    await local.plane.ingest_stream(pieces(DATA))
    assert await read(local.plane, BLAKE3) == DATA


async def test_no_staging_file_can_be_made(local: Local, syscalls: Syscalls) -> None:
    with syscalls.failing("open", error=errno.EMFILE), pytest.raises(StorageError, match="could not be staged"):
        await local.plane.ingest_stream(pieces(DATA))
    local.assert_nothing_is_staged()


# --- bounds -----------------------------------------------------------------------------------------------------------


async def test_never_more_blocks_are_held_than_an_upload_may_have(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    piece = bytes(BLOCK_BYTES // 4)
    bound = BLOCKS * BLOCK_BYTES + len(piece)  # and the piece that waits for room
    total = 10 * BLOCKS * BLOCK_BYTES
    given = written = most = 0
    ahead = threading.Condition()
    inner = StagingFile.write_blocks

    def slow(self: StagingFile, buffers: Sequence[memoryview]) -> None:
        nonlocal written
        with ahead:  # as slow as can be: every block is full, and more waits, before these are written
            assert ahead.wait_for(lambda: given - written >= bound or given == total, 30)
            inner(self, buffers)
            written += sum(map(len, buffers))

    async def stream() -> AsyncIterator[Buffer]:
        nonlocal given, most
        while given < total:
            with ahead:
                given += len(piece)
                most = max(most, given - written)
                ahead.notify()
            yield piece
            await asyncio.sleep(0)

    monkeypatch.setattr(StagingFile, "write_blocks", slow)
    result = await local.plane.ingest_stream(stream())
    assert result.size_bytes == total
    assert most == bound


async def test_many_small_buffers_are_few_writes(local: Local, syscalls: Syscalls) -> None:
    data = DATA[: SMALL_BYTES + 1]
    await local.plane.ingest_stream(pieces(data, 1))
    assert len(syscalls.trace("write", "writev")) == 1
    assert await read(local.plane, digest_of(data)) == data


@pytest.mark.parametrize("hints", [None, IngestHints(size_hint=len(DATA))])
async def test_a_full_disk_refuses_uploads_and_nothing_else(local: Local, hints: IngestHints | None) -> None:
    await local.plane.ingest_stream(pieces(DATA))
    ledger = SpaceLedger(local.root, 2**60)
    full = InProcessDataPlane(local.backend, space=ledger)
    with pytest.raises(StorageFullError):
        await full.ingest_stream(pieces(DATA), hints)
    assert ledger.outstanding == 0
    assert await read(full, BLAKE3) == DATA
    assert (await full.verify_object(BLAKE3)).verified
    assert await full.delete_object(BLAKE3)
    local.assert_nothing_is_staged()
    await full.close()


async def test_promised_space_counts_until_the_upload_ends_however_it_ends(local: Local) -> None:
    ledger = SpaceLedger(local.root, 0)
    plane = InProcessDataPlane(local.backend, space=ledger)
    outstanding: list[int] = []

    async def stream(data: bytes, error: Exception | None) -> AsyncIterator[Buffer]:
        async for piece in pieces(data):
            outstanding.append(ledger.outstanding)
            yield piece
        if error is not None:
            raise error

    await plane.ingest_stream(stream(DATA, None), IngestHints(size_hint=len(DATA)))
    assert outstanding == [len(DATA) - 100_000 * n for n in range(len(outstanding))]
    assert ledger.outstanding == 0
    with pytest.raises(KeyError):
        await plane.ingest_stream(stream(DATA, KeyError()), IngestHints(size_hint=10 * len(DATA)))
    assert ledger.outstanding == 0
    await plane.ingest_stream(stream(DATA, None), IngestHints(size_hint=10 * len(DATA)))  # it was less than announced
    assert ledger.outstanding == 0
    await plane.close()


LIMITED = """
import asyncio, pathlib, resource, sys
from artifactstore.dataplane.inproc import InProcessDataPlane
from artifactstore.domain.errors import StorageError
from artifactstore.storage.backends.localfs import LocalFileSystemBackend
from artifactstore.storage.root import Root

async def stream(size):
    for _ in range(size // 2**16):
        yield bytes(2**16)

async def main():
    backend = LocalFileSystemBackend(Root(pathlib.Path(sys.argv[1])))
    plane = InProcessDataPlane(backend)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    try:
        await plane.ingest_stream(stream(2**22))
    except StorageError as error:
        print(error)
    await plane.ingest_stream(stream(2**20))
    await plane.close()
    await backend.close()

asyncio.run(main())
"""


def test_a_file_that_the_system_lets_grow_no_further_leaves_nothing(empty_root: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", LIMITED, str(empty_root)], capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout == "the upload could not be staged: File too large\n"
    assert found.stderr == ""
    assert [path.stat().st_size for path in stored_files(empty_root / "objects")] == [2**20]
    assert stored_files(empty_root / "staging") == []


async def test_staging_of_its_own_goes_when_it_is_closed() -> None:
    backend = MemoryBackend()
    plane = InProcessDataPlane(backend)
    directory = plane._staging._directory
    await plane.ingest_stream(pieces(DATA))
    assert list(directory.iterdir()) == []
    await plane.close()
    assert not directory.exists()


# --- closing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 1, 2 * BLOCK_BYTES + 5])
async def test_closing_breaks_off_an_upload_whose_source_has_no_end(local: Local, before: int) -> None:
    waiting = asyncio.Event()

    async def stream() -> AsyncIterator[Buffer]:
        async for piece in pieces(DATA[:before]):
            yield piece
        waiting.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(local.plane.ingest_stream(stream()))
    await waiting.wait()
    await local.plane.close()
    local.assert_nothing_is_staged()
    with pytest.raises(StorageError, match="closed meanwhile"):
        await upload
    assert local.stored() == []
    await local.plane.close()


@pytest.mark.parametrize("call", ["writev", "fdatasync", "fsync"])
async def test_closing_waits_for_an_upload_to_give_up_its_file(
    local: Local, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    held = HeldCall(call, monkeypatch)
    upload = asyncio.create_task(local.plane.ingest_stream(pieces(DATA)))
    await held.reached.wait()
    closing = asyncio.create_task(local.plane.close())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not closing.done()
    held.release.set()
    await closing
    local.assert_nothing_is_staged()
    with pytest.raises(StorageError, match="closed meanwhile"):
        await upload


async def test_closing_breaks_off_a_verification_without_a_verdict(
    local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    await local.plane.ingest_stream(pieces(DATA))
    held = HeldCall("pread", monkeypatch)
    verification = asyncio.create_task(local.plane.verify_object(BLAKE3))
    await held.reached.wait()
    closing = asyncio.create_task(local.plane.close())
    held.release.set()
    await closing
    with pytest.raises(StorageError, match="closed meanwhile"):
        await verification
    assert descriptors_under(local.root) == []


async def test_a_closed_plane_refuses(local: Local) -> None:
    await local.plane.ingest_stream(pieces(DATA))
    await local.plane.close()
    with pytest.raises(StorageError, match="closed"):
        await local.plane.ingest_stream(pieces(DATA))
    with pytest.raises(StorageError, match="closed"):
        await local.plane.verify_object(BLAKE3)


async def test_a_timeout_of_the_source_is_its_own(local: Local) -> None:
    async def stream() -> AsyncIterator[Buffer]:
        yield DATA
        raise TimeoutError("the sensor is silent")

    with pytest.raises(TimeoutError, match="the sensor is silent"):
        await local.plane.ingest_stream(stream())
    local.assert_nothing_is_staged()
