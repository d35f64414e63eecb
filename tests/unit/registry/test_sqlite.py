from __future__ import annotations

import asyncio
import errno
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from threading import get_ident
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from artifactstore.domain.errors import ObjectNotFoundError, RegistryError, StorageFullError
from artifactstore.registry.sqlite import (
    Readers,
    Writer,
    failure,
    is_full,
    open_readers,
    open_writer,
    scratch_engine,
    wal_precaution,
    write_back,
)
from tests.syscalls import descriptors_under


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "100% é?#&" / "log.sqlite3"


@pytest.fixture
async def writer(file: Path) -> AsyncIterator[Writer]:
    file.parent.mkdir()
    opened = open_writer(file)
    await opened.run(lambda connection: change(connection, "CREATE TABLE items (number INTEGER)"))
    yield opened
    await opened.close()


@pytest.fixture
async def readers(writer: Writer, file: Path) -> AsyncIterator[Readers]:
    opened = open_readers(file)
    yield opened
    await opened.close()


def change(connection: Connection, statement: str) -> None:
    with connection.begin():
        connection.exec_driver_sql(statement)


def pragma(connection: Connection, name: str) -> Any:
    return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def count(connection: Connection) -> int:
    return int(connection.exec_driver_sql("SELECT count(*) FROM items").scalar() or 0)


def insert(connection: Connection) -> None:
    change(connection, "INSERT INTO items VALUES (1)")


def wal(file: Path) -> Path:
    return file.with_name(file.name + "-wal")


async def test_commits_of_the_writer_are_durable(writer: Writer) -> None:
    assert await writer.run(lambda connection: pragma(connection, "journal_mode")) == "wal"
    assert await writer.run(lambda connection: pragma(connection, "synchronous")) == 2  # FULL
    assert await writer.run(lambda connection: pragma(connection, "wal_autocheckpoint")) == 4000
    assert await writer.run(lambda connection: pragma(connection, "cache_size")) == -16000  # KiB
    assert await writer.run(lambda connection: pragma(connection, "journal_size_limit")) == 64 * 2**20


async def test_a_wal_that_is_written_back_before_each_commit_does_not_grow(writer: Writer, file: Path) -> None:
    await writer.run(insert)
    size = wal(file).stat().st_size
    for _ in range(10):
        await writer.run(write_back)
        await writer.run(insert)
    assert wal(file).stat().st_size == size
    assert await writer.run(count) == 11


async def test_the_writer_takes_the_write_lock_when_it_begins(writer: Writer, file: Path) -> None:
    def locked(connection: Connection) -> None:
        with connection.begin():
            other = sqlite3.connect(file, timeout=0, isolation_level=None)
            try:
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    other.execute("BEGIN IMMEDIATE")
            finally:
                other.close()

    await writer.run(locked)


async def test_the_writer_has_one_connection_and_one_thread(writer: Writer) -> None:
    def who(connection: Connection) -> tuple[int, int]:
        return get_ident(), id(connection.connection.driver_connection)

    assert len(set(await asyncio.gather(*(writer.run(who) for _ in range(10))))) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO items VALUES (1)",
        "DELETE FROM items",
        "DROP TABLE items",
        "CREATE TABLE more (number)",
        "PRAGMA user_version=7",
    ],
)
async def test_a_reader_cannot_write(writer: Writer, readers: Readers, statement: str) -> None:
    await writer.run(insert)
    with pytest.raises(RegistryError, match="SQLITE_READONLY"):
        await readers.run(lambda connection: connection.exec_driver_sql(statement))
    assert await readers.run(count) == 1


async def test_a_reader_does_not_checkpoint(writer: Writer, file: Path) -> None:
    await writer.run(insert)
    before = file.read_bytes(), wal(file).read_bytes()
    reading = open_readers(file)
    assert await reading.run(count) == 1
    assert await reading.run(lambda connection: pragma(connection, "wal_autocheckpoint")) == 0
    assert await reading.run(lambda connection: pragma(connection, "query_only")) == 1
    await reading.close()
    assert (file.read_bytes(), wal(file).read_bytes()) == before


async def test_the_last_reader_leaves_the_wal_and_the_writer_does_not(file: Path) -> None:
    file.parent.mkdir()
    writer = open_writer(file)
    await writer.run(lambda connection: change(connection, "CREATE TABLE items (number INTEGER)"))
    await writer.run(insert)
    reading = open_readers(file)
    assert await reading.run(count) == 1
    await writer.close()  # not the last connection: nothing is checkpointed away under the reader
    assert wal(file).stat().st_size > 0
    await reading.close()
    assert wal(file).stat().st_size > 0, "closing the last reader does not checkpoint"
    again = open_writer(file)
    assert await again.run(count) == 1
    await again.close()
    assert not wal(file).exists()


async def test_readers_see_what_is_committed_while_somebody_writes(writer: Writer, readers: Readers) -> None:
    async def write() -> None:
        for _ in range(30):
            await writer.run(insert)

    async def read() -> list[int]:
        return [await readers.run(count) for _ in range(30)]

    _, first, second = await asyncio.gather(write(), read(), read())
    for counts in (first, second):
        assert counts == sorted(counts)
    assert await readers.run(count) == 30


async def test_a_read_is_of_one_moment(writer: Writer, readers: Readers) -> None:
    def twice(connection: Connection) -> tuple[int, int]:
        first = count(connection)
        # the reader's thread belongs to aiosqlite: the writer's own is free meanwhile
        with writer.engine.connect() as other:
            insert(other)
        return first, count(connection)

    assert await readers.run(twice) == (0, 0)
    assert await readers.run(count) == 1


async def test_more_readers_than_connections_wait(writer: Writer, readers: Readers) -> None:
    assert await asyncio.gather(*(readers.run(count) for _ in range(40))) == [0] * 40


async def test_a_reader_makes_no_database(tmp_path: Path) -> None:
    reading = open_readers(tmp_path / "missing.sqlite3")
    with pytest.raises(RegistryError, match="SQLITE_CANTOPEN"):
        await reading.run(count)
    await reading.close()
    # aiosqlite does not wait for the thread of a connection that failed, which still needs the loop
    while any("_connection_worker_thread" in thread.name for thread in threading.enumerate()):
        await asyncio.sleep(0.001)
    assert list(tmp_path.iterdir()) == []


def test_a_scratch_database_begins_empty_each_time() -> None:
    for _ in range(2):
        scratch = scratch_engine()
        with scratch.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE items (number INTEGER)")
        scratch.dispose()


@pytest.mark.parametrize("version", ["3.7.0", "3.40.1", "3.44.5", "3.45.0", "3.50.6", "3.51.0", "3.51.2"])
def test_the_wal_reset_bug_is_known(version: str) -> None:
    line = wal_precaution(version)
    assert line is not None
    assert version in line
    assert "\n" not in line


@pytest.mark.parametrize("version", ["3.6.23", "3.44.6", "3.44.7", "3.50.7", "3.51.3", "3.52.0", "4.0.0"])
def test_versions_without_the_wal_reset_bug(version: str) -> None:
    assert wal_precaution(version) is None


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("something")
    error.sqlite_errorcode = code
    error.sqlite_errorname = "SQLITE_NAME"
    return error


@pytest.mark.parametrize(
    "error",
    [
        sqlite_error(sqlite3.SQLITE_FULL),
        sqlite_error(sqlite3.SQLITE_FULL | 5 << 8),
        sqlite_error(sqlite3.SQLITE_IOERR_SHMSIZE),
        OSError(errno.ENOSPC, "no space"),
        OSError(errno.EDQUOT, "over quota"),
        OperationalError("INSERT", None, sqlite_error(sqlite3.SQLITE_FULL)),
    ],
)
def test_no_space_is_no_space(error: Exception) -> None:
    assert is_full(error)
    assert isinstance(failure(error), StorageFullError)


@pytest.mark.parametrize(
    "error",
    [
        sqlite_error(sqlite3.SQLITE_IOERR_WRITE),
        sqlite_error(sqlite3.SQLITE_BUSY),
        OSError(errno.EIO, "I/O"),
        ValueError("a fault"),
        OperationalError("INSERT INTO secrets VALUES ('secret')", None, sqlite_error(sqlite3.SQLITE_IOERR)),
    ],
)
def test_another_failure_is_one_line_without_the_statement(error: Exception) -> None:
    assert not is_full(error)
    found = failure(error)
    assert type(found) is RegistryError
    assert "\n" not in str(found)
    assert "secret" not in str(found)


def test_an_error_of_the_domain_stays_what_it_is() -> None:
    error = ObjectNotFoundError("there is no object")
    assert failure(error) is error


async def test_a_read_that_is_cancelled_gives_its_connection_back(readers: Readers) -> None:
    begun, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def held(connection: Connection) -> int:
        def wait(_: int) -> int:
            loop.call_soon_threadsafe(begun.set)
            assert release.wait(30)
            return 1

        driver = connection.connection.driver_connection
        assert driver is not None
        driver._conn.create_function("held", 1, wait)
        return int(connection.exec_driver_sql("SELECT held(1)").scalar() or 0)

    reading = asyncio.create_task(readers.run(held))
    await begun.wait()
    for _ in range(3):
        reading.cancel()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not reading.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert readers._engine.pool.status().endswith("Current Checked out connections: 0")


@pytest.mark.parametrize("turns", range(1, 30))
async def test_cancelled_reads_leave_no_descriptor(file: Path, turns: int) -> None:
    file.parent.mkdir()
    writer = open_writer(file)
    await writer.run(lambda connection: change(connection, "CREATE TABLE items (number INTEGER)"))
    await writer.run(insert)
    readers = open_readers(file)
    reads = [asyncio.create_task(readers.run(count)) for _ in range(6)]
    for _ in range(turns):
        await asyncio.sleep(0)
    for read in reads:
        read.cancel()
    await asyncio.wait(reads)
    assert await readers.run(count) == 1
    await readers.close()
    await writer.close()  # SQLite keeps the readers' descriptors while another connection holds a lock
    assert descriptors_under(file.parent) == []


async def test_closing_waits_for_a_read_and_refuses_the_next(writer: Writer, file: Path) -> None:
    await writer.run(insert)
    readers = open_readers(file)
    reading = asyncio.create_task(readers.run(count))
    await asyncio.sleep(0)
    await readers.close()
    assert reading.done()
    assert await reading == 1
    with pytest.raises(RegistryError, match="closed"):
        await readers.run(count)
