from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from artifactstore.registry import verification
from artifactstore.registry.registry import Registry
from artifactstore.registry.schema import views
from tests.unit.registry.conftest import VIEW_TABLES, dump, execute, put_file, put_object

COLUMNS = [(table.name, column.name) for table in views.all() for column in table.columns if not column.primary_key]
KEYS = [(table.name, column.name) for table in views.all() for column in table.primary_key.columns]


def first_key(database: Path, table: str) -> dict[str, object]:
    columns = [column for name, column in KEYS if name == table]
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY {', '.join(columns)}").fetchone()
    return dict(zip(columns, row, strict=True))


def shown(key: dict[str, object]) -> str:
    return "/".join(part.hex() if isinstance(part, bytes) else str(part) for part in key.values())


def where(key: dict[str, object]) -> str:
    return " AND ".join(f"{column} = ?" for column in key)


def everything(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


def test_every_view_has_rows_to_change() -> None:
    assert {table for table, _ in KEYS} == set(VIEW_TABLES)


@pytest.mark.parametrize("table", sorted({table for table, _ in COLUMNS}))
async def test_a_changed_column_is_named(filled: Registry, database: Path, table: str) -> None:
    key = first_key(database, table)
    for column in [column for name, column in COLUMNS if name == table]:
        change = f"UPDATE {table} SET {column} = ? WHERE {where(key)}"
        with closing(sqlite3.connect(database)) as connection:
            query = f"SELECT {column} FROM {table} WHERE {where(key)}"
            (value,) = connection.execute(query, (*key.values(),)).fetchone()
        assert execute(database, change, b"other" if isinstance(value, bytes) else 987, *key.values()) == 1
        before = everything(database)
        found = await filled.verify_views()
        assert found is not None
        assert (found.table, found.key, found.column) == (table, shown(key), column)
        assert str(found).startswith(f"{table} {shown(key)}: {column} is ")
        assert everything(database) == before, "verifying changes nothing"
        execute(database, change, value, *key.values())
    assert await filled.verify_views() is None


@pytest.mark.parametrize("table", VIEW_TABLES)
async def test_a_missing_row_is_named(filled: Registry, database: Path, table: str) -> None:
    key = first_key(database, table)
    execute(database, f"DELETE FROM {table} WHERE {where(key)}", *key.values())
    found = await filled.verify_views()
    assert str(found) == f"{table} {shown(key)}: the row is missing"


@pytest.mark.parametrize("table", VIEW_TABLES)
async def test_all_rows_missing(filled: Registry, database: Path, table: str) -> None:
    key = first_key(database, table)
    execute(database, f"DELETE FROM {table}")
    assert str(await filled.verify_views()) == f"{table} {shown(key)}: the row is missing"


EXTRA = {
    "objects": "SELECT X'{0}', X'{0}', 1, 'memory', 'blake3', 'live', NULL, 'now', 1",
    "object_namespaces": "SELECT X'{0}', 'default'",
    "names": "SELECT 'default', '{0}', 1, X'00', 0, 1, 1",
    "artifact_labels": "SELECT '{0}', 'default', 'a', 1, 'value', X'00'",
    "artifact_inputs": "SELECT X'{0}', 0, 'artifact', X'00'",
    "attestations": "SELECT X'{0}', 1, X'00', 'type', 'unsigned', NULL, 'now', 'who'",
    "packages": "SELECT X'{0}', 'default', 'p', X'00', 1, 1, NULL, NULL, 'now', 'who', 1",
    "package_members": "SELECT X'{0}', 0, 'a', X'00', 'a/b', NULL",
    "tokens": "SELECT X'{0}', 'ci', X'00', 'read', '*', NULL, NULL, 'now', 'who', 1",
    "namespace_usage": "SELECT '{0}', 1, 1",
    "artifacts": "SELECT X'{0}', 'default', '{0}', 1, X'00', NULL, 'a/b', '{{}}', NULL, NULL, 'now', 'who', 1",
    "retrievals": "SELECT 0x{0}, 0, X'00', NULL, 'who', 'now', 1, 1",
}
SHOWN = {
    "objects": "{0}",
    "object_namespaces": "{0}/default",
    "names": "default/{0}",
    "artifact_labels": "{0}/default/a/1",
    "artifact_inputs": "{0}/0",
    "attestations": "{0}/1",
    "packages": "{0}",
    "package_members": "{0}/0",
    "tokens": "{0}",
    "namespace_usage": "{0}",
    "artifacts": "{0}",
    "retrievals": "{1}/0",
}


@pytest.mark.parametrize("place", ["00", "7fff"])
@pytest.mark.parametrize("table", VIEW_TABLES)
async def test_an_extra_row_is_named(filled: Registry, database: Path, table: str, place: str) -> None:
    assert execute(database, f"INSERT INTO {table} {EXTRA[table].format(place)}") == 1
    found = await filled.verify_views()
    key = SHOWN[table].format(place, int(place, 16))
    assert str(found) == f"{table} {key}: the row should not be there"


async def test_a_value_of_another_type_is_a_difference(registry: Registry, database: Path) -> None:
    await put_object(registry, 1)
    execute(database, "UPDATE objects SET size_bytes = 1.0, damage = NULL")
    execute(database, "UPDATE objects SET backend_id = CAST('memory' AS BLOB)")
    found = await registry.verify_views()
    assert found is not None
    assert found.column == "backend_id"


async def test_the_first_difference_is_named(filled: Registry, database: Path) -> None:
    execute(database, "DELETE FROM retrievals")
    execute(database, "UPDATE names SET latest_version = 9")
    found = await filled.verify_views()
    assert found is not None
    assert found.table == "names"


@pytest.mark.parametrize("value", ["3", "99"])
async def test_views_of_another_event_are_a_difference(filled: Registry, database: Path, value: str) -> None:
    execute(database, "UPDATE meta SET value = ? WHERE key = 'views_seq'", value)
    found = await filled.verify_views()
    assert str(found) == f"meta views_seq: value is {value}, not {await filled.head()}"
    health = await filled.health()
    assert not health.healthy
    assert health.detail == f"the views are at event {value}, the log is at {await filled.head()}"


async def test_the_files_are_the_same_after_a_verification(filled: Registry, database: Path) -> None:
    wal = database.with_name(database.name + "-wal")
    before = database.read_bytes(), wal.read_bytes()
    assert await filled.verify_views() is None
    assert (database.read_bytes(), wal.read_bytes()) == before


@pytest.mark.parametrize("page", [1, 2, 3])
async def test_pages_of_any_size_find_the_same(
    filled: Registry, database: Path, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(verification, "PAGE", page)
    assert await filled.verify_views() is None
    for table in VIEW_TABLES:
        rows = dump(database, (table,))[table]
        assert rows, "there is something to compare"
        key = [column for name, column in KEYS if name == table]
        with closing(sqlite3.connect(database)) as connection:
            last = connection.execute(
                f"SELECT {', '.join(key)} FROM {table} ORDER BY {', '.join(f'{column} DESC' for column in key)}"
            ).fetchone()
        lost = dict(zip(key, last, strict=True))
        execute(database, f"DELETE FROM {table} WHERE {where(lost)}", *lost.values())
        assert str(await filled.verify_views()) == f"{table} {shown(lost)}: the row is missing"
        await filled.rebuild()


async def test_views_that_change_meanwhile_are_no_difference(filled: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "PAGE", 4)
    ended = asyncio.Event()
    appended = 0

    async def append() -> None:
        nonlocal appended
        while not ended.is_set() and appended < 150:  # on a crowded machine, a writer without an end is never overtaken
            appended += 1
            await put_file(filled, f"{appended % 7}", 100 + appended)
            await put_object(filled, 100 + appended, mended=True)

    writing = asyncio.create_task(append())
    while appended <= 3:  # a disk that takes its time over a commit can let a verification overtake them
        assert await filled.verify_views() is None
    ended.set()
    await writing
