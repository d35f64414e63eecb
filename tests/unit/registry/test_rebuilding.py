from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Connection

from artifactstore.domain.errors import LogCorruptError, RegistryError, UnknownEventError
from artifactstore.registry import queries, rebuilding
from artifactstore.registry.envelope import RecordedEvent, leaf
from artifactstore.registry.registry import Registry
from artifactstore.registry.schema import VIEWS_VERSION
from tests.unit.registry.conftest import dump, execute, fill, open_registry, put_file, put_object


def tables(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        return {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}


def meta(database: Path) -> dict[str, str]:
    return {row[0]: row[1] for row in dump(database, ("meta",))["meta"]}


def rewrite(database: Path, log_id: str, seq: int, type_name: str, payload: bytes) -> None:
    """Another event in the place of one, with a leaf that is right."""
    with closing(sqlite3.connect(database)) as connection, connection:
        row = connection.execute("SELECT * FROM events WHERE seq = ?", (seq,))
        row.row_factory = sqlite3.Row
        found = dict(row.fetchone())
        committed = leaf(
            log_id,
            seq=seq,
            event_id=UUID(bytes=found["id"]),
            type_name=type_name,
            version=found["version"],
            subject=found["subject"],
            actor=found["actor"],
            time=found["time"],
            salt=found["salt"],
            payload=payload,
        )
        connection.execute(
            "UPDATE events SET type = ?, payload = ?, leaf = ? WHERE seq = ?", (type_name, payload, committed, seq)
        )


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short log is rebuilt in several steps."""
    monkeypatch.setattr(rebuilding, "BATCH", 3)


@pytest.mark.usefixtures("small_batches")
async def test_a_rebuild_makes_the_same_rows_and_leaves_nothing_else(filled: Registry, database: Path) -> None:
    before, schema, numbers = dump(database), tables(database), meta(database)
    steps: list[tuple[int, int]] = []
    head = await filled.head()
    assert await filled.rebuild(lambda done, total: steps.append((done, total))) == head
    assert dump(database) == before
    assert tables(database) == schema
    assert meta(database) == numbers
    assert steps == sorted(steps)
    assert steps[-1] == (head, head)
    assert len(steps) > 3


async def test_a_rebuild_of_an_empty_log(registry: Registry) -> None:
    assert await registry.rebuild() == 0
    assert await registry.verify_views() is None


@pytest.mark.usefixtures("small_batches")
async def test_a_rebuild_mends_the_views(filled: Registry, database: Path) -> None:
    before = dump(database)
    execute(database, "DELETE FROM artifacts")
    execute(database, "UPDATE objects SET state = 'purged'")
    await filled.rebuild()
    assert dump(database) == before
    assert await filled.verify_views() is None


@pytest.mark.usefixtures("small_batches")
async def test_appending_goes_on_during_a_rebuild(filled: Registry) -> None:
    before = await filled.head()
    ended = asyncio.Event()
    appended = 0

    async def append() -> None:
        nonlocal appended
        while not ended.is_set():
            appended += 1
            await put_file(filled, "during", 1000 + appended)

    writing = asyncio.create_task(append())
    rebuilds = asyncio.gather(filled.rebuild(), filled.rebuild())
    counts = await rebuilds
    ended.set()
    await writing
    assert min(counts) > before, "events that came meanwhile are folded too"
    assert await filled.head() == before + 2 * appended
    assert await filled.verify_views() is None
    latest = await filled.latest("default", "during")
    assert latest is not None
    assert latest.version == appended


class Interruption(Exception):
    pass


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("step", range(1, 6))
async def test_a_rebuild_that_is_broken_off_leaves_the_views(filled: Registry, database: Path, step: int) -> None:
    before, schema = dump(database), tables(database)
    steps = 0

    def progress(_done: int, _total: int) -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            raise Interruption

    with pytest.raises(Interruption):
        await filled.rebuild(progress)
    assert dump(database) == before
    assert tables(database) == schema
    await put_object(filled, 50)
    assert await filled.verify_views() is None


@pytest.mark.usefixtures("small_batches")
async def test_a_cancelled_rebuild_leaves_views_that_are_whole(filled: Registry, database: Path) -> None:
    before, schema = dump(database), tables(database)
    begun = asyncio.Event()
    rebuild = asyncio.create_task(filled.rebuild(lambda *_: begun.set()))
    await begun.wait()
    rebuild.cancel()
    with pytest.raises(asyncio.CancelledError):
        await rebuild
    assert dump(database) == before
    assert tables(database) == schema


@pytest.mark.usefixtures("small_batches")
async def test_the_shadows_of_a_crash_are_no_hindrance(filled: Registry, database: Path) -> None:
    schema = tables(database)
    execute(database, "CREATE TABLE shadow_objects (something)")
    execute(database, "CREATE TABLE shadow_names (something)")
    await filled.rebuild()
    assert tables(database) == schema
    assert await filled.verify_views() is None


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("whole_log", [Registry.rebuild, Registry.verify_views], ids=["rebuild", "verify"])
async def test_an_unknown_event_stops_by_its_name(
    filled: Registry, database: Path, whole_log: Callable[[Registry], object]
) -> None:
    before = dump(database)
    rewrite(database, filled.log_id, 5, "object.frozen", b"{}")
    with pytest.raises(UnknownEventError, match=r"event 5 is a object\.frozen of version 1"):
        await whole_log(filled)  # type: ignore[misc]  # both are awaitable
    assert dump(database) == before


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("whole_log", [Registry.rebuild, Registry.verify_views], ids=["rebuild", "verify"])
@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE events SET actor = 'somebody else' WHERE seq = 4", "event 4 is not what was recorded"),
        ("UPDATE events SET payload = CAST('{}' AS BLOB) WHERE seq = 4", "event 4 is not what was recorded"),
        ("UPDATE events SET leaf = zeroblob(32) WHERE seq = 4", "event 4 is not what was recorded"),
        ("DELETE FROM events WHERE seq = 4", "event 4 is missing"),
        ("DELETE FROM events WHERE seq = 1", "event 1 is missing"),
    ],
)
async def test_a_changed_log_stops(
    filled: Registry, database: Path, whole_log: Callable[[Registry], object], statement: str, message: str
) -> None:
    before, schema = dump(database), tables(database)
    assert execute(database, statement) == 1
    with pytest.raises(LogCorruptError, match=message):
        await whole_log(filled)  # type: ignore[misc]  # both are awaitable
    assert dump(database) == before
    assert tables(database) == schema


@pytest.mark.parametrize("whole_log", [Registry.rebuild, Registry.verify_views], ids=["rebuild", "verify"])
async def test_a_payload_that_cannot_be_read_stops(
    filled: Registry, database: Path, whole_log: Callable[[Registry], object]
) -> None:
    rewrite(database, filled.log_id, 1, "object.stored", b'{"blake3":1}')
    with pytest.raises(LogCorruptError, match=r"event 1, a object\.stored, has a payload that cannot be read"):
        await whole_log(filled)  # type: ignore[misc]  # both are awaitable


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE meta SET value = '0' WHERE key = 'views_version'",
        f"UPDATE meta SET value = '{VIEWS_VERSION + 1}' WHERE key = 'views_version'",
        "DELETE FROM meta WHERE key = 'views_version'",
        "UPDATE meta SET value = '3' WHERE key = 'views_seq'",
        "DELETE FROM meta WHERE key = 'views_seq'",
    ],
)
async def test_views_of_another_version_or_event_are_folded_at_open(
    directory: Path, database: Path, statement: str
) -> None:
    registry = await open_registry(directory)
    await fill(registry)
    await registry.close()
    before, numbers = dump(database), meta(database)
    execute(database, "UPDATE objects SET damage = 'of an older fold'")
    execute(database, statement)
    again = await open_registry(directory)
    await again.close()
    assert dump(database) == before
    assert meta(database) == numbers


async def test_views_that_are_current_are_not_folded_at_open(directory: Path, database: Path) -> None:
    registry = await open_registry(directory)
    await fill(registry)
    await registry.close()
    execute(database, "UPDATE objects SET damage = 'a mark'")
    marked = dump(database)
    await (await open_registry(directory)).close()
    assert dump(database) == marked


async def test_a_reader_and_a_closed_registry_cannot_rebuild(directory: Path, registry: Registry) -> None:
    reader = await Registry.open(directory, reserve=None, read_only=True)
    with pytest.raises(RegistryError, match="only for reading"):
        await reader.rebuild()
    with pytest.raises(RegistryError, match="only for reading"):
        await put_object(reader, 1)
    assert await reader.verify_views() is None
    await reader.close()
    await registry.close()
    with pytest.raises(RegistryError, match="closed"):
        await registry.rebuild()


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_log_that_is_shorter_than_its_views_is_refused(
    directory: Path, database: Path, filled_database: bytes, read_only: bool
) -> None:
    directory.mkdir()
    database.write_bytes(filled_database)
    execute(database, "DELETE FROM events WHERE seq > 5")
    before = dump(database)
    with pytest.raises(LogCorruptError, match=r"ends at event 5 .* restore the log from a backup"):
        await open_registry(directory, read_only=read_only)
    assert dump(database) == before


async def test_a_rebuild_reads_no_more_than_a_page_at_a_time(
    filled: Registry, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "PAGE_BYTES", 1)
    before, folded = dump(database), []
    fold = rebuilding.Shadow.fold

    def watched(shadow: rebuilding.Shadow, target: Connection, recorded: Sequence[RecordedEvent]) -> None:
        folded.append(len(recorded))
        fold(shadow, target, recorded)

    monkeypatch.setattr(rebuilding.Shadow, "fold", watched)
    head = await filled.rebuild()
    assert folded == [1] * head
    assert dump(database) == before
    assert await filled.verify_views() is None


@pytest.mark.usefixtures("small_batches")
async def test_closing_waits_for_a_rebuild_and_ends_those_that_wait(registry: Registry, database: Path) -> None:
    await fill(registry)
    before = dump(database)
    head = await registry.head()
    closings: list[asyncio.Task[None]] = []

    def progress(_done: int, _total: int) -> None:
        if not closings:
            closings.append(asyncio.create_task(registry.close()))

    first = asyncio.create_task(registry.rebuild(progress))
    await asyncio.sleep(0)
    second = asyncio.create_task(registry.rebuild())
    assert await first == head
    with pytest.raises(RegistryError, match="closed"):
        await second
    await closings[0]
    assert dump(database) == before


@pytest.mark.usefixtures("small_batches")
async def test_what_broke_a_rebuild_off_is_told_even_if_its_tables_cannot_be_dropped(
    filled: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_shadow: rebuilding.Shadow, _connection: object) -> None:
        raise RegistryError("nor this")

    def progress(_done: int, _total: int) -> None:
        monkeypatch.setattr(rebuilding.Shadow, "drop", fail)
        raise Interruption

    with pytest.raises(Interruption) as caught:
        await filled.rebuild(progress)
    assert caught.value.__notes__ == ["the tables of the unfinished rebuild are still there: nor this"]
    monkeypatch.undo()
    await filled.rebuild()
    assert await filled.verify_views() is None
