"""What is SQLite's own: connections with their pragmas, the two ways to run work on them, the meaning of its errors.

ONE connection writes and checkpoints. Readers are `query_only`, and neither commit nor close of one checkpoints. This
is also the precaution against the WAL-reset bug (sqlite.org/wal.html#walresetbug): SQLite 3.7.0 to 3.51.2 can lose a
commit when two connections write or checkpoint at the same moment.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

from sqlalchemy import URL, ClauseElement, Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.dialects.sqlite import dialect
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from artifactstore.cancellation import uninterrupted
from artifactstore.domain.errors import ArtifactStoreError, RegistryError, StorageFullError

_BUSY_SECONDS = 10.0  # a reader's first look after a crash, or a backup, may hold the lock for a moment
_JOURNAL_BYTES = 64 * 2**20  # what the WAL is cut back to after a checkpoint
#: Of the writer's WAL before a checkpoint, and of its cache: 16 MiB each. Uploads change leaves of five trees at
#: random, a full batch some 2,500 of them, and what does not fit the cache is written twice (ADR-0020).
_PAGES = 4000
_PAGE_KIB = 4
_READERS = 4
#: The last branch releases that have the bug's fix, besides everything from _FIXED on.
_FIXED = (3, 51, 3)
_BACKPORTS = ((3, 44, 6), (3, 50, 7))
_PRIMARY_CODE = 0xFF  # the low byte of an extended result code
_DIALECT = dialect(paramstyle="qmark")

#: What a statement raises: SQLAlchemy wraps the driver's errors, a prepared statement's come as they are.
DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error)


def prepared(statement: ClauseElement, *variables: str) -> str:
    """A statement's text for the driver, its variables in this order. LookupError if they are not."""
    compiled = statement.compile(dialect=_DIALECT)
    found = tuple(getattr(compiled, "positiontup", None) or ())
    if found != variables:
        raise LookupError(f"the variables of a statement are {found}, not {variables}")
    return str(compiled)


def driver(connection: Connection) -> sqlite3.Connection:
    """The driver's connection, for prepared statements within a transaction that SQLAlchemy began."""
    found = connection.connection.driver_connection
    assert isinstance(found, sqlite3.Connection)  # noqa: S101 - this module made it
    return found


class _Connection(sqlite3.Connection):
    """A connection with its pragmas set; one that cannot be set up is closed again."""

    pragmas: ClassVar[tuple[str, ...]]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.isolation_level = None  # this code begins transactions itself
        try:
            for pragma in self.pragmas:
                self.execute(f"PRAGMA {pragma}").fetchall()
        except BaseException:
            self.close()
            raise


class _WriterConnection(_Connection):
    """Commits are durable when they return: WAL with synchronous=FULL."""

    pragmas = (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=OFF",
        f"journal_size_limit={_JOURNAL_BYTES}",
        f"wal_autocheckpoint={_PAGES}",
        f"cache_size=-{_PAGES * _PAGE_KIB}",
    )

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        try:
            # A file that cannot be opened for writing at this moment is opened for reading by SQLite, which says so
            # when something is written: every commit would fail, after the moment, too.
            self.executescript("BEGIN IMMEDIATE; PRAGMA user_version = 0; ROLLBACK")
        except BaseException:
            self.close()
            raise


class _ReaderConnection(_Connection):
    """Changes nothing, neither rows nor the WAL."""

    pragmas = ("wal_autocheckpoint=0", "query_only=ON")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)


def wal_precaution(version: str = sqlite3.sqlite_version) -> str | None:
    """The line to log at start if this SQLite has the WAL-reset bug; None if it does not."""
    numbers = tuple(int(part) for part in version.split("."))
    if numbers >= _FIXED or numbers < (3, 7, 0) or any(numbers[:2] == fix[:2] and numbers >= fix for fix in _BACKPORTS):
        return None
    return (
        f"SQLite {version} has the WAL-reset bug (fixed in 3.51.3): "
        "one connection alone writes and checkpoints the log, which avoids it"
    )


class Writer:
    """The one connection that writes, on a thread of its own: a unit of work is one hop to it and back."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="log-writer")

    async def run[T](self, work: Callable[[Connection], T]) -> T:
        """Run `work` on the writer's thread, after what was asked before. It begins and commits its transactions.

        A cancelled caller does not stop work that has begun.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._connected, work)

    def _connected[T](self, work: Callable[[Connection], T]) -> T:
        with self.engine.connect() as connection:
            return work(connection)

    async def close(self) -> None:
        """Close the connection; the WAL is checkpointed."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self.engine.dispose)
        self._thread.shutdown()


def write_back(connection: Connection) -> None:
    """Bring the WAL's pages into the database, so that the next commit begins the WAL anew and needs no more space.

    Nothing happens where there is no room for the pages that the database has still to grow by; a failure is none of
    the caller's, since the WAL keeps what it has.
    """
    with suppress(*DATABASE_ERRORS, OSError):
        pragma = driver(connection).execute
        (_, _, name), *_ = pragma("PRAGMA database_list")
        ((pages,),) = pragma("PRAGMA page_count")
        ((page_bytes,),) = pragma("PRAGMA page_size")
        disk = os.statvfs(name)
        if pages * page_bytes - os.stat(name).st_size <= disk.f_bavail * disk.f_frsize:  # noqa: PTH116 - a text
            pragma("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


class Readers:
    """A pool of connections that only read."""

    def __init__(self, engine: AsyncEngine, file: Path) -> None:
        self._engine = engine
        self._wal = file.with_name(f"{file.name}-wal")
        self._closed = False
        self._running: set[asyncio.Task[Any]] = set()

    async def run[T](self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which ends with its answer's page, in one read transaction: all it reads is of one moment.

        A cancellation goes on when that is done. One that broke in would leave a connection that the pool cannot take
        back, with its descriptors.
        """
        if self._closed:
            raise RegistryError("the registry is closed")
        task = asyncio.create_task(self._read(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await uninterrupted(task)

    async def _read[T](self, work: Callable[[Connection], T]) -> T:
        try:
            async with self._engine.connect() as connection, connection.begin():
                return await connection.run_sync(work)
        except SQLAlchemyError as error:
            raise failure(error) from error

    def wal_bytes(self) -> int:
        """The size of the write-ahead log; 0 if there is none. Blocking."""
        try:
            return self._wal.stat().st_size
        except OSError:
            return 0

    async def close(self) -> None:
        """Let the reads that run end, then close all connections."""
        self._closed = True
        if self._running:
            await asyncio.wait(self._running)
        await self._engine.dispose()


def open_writer(file: Path) -> Writer:
    """The writer of a database file, which is made if it is not there."""
    return Writer(writer_engine(file))


def writer_engine(file: Path) -> Engine:
    """One connection whose transactions take the write lock at once, so that they never fail half way for it."""
    connection = sqlite3.connect(file, timeout=_BUSY_SECONDS, factory=_WriterConnection, check_same_thread=False)
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    event.listen(engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN IMMEDIATE"))
    return engine


def scratch_engine() -> Engine:
    """An empty database of one connection, in memory and then in a nameless temporary file, gone when it is closed."""
    connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    event.listen(engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN"))
    return engine


def open_readers(file: Path) -> Readers:
    """Readers of a database file; one that is not there is an error and is not made."""
    address = URL.create("sqlite+aiosqlite", database=_name(file), query={"mode": "rw", "uri": "true"})
    engine = create_async_engine(
        address,
        connect_args={"factory": _ReaderConnection, "timeout": _BUSY_SECONDS},
        pool_size=_READERS,
        max_overflow=0,
    )
    event.listen(engine.sync_engine, "begin", lambda begun: begun.exec_driver_sql("BEGIN"))
    return Readers(engine, file)


def open_reader(file: Path) -> sqlite3.Connection:
    """One connection that only reads, for a thread of its own. Blocking."""
    return sqlite3.connect(f"{_name(file)}?mode=rw", uri=True, timeout=_BUSY_SECONDS, factory=_ReaderConnection)


def _name(file: Path) -> str:
    # with mode=rw, not ro: a reader must be able to make the shared index beside the WAL; query_only forbids the rest
    return f"file:{quote(str(file.absolute()))}"


def failure(error: Exception) -> ArtifactStoreError:
    """What a failed statement means for whoever asked for it."""
    if isinstance(error, ArtifactStoreError):
        return error
    if is_full(error):
        return StorageFullError("the disk is full: the event log cannot grow")
    cause = error.orig if isinstance(error, DBAPIError) else error
    name = getattr(cause, "sqlite_errorname", type(cause).__name__)
    return RegistryError(f"the event log failed: {cause} ({name})")


def is_full(error: Exception) -> bool:
    """Whether there was no space. The shared index beside the WAL has a code of its own for it."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(cause, "sqlite_errorcode", 0)
    if code & _PRIMARY_CODE == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE:
        return True
    return isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
