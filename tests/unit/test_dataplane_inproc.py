"""The data plane in this process: what `dataplane.spi.DataPlane` promises, over real backends."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import blake3
import pytest

import artifactstore
from artifactstore.dataplane.blocks import BLOCK_BYTES
from artifactstore.dataplane.ingestion import SMALL_BYTES
from artifactstore.dataplane.inproc import InProcessDataPlane
from artifactstore.dataplane.spi import Buffer, DataPlane, IngestHints, Publication, ServedObject, Verdict
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import DigestMismatchError, ObjectNotFoundError, StorageError
from artifactstore.domain.ranges import ByteRange
from tests.backends import digest_of, empty_root, root_directory
from tests.imports import Import, imports_of, reaches
from tests.planes import BLAKE3, DATA, SHA256, Barrier, HeldCall, Local, gate_of, local, pieces, plane, read, syscalls
from tests.syscalls import Syscalls

__all__ = ["empty_root", "local", "plane", "root_directory", "syscalls"]


# --- the five operations ----------------------------------------------------------------------------------------------


async def test_both_digests_a_receipt_and_the_bytes_at_the_content_addressed_path(local: Local) -> None:
    assert isinstance(local.plane, DataPlane)
    result = await local.plane.ingest_stream(pieces(DATA))
    assert result.primary_digest == result.blake3_digest == BLAKE3
    assert result.sha256_digest == SHA256
    assert result.size_bytes == len(DATA)
    assert result.identity == ObjectIdentity(BLAKE3, SHA256, len(DATA))
    assert not result.replaced
    assert result.receipt.backend_id == "local"
    assert result.receipt.key == f"blake3/{BLAKE3.hex[:2]}/{BLAKE3.hex}"
    assert result.receipt.size_bytes == len(DATA)
    assert (local.root / "objects" / result.receipt.key).read_bytes() == DATA
    assert local.stored() == [local.path(BLAKE3)]
    local.assert_nothing_is_staged()


@pytest.mark.parametrize("empty", [[], [b""], [b"", bytearray(), memoryview(b"")]])
async def test_empty_input(plane: InProcessDataPlane, empty: Sequence[Buffer]) -> None:
    async def stream() -> AsyncIterator[Buffer]:
        for buffer in empty:
            yield buffer

    result = await plane.ingest_stream(stream())
    assert result.sha256_digest.value == hashlib.sha256(b"").digest()
    assert result.blake3_digest.value == blake3.blake3(b"").digest()
    assert result.size_bytes == 0
    assert await read(plane, result.primary_digest) == b""
    assert await read(plane, result.primary_digest, ByteRange(0, 0)) == b""
    assert (await plane.verify_object(result.primary_digest)).verified


async def test_what_was_ingested_is_served(plane: InProcessDataPlane) -> None:
    result = await plane.ingest_stream(pieces(DATA))
    async with await plane.serve_object(result.primary_digest) as served:
        assert isinstance(served, ServedObject)
        assert served.size_bytes == len(DATA)
        assert served.byte_range == ByteRange(0, len(DATA))
        chunks = [chunk async for chunk in served.chunks()]
        assert b"".join(chunks) == DATA
        assert max(map(len, chunks)) <= 2**18
        if (descriptor := served.fileno()) is not None:
            assert os.pread(descriptor, 10, 5) == DATA[5:15]
    assert served.fileno() is None


@pytest.mark.parametrize("size", [1, 7, 65_536, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, len(DATA)])
async def test_any_split_of_the_stream_is_the_same_object(plane: InProcessDataPlane, size: int) -> None:
    data = DATA if size > 1000 else DATA[:5000]
    result = await plane.ingest_stream(pieces(data, size))
    assert result.primary_digest == digest_of(data)
    assert await read(plane, result.primary_digest) == data


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_any_buffer_is_taken(plane: InProcessDataPlane, kind: Callable[[bytes], Buffer]) -> None:
    async def stream() -> AsyncIterator[Buffer]:
        yield kind(DATA)

    assert (await plane.ingest_stream(stream())).primary_digest == BLAKE3
    assert await read(plane, BLAKE3) == DATA


@pytest.mark.parametrize(("start", "length"), [(0, 1), (1, 300_000), (len(DATA) - 1, 1), (17, 0), (len(DATA), 0)])
async def test_a_byte_range(plane: InProcessDataPlane, start: int, length: int) -> None:
    await plane.ingest_stream(pieces(DATA))
    wanted = ByteRange(start, length)
    assert await read(plane, BLAKE3, wanted) == DATA[start : start + length]
    async with await plane.serve_object(BLAKE3) as served:  # one opening serves several
        assert b"".join([chunk async for chunk in served.chunks(wanted)]) == DATA[start : start + length]
        assert b"".join([chunk async for chunk in served.chunks()]) == DATA


@pytest.mark.parametrize(("start", "length"), [(0, len(DATA) + 1), (len(DATA), 1), (2 * len(DATA), 0)])
async def test_a_range_past_the_end_is_a_value_error(local: Local, start: int, length: int) -> None:
    await local.plane.ingest_stream(pieces(DATA))
    with pytest.raises(ValueError, match="the range ends"):
        await local.plane.serve_object(BLAKE3, ByteRange(start, length))
    local.assert_nothing_is_staged()  # nor left open


async def test_a_copy_that_ends_early_is_an_error_and_not_a_short_answer(local: Local) -> None:
    await local.plane.ingest_stream(pieces(DATA))
    async with await local.plane.serve_object(BLAKE3) as served:
        os.truncate(local.path(BLAKE3), 300_000)
        received = b""
        with pytest.raises(StorageError, match="came to its end at byte 300000"):
            async for chunk in served.chunks():
                received += chunk
    assert received == DATA[:300_000]


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_intact_bytes_are_verified(plane: InProcessDataPlane, algorithm: Algorithm) -> None:
    result = await plane.ingest_stream(pieces(DATA), IngestHints(primary_algorithm=algorithm))
    found = await plane.verify_object(result.primary_digest)
    assert found.verified
    assert found.reason is None
    assert (found.actual_blake3, found.actual_sha256, found.size_bytes) == (BLAKE3, SHA256, len(DATA))


def flip(data: bytes) -> bytes:
    return data[:70_000] + bytes([data[70_000] ^ 1]) + data[70_001:]


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("damage", [flip, lambda data: data[:-1], lambda data: data + b"\0", lambda _: b""])
async def test_corruption_on_disk_is_found(
    local: Local, algorithm: Algorithm, damage: Callable[[bytes], bytes]
) -> None:
    result = await local.plane.ingest_stream(pieces(DATA), IngestHints(primary_algorithm=algorithm))
    path = local.path(result.primary_digest)
    path.chmod(0o640)
    path.write_bytes(damage(DATA))
    found = await local.plane.verify_object(result.primary_digest)
    assert not found.verified
    assert found.reason == "digest-mismatch"
    assert found.actual_sha256 == Digest.sha256(hashlib.sha256(damage(DATA)).digest())
    assert found.actual_blake3 == Digest.blake3(blake3.blake3(damage(DATA)).digest())
    assert found.size_bytes == len(damage(DATA))
    local.assert_nothing_is_staged()


async def test_a_missing_copy_is_named(plane: InProcessDataPlane) -> None:
    found = await plane.verify_object(BLAKE3)
    assert (found.verified, found.reason) == (False, "missing")
    assert (found.actual_blake3, found.actual_sha256, found.size_bytes) == (None, None, None)


@pytest.mark.parametrize("call", ["open", "pread"])
async def test_an_unreadable_copy_is_named(local: Local, syscalls: Syscalls, call: str) -> None:
    await local.plane.ingest_stream(pieces(DATA))
    with syscalls.failing(call, error=errno.EIO):
        found = await local.plane.verify_object(BLAKE3)
    assert (found.verified, found.reason) == (False, "unreadable")
    assert found.actual_blake3 is found.actual_sha256 is None
    local.assert_nothing_is_staged()


async def test_delete_answers_true_then_false(plane: InProcessDataPlane) -> None:
    await plane.ingest_stream(pieces(DATA))
    assert await plane.delete_object(BLAKE3) is True
    assert await plane.delete_object(BLAKE3) is False
    with pytest.raises(ObjectNotFoundError):
        await plane.serve_object(BLAKE3)


async def test_health_passes_through(local: Local, empty_root: Path) -> None:
    health = await local.plane.backend_health()
    assert health.healthy
    (empty_root / "staging").rename(empty_root / "away")
    sick = await local.plane.backend_health()
    (empty_root / "away").rename(empty_root / "staging")
    assert not sick.healthy
    assert sick == health.__class__(False, sick.detail)


async def test_sha256_as_primary(local: Local) -> None:
    result = await local.plane.ingest_stream(pieces(DATA), IngestHints(primary_algorithm=Algorithm.SHA256))
    assert result.primary_digest == result.sha256_digest == SHA256
    assert result.blake3_digest == BLAKE3
    assert local.stored() == [local.path(SHA256)]
    assert await read(local.plane, SHA256) == DATA
    with pytest.raises(ObjectNotFoundError):
        await local.plane.serve_object(BLAKE3)


async def test_a_missing_object_cannot_be_served(plane: InProcessDataPlane) -> None:
    with pytest.raises(ObjectNotFoundError):
        await plane.serve_object(BLAKE3)


# --- the gate ---------------------------------------------------------------------------------------------------------


async def test_the_gate_sees_both_digests_when_the_bytes_are_durable_and_not_published(
    local: Local, syscalls: Syscalls
) -> None:
    seen: list[ObjectIdentity] = []

    async def gate(identity: ObjectIdentity) -> Verdict:
        seen.append(identity)
        assert syscalls.trace("writev", "fdatasync", "link")[-1].startswith("fdatasync")
        assert local.stored() == []
        return Verdict(address=identity.sha256)

    result = await local.plane.ingest_stream(pieces(DATA), gate=gate)
    assert seen == [ObjectIdentity(BLAKE3, SHA256, len(DATA))]
    assert result.primary_digest == SHA256
    assert local.stored() == [local.path(SHA256)]


@pytest.mark.parametrize("error", [DigestMismatchError("no"), KeyError("no"), asyncio.CancelledError()])
async def test_an_error_of_the_gate_leaves_nothing(local: Local, error: BaseException) -> None:
    async def gate(_: ObjectIdentity) -> Verdict:
        raise error

    with pytest.raises(type(error)):
        await local.plane.ingest_stream(pieces(DATA), gate=gate)
    assert local.stored() == []
    local.assert_nothing_is_staged()


# --- duplicates and damage --------------------------------------------------------------------------------------------


async def test_two_identical_uploads_at_once(local: Local) -> None:
    results = await asyncio.gather(*(local.plane.ingest_stream(pieces(DATA)) for _ in range(2)))
    assert results[0] == results[1]
    assert local.stored() == [local.path(BLAKE3)]
    assert await read(local.plane, BLAKE3) == DATA
    local.assert_nothing_is_staged()


@pytest.mark.parametrize("publication", [Publication.KEEP, Publication.REPLACE])
async def test_a_twin_that_is_published_and_not_synced_is_synced_before_it_is_acknowledged(
    local: Local, syscalls: Syscalls, publication: Publication
) -> None:
    local.path(BLAKE3).write_bytes(DATA)  # what a process that was killed between the link and the sync leaves
    syscalls.forget()
    result = await local.plane.ingest_stream(pieces(DATA), gate=gate_of(publication))
    assert syscalls.trace("fsync") == [f"fsync root/objects/blake3/{BLAKE3.hex[:2]}"]
    assert not result.replaced
    assert await read(local.plane, BLAKE3) == DATA


async def test_a_twin_that_an_event_vouches_for_needs_no_sync(local: Local, syscalls: Syscalls) -> None:
    first = await local.plane.ingest_stream(pieces(DATA))
    syscalls.forget()
    result = await local.plane.ingest_stream(pieces(DATA), gate=gate_of(Publication.TRUST))
    assert syscalls.trace("fsync", "link", "rename") == []
    assert result == first
    local.assert_nothing_is_staged()


@pytest.mark.parametrize("left", [None, b"", DATA[:-1]])
async def test_a_trusted_copy_that_is_missing_or_cut_short_is_whole_again(local: Local, left: bytes | None) -> None:
    if left is not None:
        local.path(BLAKE3).write_bytes(left)
    result = await local.plane.ingest_stream(pieces(DATA), gate=gate_of(Publication.TRUST))
    assert result.replaced
    assert await read(local.plane, BLAKE3) == DATA


async def test_a_copy_that_nobody_vouches_for_is_replaced_without_being_called_so(local: Local) -> None:
    local.path(BLAKE3).write_bytes(flip(DATA))
    kept = await local.plane.ingest_stream(pieces(DATA), gate=gate_of(Publication.KEEP))
    assert await read(local.plane, BLAKE3) == flip(DATA)  # of the same size: only a re-read would tell
    result = await local.plane.ingest_stream(pieces(DATA), gate=gate_of(Publication.REPLACE))
    assert await read(local.plane, BLAKE3) == DATA
    assert not kept.replaced
    assert not result.replaced


async def test_a_damaged_copy_is_mended_while_a_reader_holds_it(local: Local) -> None:
    await local.plane.ingest_stream(pieces(DATA))
    path = local.path(BLAKE3)
    path.chmod(0o640)
    path.write_bytes(flip(DATA))
    reader = await local.plane.serve_object(BLAKE3)
    chunks = aiter(reader.chunks())
    received = await anext(chunks)
    assert (await local.plane.verify_object(BLAKE3)).reason == "digest-mismatch"
    await local.plane.ingest_stream(pieces(DATA), gate=gate_of(Publication.REPLACE))
    assert (await local.plane.verify_object(BLAKE3)).verified
    assert await read(local.plane, BLAKE3) == DATA
    assert received + b"".join([chunk async for chunk in chunks]) == flip(DATA)
    await reader.close()
    local.assert_nothing_is_staged()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("publication", [Publication.KEEP, Publication.TRUST])
async def test_a_duplicate_that_meets_a_deletion_waits_and_keeps_its_bytes(
    local: Local, monkeypatch: pytest.MonkeyPatch, after: bool, publication: Publication
) -> None:
    await local.plane.ingest_stream(pieces(DATA))
    deleting = Barrier(local.backend, "delete", monkeypatch, after=after)
    looking = Barrier(local.backend, "stat", monkeypatch, after=False)
    putting = Barrier(local.backend, "put", monkeypatch, after=False)
    deletion = asyncio.create_task(local.plane.delete_object(BLAKE3))
    await deleting.reached.wait()
    gated = asyncio.Event()

    async def gate(_: ObjectIdentity) -> Verdict:
        gated.set()
        return Verdict(publication)

    upload = asyncio.create_task(local.plane.ingest_stream(pieces(DATA), gate=gate))
    await gated.wait()
    for _ in range(10):  # its next step is the object's lock
        await asyncio.sleep(0)
    assert looking.calls == putting.calls == 0
    looking.release.set()
    putting.release.set()
    deleting.release.set()
    assert await deletion is True
    assert (await upload).replaced == (publication is Publication.TRUST)
    assert await read(local.plane, BLAKE3) == DATA


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("method", ["put", "stat"])
async def test_a_deletion_that_meets_a_duplicate_waits_and_takes_it_whole(
    local: Local, monkeypatch: pytest.MonkeyPatch, method: str, after: bool
) -> None:
    await local.plane.ingest_stream(pieces(DATA))
    publication = Publication.TRUST if method == "stat" else Publication.KEEP
    publishing = Barrier(local.backend, method, monkeypatch, after=after)
    deleting = Barrier(local.backend, "delete", monkeypatch, after=False)
    deleting.release.set()
    upload = asyncio.create_task(local.plane.ingest_stream(pieces(DATA), gate=gate_of(publication)))
    await publishing.reached.wait()
    deletion = asyncio.create_task(local.plane.delete_object(BLAKE3))
    for _ in range(10):
        await asyncio.sleep(0)
    assert deleting.calls == 0
    publishing.release.set()
    assert not (await upload).replaced
    assert await deletion is True
    assert local.stored() == []


async def test_a_deletion_that_is_cancelled_is_finished(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    await local.plane.ingest_stream(pieces(DATA))
    deleting = Barrier(local.backend, "delete", monkeypatch, after=False)
    deletion = asyncio.create_task(local.plane.delete_object(BLAKE3))
    await deleting.reached.wait()
    deletion.cancel()
    await asyncio.sleep(0)
    deleting.release.set()
    with pytest.raises(asyncio.CancelledError):
        await deletion
    assert local.stored() == []


@pytest.mark.parametrize("size", [0, 1, SMALL_BYTES, SMALL_BYTES + 1, 3 * BLOCK_BYTES])
async def test_bytes_are_ingested_as_a_stream_of_them_is(local: Local, size: int) -> None:
    data = DATA[:size] if size <= len(DATA) else DATA * (size // len(DATA) + 1)
    given = await local.plane.ingest_stream(data)
    assert given == await local.plane.ingest_stream(pieces(data), gate=gate_of(Publication.TRUST))
    assert await read(local.plane, given.primary_digest) == data
    local.assert_nothing_is_staged()


@pytest.mark.parametrize("after", [False, True])
async def test_cancellation_in_the_publication_of_a_small_body_finishes_it(
    local: Local, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    call = "fsync" if after else "link"
    held = HeldCall(call, monkeypatch)
    task = asyncio.create_task(local.plane.ingest_stream(DATA[:1000]))
    await held.reached.wait()
    task.cancel()
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    held.release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(local.stored()) == 1
    local.assert_nothing_is_staged()


# --- what breaks off --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 1, BLOCK_BYTES // 2, BLOCK_BYTES, 2 * BLOCK_BYTES + 5])
@pytest.mark.parametrize("error", [ConnectionResetError("gone"), ValueError("no"), StorageError("no")])
async def test_an_exception_in_mid_stream_leaves_nothing(local: Local, before: int, error: Exception) -> None:
    async def stream() -> AsyncIterator[Buffer]:
        async for piece in pieces(DATA[:before]):
            yield piece
        raise error

    with pytest.raises(type(error)) as caught:
        await local.plane.ingest_stream(stream())
    assert caught.value is error
    assert local.stored() == []
    local.assert_nothing_is_staged()


@pytest.mark.parametrize("before", [0, 1, BLOCK_BYTES, 2 * BLOCK_BYTES + 5])
async def test_cancellation_in_mid_stream_leaves_nothing(local: Local, before: int) -> None:
    waiting = asyncio.Event()

    async def stream() -> AsyncIterator[Buffer]:
        async for piece in pieces(DATA[:before]):
            yield piece
        waiting.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(local.plane.ingest_stream(stream()))
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert local.stored() == []
    local.assert_nothing_is_staged()


@pytest.mark.parametrize("after", [False, True])
async def test_cancellation_in_the_publication_finishes_it(
    local: Local, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    putting = Barrier(local.backend, "put", monkeypatch, after=after)
    task = asyncio.create_task(local.plane.ingest_stream(pieces(DATA)))
    await putting.reached.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    putting.release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await read(local.plane, BLAKE3) == DATA
    local.assert_nothing_is_staged()


# --- who may know this module (ADR-0004) ------------------------------------------------------------------------------

SOURCES = Path(artifactstore.__file__).parent
CONTROL_PLANE = ("api", "registry", "retention", "audit", "manifests")
FORBIDDEN = ("artifactstore.storage.backends", "artifactstore.dataplane.inproc")


def control_plane() -> list[Path]:
    """Every source file of the control plane, and the store that joins it to this plane through the port."""
    modules = [SOURCES / f"{name}.py" for name in ("store", "lifecycle", "content")]
    return [*(file for package in CONTROL_PLANE for file in (SOURCES / package).rglob("*.py")), *modules]


def violations(source: str, file: Path) -> list[Import]:
    return [item for item in imports_of(source, file.relative_to(SOURCES.parent)) if reaches(item, FORBIDDEN)]


def test_the_control_plane_knows_no_backend_and_no_data_plane_but_the_ports() -> None:
    files = control_plane()
    assert {"api", "registry", "audit", "manifests"} <= {file.parent.name for file in files}
    assert SOURCES / "store.py" in files
    found = {str(file): violations(file.read_text(), file) for file in files}
    assert {file: items for file, items in found.items() if items} == {}
    assert any(imports_of(file.read_text(), file.relative_to(SOURCES.parent)) for file in files)


@pytest.mark.parametrize(
    "planted",
    [
        "import artifactstore.storage.backends",
        "import artifactstore.storage.backends.localfs as kept",
        "import os, artifactstore.dataplane.inproc",
        "from artifactstore.storage import backends",
        "from artifactstore.storage import spi, backends as kept",
        "from artifactstore.storage.backends import localfs",
        "from artifactstore.storage.backends.localfs import LocalFileSystemBackend",
        "from artifactstore.dataplane.inproc import *",
        "from artifactstore.dataplane import *",
        "from ..dataplane import inproc",
        "from ..dataplane.inproc import InProcessDataPlane",
        "from ..storage.backends.memory import MemoryBackend",
        "def late():\n    if True:\n        from artifactstore.dataplane import inproc",
        "try:\n    import artifactstore.dataplane.inproc\nexcept ImportError:\n    pass",
        "import importlib\nimportlib.import_module('artifactstore.dataplane.inproc')",
        "from importlib import import_module as load\nload('artifactstore.storage.backends.localfs')",
        "import importlib as tool\ntool.import_module('.backends.localfs', package='artifactstore.storage')",
        "import importlib\nimportlib.import_module(name='..dataplane.inproc', package='artifactstore.api')",
        "__import__('artifactstore.dataplane.inproc')",
        "import builtins\nbuiltins.__import__('artifactstore.storage.backends.memory')",
    ],
)
def test_the_check_finds_what_is_planted(planted: str) -> None:
    assert violations(planted, SOURCES / "api" / "planted.py")


@pytest.mark.parametrize("planted", ["from .dataplane import inproc", "from .storage.backends import localfs"])
def test_the_check_knows_where_a_relative_import_stands(planted: str) -> None:
    assert violations(planted, SOURCES / "store.py")
    assert violations(planted, SOURCES / "__init__.py")
    assert not violations(planted, SOURCES / "api" / "planted.py")
    assert not violations(planted, SOURCES / "api" / "__init__.py")


@pytest.mark.parametrize(
    "allowed",
    [
        "from artifactstore.dataplane.spi import DataPlane",
        "from artifactstore.storage import spi",
        "from ..dataplane import exclusion",
        "import artifactstore.storage.backends_of_another_kind",
        "'artifactstore.dataplane.inproc'",
    ],
)
def test_the_check_finds_nothing_else(allowed: str) -> None:
    assert not violations(allowed, SOURCES / "api" / "planted.py")
