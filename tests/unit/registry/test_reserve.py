"""The reserve, and a log whose disk is full.

SQLite's own page limit makes the disk full, so that no mount is needed: a write beyond it is a real SQLITE_FULL.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from artifactstore.domain.errors import StorageFullError
from artifactstore.registry.registry import Registry
from artifactstore.registry.reserve import Reserve
from tests.unit.registry.conftest import ACTOR, damage, identity, open_registry, put_file, put_object

SIZE = 2**16


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "reserve"


def test_a_reserve_holds_blocks(file: Path) -> None:
    reserve = Reserve(file, SIZE)
    assert not reserve.filled
    assert reserve.fill()
    assert reserve.filled
    assert file.stat().st_size == SIZE
    assert file.stat().st_blocks * 512 >= SIZE
    assert reserve.fill(), "once more changes nothing"


def test_a_reserve_is_given_up_once(file: Path) -> None:
    reserve = Reserve(file, SIZE)
    reserve.fill()
    assert reserve.release()
    assert not file.exists()
    assert not reserve.release()
    assert reserve.fill()


def test_a_hole_is_no_reserve(file: Path) -> None:
    with file.open("wb") as sparse:
        sparse.truncate(SIZE)
    reserve = Reserve(file, SIZE)
    assert not reserve.filled
    assert reserve.fill()
    assert file.stat().st_blocks * 512 >= SIZE


@pytest.mark.parametrize("size", [SIZE // 2, SIZE * 2])
def test_a_reserve_of_another_size_is_made_right(file: Path, size: int) -> None:
    Reserve(file, size).fill()
    assert Reserve(file, SIZE).fill()
    assert file.stat().st_size == SIZE


@contextmanager
def file_size_limit(limit: int) -> Iterator[None]:
    """No file grows beyond the limit; Python ignores the signal that comes with it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_half_a_reserve_is_not_kept(file: Path) -> None:
    reserve = Reserve(file, SIZE)
    with file_size_limit(SIZE // 2):
        assert not reserve.fill()
    assert not file.exists()
    assert not reserve.filled


def test_a_reserve_where_there_can_be_none(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "missing" / "reserve", SIZE)
    assert not reserve.fill()
    assert not reserve.release()


class Disk:
    """The disk under a registry's database, whose end can be moved."""

    def __init__(self, registry: Registry, reserve: Path) -> None:
        assert registry._writer is not None
        assert registry._log is not None
        assert registry._log._reserve is not None
        self.registry = registry
        self.reserve = reserve
        self._driver = registry._writer.engine.raw_connection().driver_connection
        registry._log._reserve = _ReserveOfPages(registry._log._reserve, self)

    def fill_up(self) -> None:
        (pages,) = self._driver.execute("PRAGMA page_count").fetchone()  # type: ignore[union-attr]  # sqlite3's
        self.limit(pages)

    def limit(self, pages: int) -> None:
        self._driver.execute(f"PRAGMA max_page_count={pages}").fetchall()  # type: ignore[union-attr]  # sqlite3's


class _ReserveOfPages(Reserve):
    """A real reserve whose space counts for the database when it is given up."""

    def __init__(self, inner: Reserve, disk: Disk) -> None:
        super().__init__(inner._file, inner._size_bytes)
        self._disk = disk

    def release(self) -> bool:
        released = super().release()
        if released:
            self._disk.limit(2**20)
        return released


@pytest.fixture
async def disk(directory: Path, file: Path) -> AsyncIterator[Disk]:
    """Full, with objects 1 to 4, of which 2 is named."""
    registry = await open_registry(directory, reserve=file, reserve_bytes=SIZE)
    for number in (1, 2, 3, 4):
        await put_object(registry, number)
    await put_file(registry, "a", 2)
    full = Disk(registry, file)
    full.fill_up()
    refused = 0
    for number in range(1000, 2000):  # to the end of the last page of every table, whichever a key belongs to
        for work in (put_object(registry, number), put_file(registry, f"{number}", 4000 + number)):
            try:
                await work
                refused = 0
            except StorageFullError:
                refused += 1
        if refused >= 60:
            break
    assert refused >= 60
    yield full
    await registry.close()


async def test_an_upload_meets_the_full_disk_and_the_reserve_is_kept(disk: Disk) -> None:
    head = await disk.registry.head()
    for _ in range(2):
        with pytest.raises(StorageFullError):
            await put_file(disk.registry, "b", 9)
    with pytest.raises(StorageFullError):
        await put_object(disk.registry, 10)
    assert disk.reserve.exists()
    assert await disk.registry.head() == head, "no number is used up"
    assert await disk.registry.object(identity(1).blake3) is not None, "reading goes on"
    assert await disk.registry.verify_views() is None


async def test_deletions_go_on_from_the_reserve(disk: Disk) -> None:
    registry = disk.registry
    upload = asyncio.create_task(put_object(registry, 9))
    deletions = [
        asyncio.create_task(work)
        for work in (
            registry.delete_object(identity(1).blake3, actor=ACTOR),
            registry.tombstone("default", "a", actor=ACTOR),
            damage(registry, 3),
        )
    ]
    await asyncio.gather(*deletions)
    with pytest.raises(StorageFullError):
        await upload
    assert not disk.reserve.exists()
    disk.fill_up()
    assert await registry.verify_views() is None


async def test_the_reserve_is_filled_again_when_bytes_are_gone(disk: Disk) -> None:
    registry = disk.registry
    # enough of them to need a new page, wherever the last one ended
    for number in range(1000, 1000 + 60):
        if await registry.object(identity(number).blake3) is not None:
            await registry.delete_object(identity(number).blake3, actor=ACTOR)
    await registry.delete_object(identity(1).blake3, actor=ACTOR)
    await registry.delete_object(identity(3).blake3, actor=ACTOR)
    await registry.delete_object(identity(4).blake3, actor=ACTOR)
    await registry.purge_object(identity(1).blake3, actor=ACTOR)
    assert disk.reserve.exists()
    assert disk.reserve.stat().st_blocks * 512 >= SIZE
    assert await registry.verify_views() is None


async def test_without_any_reserve_a_full_disk_is_an_answer(directory: Path) -> None:
    registry = await open_registry(directory)
    await put_object(registry, 1)
    assert registry._writer is not None
    driver = registry._writer.engine.raw_connection().driver_connection
    driver.execute("PRAGMA max_page_count=1").fetchall()  # type: ignore[union-attr]  # sqlite3's
    outcomes = await asyncio.gather(
        *(put_object(registry, number) for number in range(2, 200)),
        registry.delete_object(identity(1).blake3, actor=ACTOR),
        return_exceptions=True,
    )
    assert any(isinstance(outcome, StorageFullError) for outcome in outcomes)
    await registry.close()


async def test_a_reserve_that_finds_no_space_is_said_at_start(
    directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with file_size_limit(2**24):
        registry = await open_registry(directory, reserve=tmp_path / "reserve", reserve_bytes=2**25)
    await put_object(registry, 1)
    await registry.close()
    assert "no space for the event log's reserve" in caplog.text
