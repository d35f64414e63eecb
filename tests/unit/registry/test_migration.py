from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from artifactstore.bootstrap import open_local
from artifactstore.domain.errors import RegistryError, SchemaTooNewError
from artifactstore.registry import migration
from artifactstore.registry.migration import (
    DATABASE_FILE,
    HEAD,
    REVISIONS,
    SchemaTooOldError,
    root_of_command_line,
)
from artifactstore.registry.registry import Registry
from artifactstore.registry.schema import metadata
from artifactstore.registry.sqlite import writer_engine
from tests.conftest import settings_for
from tests.unit.registry.conftest import VIEW_TABLES, dump, execute, fill, identity, open_registry, put_object

PROJECT = Path(__file__).parents[3]


def alembic(directory: Path, *arguments: str, **environment: str) -> None:
    """Run alembic as the makefile does."""
    done = subprocess.run(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=directory,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def run_alembic(database: Path, action: Callable[[Config, str], None], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migration.MIGRATIONS))
    engine = writer_engine(database)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        action(config, revision)
    engine.dispose()


def revision_of(database: Path) -> str | None:
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def differences(database: Path) -> list[object]:
    engine = writer_engine(database)
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()
    return list(found)


def test_the_revisions_are_those_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", str(migration.MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)
    assert tuple(script.revision for script in reversed(list(scripts.walk_revisions()))) == REVISIONS


async def test_an_empty_directory_becomes_an_empty_log(directory: Path, database: Path) -> None:
    first = await Registry.open(directory, reserve=None)
    second = await Registry.open(directory.with_name("second"), reserve=None)
    assert await first.head() == 0
    assert first.log_id != second.log_id
    assert await first.verify_views() is None
    await first.close()
    await second.close()
    assert revision_of(database) == HEAD


async def test_the_migrations_make_what_the_code_declares(directory: Path, database: Path) -> None:
    registry = await Registry.open(directory, reserve=None)
    assert differences(database) == []
    await fill(registry)
    await registry.rebuild()
    await registry.close()
    assert differences(database) == [], "a rebuild makes the same tables"


async def test_an_older_database_with_events_is_upgraded_and_folded(directory: Path, database: Path) -> None:
    registry = await open_registry(directory)
    await fill(registry)
    log_id, events = registry.log_id, await registry.events(limit=1000)
    await registry.close()
    views, log = dump(database), dump(database, ("events",))
    run_alembic(database, command.downgrade, "0001_event_log")
    assert revision_of(database) == "0001_event_log"
    with closing(sqlite3.connect(database)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {"events", "meta", "alembic_version"}
    upgraded = await Registry.open(directory, reserve=None)
    assert upgraded.log_id == log_id
    assert await upgraded.events(limit=1000) == events
    assert await upgraded.verify_views() is None
    assert (await put_object(upgraded, 77))[1], "and appending goes on"
    await upgraded.close()
    execute(database, "DELETE FROM events WHERE seq > ?", len(events))
    execute(database, "DELETE FROM objects WHERE blake3 = ?", identity(77).blake3.value)
    execute(database, "DELETE FROM object_namespaces WHERE blake3 = ?", identity(77).blake3.value)
    execute(
        database,
        "UPDATE namespace_usage SET objects = objects - 1, size_bytes = size_bytes - 77 WHERE namespace = 'default'",
    )
    assert dump(database) == views
    assert dump(database, ("events",)) == log


@pytest.mark.parametrize("revision", ["0002_views", "0003_deleting"])
async def test_the_views_of_a_version_before_are_folded_anew(directory: Path, database: Path, revision: str) -> None:
    registry = await open_registry(directory)
    await fill(registry)
    deleting = await registry.deleting()
    await registry.close()
    views = dump(database, (*VIEW_TABLES, "meta"))
    run_alembic(database, command.downgrade, revision)
    upgraded = await Registry.open(directory, reserve=None)
    assert await upgraded.deleting() == deleting != []
    await upgraded.close()
    assert dump(database, (*VIEW_TABLES, "meta")) == views
    assert differences(database) == []


async def test_down_to_nothing_and_up_again(directory: Path, database: Path) -> None:
    directory.mkdir()
    run_alembic(database, command.upgrade, "head")
    run_alembic(database, command.downgrade, "base")
    assert revision_of(database) is None
    registry = await Registry.open(directory, reserve=None)
    assert await registry.verify_views() is None
    await registry.close()
    assert differences(database) == []


async def test_an_upgrade_that_fails_changes_nothing(directory: Path, database: Path) -> None:
    registry = await open_registry(directory)
    await fill(registry)
    await registry.close()
    run_alembic(database, command.downgrade, "0001_event_log")
    execute(database, "CREATE TABLE retrievals (something_else)")
    before = dump(database, ("events", "meta", "alembic_version"))
    with pytest.raises(RegistryError):
        await Registry.open(directory, reserve=None)
    assert dump(database, ("events", "meta", "alembic_version")) == before
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'objects'").fetchone() == (0,)


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_database_of_later_code_is_left_alone(directory: Path, database: Path, read_only: bool) -> None:
    await (await open_registry(directory)).close()
    execute(database, "UPDATE alembic_version SET version_num = '0099_later'")
    with pytest.raises(SchemaTooNewError, match=r"0099_later.*later than this version's 0004_registry"):
        await Registry.open(directory, reserve=None, read_only=read_only)
    assert revision_of(database) == "0099_later"


async def test_a_reader_makes_and_migrates_nothing(directory: Path, database: Path) -> None:
    with pytest.raises(SchemaTooOldError, match="no event log"):
        await Registry.open(directory, reserve=None, read_only=True)
    assert not directory.exists()
    await (await open_registry(directory)).close()
    execute(database, "UPDATE meta SET value = '0' WHERE key = 'views_version'")
    with pytest.raises(SchemaTooOldError, match="views"):
        await Registry.open(directory, reserve=None, read_only=True)
    run_alembic(database, command.downgrade, "0001_event_log")
    with pytest.raises(SchemaTooOldError, match="0001_event_log"):
        await Registry.open(directory, reserve=None, read_only=True)


@pytest.mark.parametrize("read_only", [False, True])
async def test_a_foreign_database_is_refused(directory: Path, database: Path, read_only: bool) -> None:
    directory.mkdir()
    execute(database, "CREATE TABLE customers (name)")
    with pytest.raises(RegistryError, match="not an event log"):
        await Registry.open(directory, reserve=None, read_only=read_only)
    assert dump(database, ("customers",)) == {"customers": []}


@pytest.mark.parametrize("read_only", [False, True])
async def test_what_is_no_database_is_refused(directory: Path, database: Path, read_only: bool) -> None:
    directory.mkdir()
    database.write_bytes(b"not a database, but long enough to be looked at" * 100)
    with pytest.raises(RegistryError, match="SQLITE_NOTADB"):
        await Registry.open(directory, reserve=None, read_only=read_only)


async def test_a_log_without_its_id_is_refused(directory: Path, database: Path) -> None:
    await (await open_registry(directory)).close()
    execute(database, "DELETE FROM meta WHERE key = 'log_id'")
    with pytest.raises(RegistryError, match="lost its id"):
        await Registry.open(directory, reserve=None)


async def test_the_command_line_says_in_one_line_that_a_database_is_too_new(tmp_path: Path) -> None:
    root = tmp_path / "root"
    async with open_local(settings_for(root)):
        pass
    execute(root / "registry" / DATABASE_FILE, "UPDATE alembic_version SET version_num = '0099_later'")
    done = subprocess.run(
        [sys.executable, "-m", "artifactstore", "serve", "--port", "0", "--root", str(root)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("artifactstore: ")
    assert "0099_later" in line


async def test_make_migrate_makes_a_root_that_the_store_takes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    alembic(PROJECT, "upgrade", "head", ARTIFACTSTORE_ROOT=str(root))
    assert revision_of(root / "registry" / DATABASE_FILE) == HEAD
    async with open_local(settings_for(root)) as store:
        assert await store.registry.verify_views() is None


async def test_alembic_from_another_directory(tmp_path: Path) -> None:
    config = str(PROJECT / "pyproject.toml")
    alembic(tmp_path, "-c", config, "-x", "root=here", "upgrade", "head", ARTIFACTSTORE_ROOT="there")
    assert revision_of(tmp_path / "here" / "registry" / DATABASE_FILE) == HEAD
    assert not (tmp_path / "there").exists()


def test_the_root_of_the_command_line() -> None:
    assert root_of_command_line({"root": "a"}, {"ARTIFACTSTORE_ROOT": "b"}) == Path("a")
    assert root_of_command_line({}, {"ARTIFACTSTORE_ROOT": "b"}) == Path("b")
    assert root_of_command_line({}, {"ARTIFACTSTORE_ROOT": ""}) == Path("var")


async def test_make_migrate_beside_a_gateway_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    async with open_local(settings_for(root)):
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "alembic", "-x", f"root={root}", "upgrade", "head"],
            capture_output=True,
            text=True,
            cwd=PROJECT,
        )
    assert done.returncode != 0
    assert "in use by process" in done.stderr + done.stdout


async def test_a_moved_database_keeps_its_log(directory: Path, database: Path, tmp_path: Path) -> None:
    registry = await open_registry(directory)
    await fill(registry)
    await registry.close()
    shutil.move(directory, tmp_path / "with spaces, 100% é?#")
    moved = await Registry.open(tmp_path / "with spaces, 100% é?#", reserve=None)
    assert moved.log_id == registry.log_id
    assert await moved.verify_views() is None
    await moved.close()
