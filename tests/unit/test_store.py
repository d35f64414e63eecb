"""What the store adds to its parts: the exclusion of publishing and deleting, recovery, mending, damage."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from artifactstore.bootstrap import open_local
from artifactstore.dataplane.ingestion import SMALL_BYTES
from artifactstore.domain.artifact import ObjectState
from artifactstore.domain.caller import Caller
from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.domain.errors import (
    DigestMismatchError,
    ObjectDamagedError,
    ObjectInUseError,
    ObjectNotFoundError,
    StorageError,
)
from artifactstore.domain.ranges import ByteRange
from artifactstore.storage.backends import localfs
from artifactstore.storage.durability import sync_directory
from artifactstore.store import Store
from tests.conftest import settings_for
from tests.syscalls import not_at_once

DATA = b"the only copy" * 1000


def files(store_root: Path) -> list[Path]:
    return [path for path in (store_root / "objects").rglob("*") if path.is_file()]


async def read(store: Store, digest: Digest) -> bytes:
    async with await store.open_object(digest) as content:
        return b"".join([chunk async for chunk in content.chunks()])


class Gate:
    """Holds a method of a part at its beginning, or after its end, until the test lets it go."""

    def __init__(self, part: Any, method: str, monkeypatch: pytest.MonkeyPatch, *, after: bool) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()
        inner: Callable[..., Awaitable[Any]] = getattr(part, method)

        async def held(*args: Any, **kwargs: Any) -> Any:
            if after:
                result = await inner(*args, **kwargs)
                await self._wait()
                return result
            await self._wait()
            return await inner(*args, **kwargs)

        monkeypatch.setattr(part, method, held)

    async def _wait(self) -> None:
        self.reached.set()
        await self.open.wait()


#: Every step of a deletion and of a publication at which the other may arrive.
DELETION_STEPS = [("registry", "delete_object"), ("_dataplane", "delete_object"), ("registry", "purge_object")]
PUBLICATION_STEPS = [("_backend", "put_bytes"), ("registry", "record_object")]


def part_of(store: Store, name: str) -> Any:
    return store._dataplane._backend if name == "_backend" else getattr(store, name)  # type: ignore[attr-defined]  # InProcessDataPlane


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("part", "method"), DELETION_STEPS)
async def test_an_upload_that_meets_a_deletion_keeps_its_bytes(
    store: Store, monkeypatch: pytest.MonkeyPatch, part: str, method: str, after: bool
) -> None:
    stored = await store.put_object(DATA)
    gate = Gate(part_of(store, part), method, monkeypatch, after=after)
    deletion = asyncio.create_task(store.delete_object(stored.identity.blake3))
    await gate.reached.wait()
    upload = asyncio.create_task(store.put_object(DATA))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not upload.done(), "the lock is held to the end of the deletion"
    gate.open.set()
    await deletion
    assert (await upload).created
    assert await read(store, stored.identity.blake3) == DATA
    assert await store.registry.verify_views() is None


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("part", "method"), PUBLICATION_STEPS)
async def test_a_deletion_that_meets_an_upload_waits_for_its_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch, part: str, method: str, after: bool
) -> None:
    stored = await store.put_object(DATA)
    await store.delete_object(stored.identity.blake3)
    gate = Gate(part_of(store, part), method, monkeypatch, after=after)
    work: Coroutine[Any, Any, Any]
    work = store.put_object(DATA) if method == "record_object" else store.put_file("default", "a", DATA)
    upload = asyncio.create_task(work)
    await gate.reached.wait()
    deletion = asyncio.create_task(store.delete_object(stored.identity.blake3))
    await asyncio.sleep(0)
    gate.open.set()
    await upload
    outcome = (await asyncio.gather(deletion, return_exceptions=True))[0]
    # Either order is right; what must not be is a reference, or a live object, without its bytes.
    record = await store.registry.object(stored.identity.blake3)
    assert record is not None
    if record.state is ObjectState.LIVE:
        assert isinstance(outcome, ObjectInUseError | ObjectNotFoundError)
        assert await read(store, stored.identity.blake3) == DATA
    else:
        assert outcome is None
    assert await store.registry.verify_views() is None


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("part", "method"), DELETION_STEPS)
async def test_a_cancelled_deletion_is_finished_before_its_lock_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch, part: str, method: str, after: bool
) -> None:
    stored = await store.put_object(DATA)
    gate = Gate(part_of(store, part), method, monkeypatch, after=after)
    deletion = asyncio.create_task(store.delete_object(stored.identity.blake3))
    await gate.reached.wait()
    deletion.cancel()
    upload = asyncio.create_task(store.put_object(DATA))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not upload.done()
    gate.open.set()
    assert isinstance((await asyncio.gather(deletion, return_exceptions=True))[0], asyncio.CancelledError)
    await upload
    assert await read(store, stored.identity.blake3) == DATA


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("part", "method"), PUBLICATION_STEPS)
async def test_a_cancelled_upload_leaves_no_dangling_reference(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str, method: str, after: bool
) -> None:
    gate = Gate(part_of(store, part), method, monkeypatch, after=after)
    upload = asyncio.create_task(store.put_object(DATA))
    await gate.reached.wait()
    upload.cancel()
    gate.open.set()
    assert isinstance((await asyncio.gather(upload, return_exceptions=True))[0], asyncio.CancelledError)
    present = [record for record in [await store.registry.object(_blake3())] if record is not None]
    assert all(files(tmp_path / "root") for _ in present)
    assert (await store.put_object(DATA)).identity.size_bytes == len(DATA)
    assert await read(store, _blake3()) == DATA
    assert len(store._lifecycle.locks) == 0


def _blake3() -> Digest:
    from artifactstore.hashing import dual_digest

    return Digest.blake3(dual_digest(DATA).blake3)


async def test_identical_uploads_at_once_make_one_object(store: Store, tmp_path: Path) -> None:
    outcomes = await asyncio.gather(*(store.put_object(DATA) for _ in range(8)))
    assert sorted(outcome.created for outcome in outcomes) == [False] * 7 + [True]
    assert len(files(tmp_path / "root")) == 1
    assert await store.registry.head() == 1


@pytest.mark.parametrize("method", ["delete_object", "purge_object"])
async def test_a_deletion_that_a_crash_interrupted_is_finished_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    settings = settings_for(tmp_path / "root")
    async with open_local(settings) as store:
        stored = await store.put_object(DATA)
        part: Any = store._dataplane if method == "delete_object" else store.registry

        async def crash(*_args: object, **_kwargs: object) -> None:
            raise StorageError("the process ends here")

        with monkeypatch.context() as patch:
            patch.setattr(part, method, crash)
            await store.delete_object(stored.identity.blake3)
        record = await store.registry.object(stored.identity.blake3)
        assert record is not None
        assert record.state is ObjectState.DELETING
        with pytest.raises(ObjectNotFoundError):
            await store.object(stored.identity.blake3)
    for _ in range(2):  # recovery twice is recovery once
        async with open_local(settings) as store:
            record = await store.registry.object(stored.identity.blake3)
            assert record is not None
            assert record.state is ObjectState.PURGED
            assert files(settings.root) == []
            assert await store.registry.head() == 3
            assert await store.registry.verify_views() is None


async def test_bytes_that_no_event_vouches_for_are_not_trusted(store: Store, tmp_path: Path) -> None:
    digest = _blake3()
    orphan = tmp_path / "root" / "objects" / "blake3" / digest.hex[:2] / digest.hex
    orphan.write_bytes(b"?" * len(DATA))  # right size, wrong bytes: what a torn write leaves
    stored = await store.put_object(DATA)
    assert stored.created
    assert await read(store, digest) == DATA


async def test_a_wrong_announcement_stores_nothing(store: Store, tmp_path: Path) -> None:
    with pytest.raises(DigestMismatchError):
        await store.put_object(DATA, expected=[Digest.sha256(b"0" * 32)])
    with pytest.raises(DigestMismatchError):
        await store.put_file("default", "a", DATA, expected=[_blake3(), Digest.sha256(b"0" * 32)])
    assert files(tmp_path / "root") == []
    assert await store.registry.head() == 0
    assert len(store._lifecycle.locks) == 0


async def test_sha256_as_the_primary_key(store: Store, tmp_path: Path) -> None:
    stored = await store.put_object(DATA, primary_algorithm=Algorithm.SHA256)
    (path,) = files(tmp_path / "root")
    assert path.parts[-3:] == ("sha256", stored.identity.sha256.hex[:2], stored.identity.sha256.hex)
    assert await read(store, stored.identity.blake3) == DATA
    assert not (await store.put_object(DATA)).created, "the key of a stored object stays"
    assert files(tmp_path / "root") == [path]
    assert (await store.verify_object(stored.identity.sha256)).verified


async def test_a_damaged_object_found_sound_is_live_again(store: Store) -> None:
    stored = await store.put_object(DATA)
    await store.registry.mark_damaged(
        stored.identity.blake3, reason="unreadable", actual=(None, None), size_bytes=None, actor="test"
    )
    with pytest.raises(ObjectDamagedError):
        await store.open_object(stored.identity.blake3)
    assert await store.put_known(stored.identity.blake3) is None
    assert (await store.verify_object(stored.identity.blake3)).verified
    assert await read(store, stored.identity.blake3) == DATA


async def test_a_reader_keeps_what_it_opened_while_the_copy_is_mended(store: Store, tmp_path: Path) -> None:
    data = DATA * 10_000  # too large to be held in memory
    stored = await store.put_object(data)
    (path,) = files(tmp_path / "root")
    async with await store.open_object(stored.identity.blake3) as reader:
        path.chmod(0o640)
        path.write_bytes(b"?" + data[1:])
        assert not (await store.verify_object(stored.identity.blake3)).verified
        await store.put_object(data)
        assert b"".join([chunk async for chunk in reader.chunks()]) == b"?" + data[1:]
    assert await read(store, stored.identity.blake3) == data


async def test_a_stream_that_fails_leaves_nothing(store: Store, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield DATA
        raise RuntimeError("the source is gone")

    with pytest.raises(RuntimeError, match="source"):
        await store.put_object(broken())
    assert files(tmp_path / "root") == []
    assert list((tmp_path / "root" / "staging").iterdir()) == []


async def test_a_range_is_read(store: Store) -> None:
    stored = await store.put_object(DATA)
    async with await store.open_object(stored.identity.sha256, ByteRange(5, 10)) as content:
        assert b"".join([chunk async for chunk in content.chunks()]) == DATA[5:15]


async def test_a_reader_beside_the_writer_reads_and_records_nothing(store: Store, tmp_path: Path) -> None:
    stored = await store.put_object(DATA)
    async with open_local(settings_for(tmp_path / "root"), read_only=True) as reader:
        assert await read(reader, stored.identity.blake3) == DATA
        assert (await reader.verify_object(stored.identity.blake3)).verified
    assert await store.registry.head() == 1


async def test_a_known_object_is_claimed_only_if_all_that_was_said_is_true(store: Store) -> None:
    stored = await store.put_object(DATA)
    blake3, size = stored.identity.blake3, len(DATA)
    for wrong in ({"expected": [Digest.sha256(b"0" * 32)]}, {"size_hint": size + 1}):
        with pytest.raises(DigestMismatchError):
            await store.put_known(blake3, namespace="other", **wrong)
    assert await store.registry.head() == 1
    assert await store.put_known(blake3, namespace="other", expected=[stored.identity.sha256], size_hint=size)
    assert await store.registry.head() == 2


async def test_a_moment_without_descriptors_is_not_damage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = await store.put_object(DATA)

    def none_left(*_args: object, **_kwargs: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", none_left)
        patch.setattr(localfs, "open_cached", not_at_once)
        with pytest.raises(StorageError, match="Too many open files"):
            await store.verify_object(stored.identity.blake3)
    assert await store.registry.head() == 1
    assert (await store.verify_object(stored.identity.blake3)).verified


async def test_a_verification_reads_where_the_object_is_now(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = await store.put_object(DATA)
    plane: Any = store._dataplane
    inner = plane.verify_object

    async def moved(address: Digest) -> Any:  # between the look and the lock: deleted, and stored under another key
        monkeypatch.setattr(plane, "verify_object", inner)
        await store.delete_object(stored.identity.blake3)
        result = await inner(address)
        await store.put_object(DATA, primary_algorithm=Algorithm.SHA256)
        return result

    monkeypatch.setattr(plane, "verify_object", moved)
    assert (await store.verify_object(stored.identity.blake3)).verified
    assert (await store.object(stored.identity.blake3)).state is ObjectState.LIVE


@pytest.mark.parametrize("left", [None, b"cut short"])
async def test_a_copy_that_could_not_be_mended_durably_is_not_trusted_afterwards(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: bytes | None
) -> None:
    data = bytes(SMALL_BYTES + 1)  # so that it is staged, and Python syncs its directory
    stored = await store.put_object(data)
    (path,) = files(tmp_path / "root")
    path.unlink()
    if left is not None:
        path.write_bytes(left)
    synced: list[Path] = []
    inner = sync_directory

    def failing(directory: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    def counted(directory: Path) -> None:
        inner(directory)
        synced.append(directory)

    monkeypatch.setattr(localfs, "sync_directory", failing)
    with pytest.raises(StorageError):
        await store.put_object(data)
    assert (await store.object(stored.identity.blake3)).state is ObjectState.DAMAGED
    monkeypatch.setattr(localfs, "sync_directory", counted)
    await store.put_object(data)
    assert synced == [path.parent]
    assert (await store.object(stored.identity.blake3)).state is ObjectState.LIVE
    synced.clear()
    await store.registry.mark_damaged(
        stored.identity.blake3, reason="unreadable", actual=(None, None), size_bytes=None, actor="test"
    )
    assert (await store.verify_object(stored.identity.blake3)).verified
    assert path.parent in synced, "what a verification finds sound is made durable before that is recorded"


async def test_a_lost_event_log_is_said_where_there_are_objects(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(tmp_path / "root")
    async with open_local(settings) as store:
        assert "is missing" not in caplog.text, "a new root has lost nothing"
    database = settings.root / "registry" / "log.sqlite3"
    database.unlink()
    async with open_local(settings) as store:
        assert "is missing" not in caplog.text
        await store.put_object(DATA)
    async with open_local(settings):
        assert "is missing" not in caplog.text
    database.unlink()
    async with open_local(settings):
        assert f"the event log {database} is missing, and there are objects" in caplog.text


@pytest.mark.parametrize(
    ("given", "named"),
    [("alice", "alice"), ("J\u00f6rg \u2603", "J\u00f6rg \u2603"), ("a\nb\x00\x85", "a\ufffdb\ufffd\ufffd"),
     ("\udcff", "\ufffd"), ("", "unknown"), ("x" * 300, "x" * 256), ("x" + "\u2603" * 100, "x" + "\u2603" * 85)],
)  # fmt: skip
async def test_events_name_whoever_it_is_in_plain_text(store: Store, given: str, named: str) -> None:
    await store.acting_as(Caller.named(given)).put_object(DATA)
    assert [event.actor for event in await store.events()] == [named]


async def test_whoever_opens_a_store_is_named_in_plain_text(tmp_path: Path) -> None:
    async with open_local(settings_for(tmp_path / "root"), actor="local:\udcff") as store:
        stored = await store.put_object(DATA)
        assert await read(store, stored.identity.blake3) == DATA
        assert [event.actor for event in await store.events()] == ["local:\ufffd"]
