"""A disk that is really full: uploads are refused, downloads and deletions go on (invariant 10)."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from sqlalchemy import Connection

from artifactstore.bootstrap import open_local
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import StorageFullError
from artifactstore.registry.sqlite import open_writer, write_back
from artifactstore.settings import LEAST_RESERVE_BYTES
from artifactstore.store import Store
from tests.conftest import settings_for

MEBIBYTE = 2**20


async def read(store: Store, digest: Digest) -> bytes:
    async with await store.open_object(digest) as content:
        return b"".join([chunk async for chunk in content.chunks()])


def fill(disk: Path) -> Path:
    """Take every byte that is left, as somebody else on the disk would."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (MEBIBYTE, 4096, 1):
            with pytest.raises(OSError, match="No space left"):
                while True:
                    file.write(bytes(size))
        os.fsync(file.fileno())
    return filler


async def test_uploads_stop_and_downloads_and_deletions_go_on(small_disk: Path) -> None:
    settings = settings_for(small_disk / "root", log_reserve_bytes=4 * MEBIBYTE)
    async with open_local(settings) as store:
        kept = await store.put_object(os.urandom(MEBIBYTE))
        given_up = [await store.put_object(os.urandom(5 * MEBIBYTE)) for _ in range(4)]
        await store.put_file("default", "named", os.urandom(1000))
        filler = fill(small_disk)
        head = await store.registry.head()

        for size in (0, 10, 3 * MEBIBYTE):  # an empty one needs no block of its own, but its event does
            with pytest.raises(StorageFullError):
                for _ in range(2000):  # the log's last page may have room for a few events
                    await store.put_object(os.urandom(size) if size else os.urandom(1), namespace="other")
        assert len(await read(store, kept.identity.blake3)) == MEBIBYTE

        await store.delete_file("default", "named")
        for stored in given_up:
            await store.delete_object(stored.identity.blake3)
        assert await store.registry.verify_views() is None
        again = await store.put_object(os.urandom(3 * MEBIBYTE))  # there is room again
        assert (await store.verify_object(again.identity.blake3)).verified
        assert await store.registry.head() > head
        assert (settings.root / "reserve").stat().st_size == 4 * MEBIBYTE, "the reserve is whole again"
        filler.unlink()
    async with open_local(settings) as store:
        assert await store.registry.verify_views() is None
        assert await store.registry.deleting() == []
        assert (await store.verify_object(kept.identity.blake3)).verified


async def no_deletions(store: Store, numbers: range) -> int:
    """How many of these names could not be deleted."""
    refused = 0
    for number in numbers:
        try:
            await store.delete_file("default", f"name-{number}")
        except StorageFullError:
            refused += 1
    return refused


async def test_a_start_on_a_full_disk_gives_up_the_reserve(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_for(small_disk / "root", log_reserve_bytes=4 * MEBIBYTE)
    async with open_local(settings) as store:
        kept = await store.put_object(os.urandom(MEBIBYTE))
        given_up = await store.put_object(os.urandom(5 * MEBIBYTE))
        await store.put_file("default", "name-0", b"a file")
    fill(small_disk)  # after a clean close: neither the WAL nor its index are there
    reserve = settings.root / "reserve"
    async with open_local(settings) as store:
        assert "the event log's reserve was given up so that it can be opened" in caplog.text
        assert not reserve.exists()
        assert len(await read(store, kept.identity.blake3)) == MEBIBYTE
        with pytest.raises(StorageFullError, match="only what frees space"):
            await store.put_object(b"", namespace="other")
        assert await no_deletions(store, range(1)) == 0
    async with open_local(settings) as store:
        await store.delete_object(given_up.identity.blake3)
        assert reserve.stat().st_size == 4 * MEBIBYTE, "the reserve is whole again"
        await store.put_file("default", "new", b"a file")
        assert await store.registry.verify_views() is None


async def test_a_full_disk_is_read_without_a_writer(small_disk: Path) -> None:
    settings = settings_for(small_disk / "root", log_reserve_bytes=4 * MEBIBYTE)
    async with open_local(settings) as store:
        kept = await store.put_object(os.urandom(MEBIBYTE))
    fill(small_disk)
    async with open_local(settings, read_only=True) as store:
        assert len(await read(store, kept.identity.blake3)) == MEBIBYTE


async def test_nothing_else_is_recorded_in_the_space_of_the_reserve(small_disk: Path) -> None:
    settings = settings_for(small_disk / "root", log_reserve_bytes=4 * MEBIBYTE)
    async with open_local(settings) as store:
        kept = await store.put_object(b"kept")
        record = await store.record(kept.identity.blake3)
        for number in range(300):
            await store.put_file("default", f"name-{number}", b"a file")
        fill(small_disk)

        async def claim(number: int) -> None:
            await store.registry.record_object(
                record.identity,
                backend_id=record.backend_id,
                primary_algorithm=record.primary_algorithm,
                namespace=f"space-{number}",
                actor="x" * 3000,
            )

        deleted = 0
        while (settings.root / "reserve").exists():
            with pytest.raises(StorageFullError):
                for number in range(100_000):
                    await claim(number)
            assert await no_deletions(store, range(deleted, deleted + 1)) == 0
            deleted += 1
        for number in range(100):
            with pytest.raises(StorageFullError, match="only what frees space"):
                await claim(1_000_000 + number)
        assert await no_deletions(store, range(deleted, 300)) == 0
        await store.delete_object(kept.identity.blake3)
        assert await store.registry.verify_views() is None


async def test_the_least_reserve_lasts_for_hundreds_of_deletions_that_free_nothing(small_disk: Path) -> None:
    """Somebody else holds the bytes: all that is to be had is the reserve. Uploads at once let the log grow most."""
    settings = settings_for(small_disk / "root", log_reserve_bytes=LEAST_RESERVE_BYTES)
    async with open_local(settings) as store:
        stored = await asyncio.gather(*(store.put_object(os.urandom(100)) for _ in range(500)))
        (small_disk / "held").mkdir()
        for path in filter(Path.is_file, (settings.root / "objects").rglob("*")):
            (small_disk / "held" / path.name).hardlink_to(path)
        fill(small_disk)
        for item in stored:
            await store.delete_object(item.identity.blake3)
        assert not (settings.root / "reserve").exists()
        assert await store.registry.deleting() == []
        assert await store.registry.verify_views() is None


async def test_the_wal_is_written_back_only_where_the_database_has_room_to_grow(small_disk: Path) -> None:
    file = small_disk / "log.sqlite3"
    writer = open_writer(file)

    def add(connection: Connection) -> None:
        with connection.begin():
            connection.exec_driver_sql("CREATE TABLE items (content BLOB)")
            connection.exec_driver_sql("INSERT INTO items VALUES (zeroblob(1000000))")

    await writer.run(add)
    before = file.stat().st_size
    filler = fill(small_disk)
    await writer.run(write_back)
    assert file.stat().st_size == before, "half of it would take the room of the next commit"
    filler.unlink()
    await writer.run(write_back)
    assert file.stat().st_size > 1_000_000
    await writer.close()
