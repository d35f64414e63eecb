"""A registry in a directory of its own, objects that never had bytes, and what its tables hold."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from artifactstore.domain.artifact import Artifact, ArtifactMetadata, ObjectRecord, Retrievals, SignatureOutcome
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.token import Scope
from artifactstore.registry import migration
from artifactstore.registry.events import Member
from artifactstore.registry.migration import DATABASE_FILE
from artifactstore.registry.registry import Registry
from artifactstore.registry.schema import views
from artifactstore.registry.sqlite import open_writer

ACTOR = "test"
NAMESPACES = ["a", "a-", "a0", "b"]
#: On both sides of where UTF-8, UTF-16 and code points could order differently, and at the ends.
NAMES = ["a", "a/b", "a~", "a\u07ff", "a\u0800", "a\ud7ff", "a\ue000", "a\uffff", "a\U00010000", "a\U0010ffff"]
NAMES += ["a\U0010ffffz", "b", "B", "%", "_", "\u00e9", "e\u0301", "\U0010ffff", "\U0010ffff\U0010ffff"]
VIEW_TABLES = tuple(table.name for table in views.all())

type Dump = dict[str, list[tuple[Any, ...]]]


class Clock:
    """Each look is a second later."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 23, 59, 58, 7, UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


def identity(number: int) -> ObjectIdentity:
    """An object that no backend has: the registry never looks."""
    blake3, sha = (sha256(f"{kind} {number}".encode()).digest() for kind in ("blake3", "sha256"))
    return ObjectIdentity(Digest.blake3(blake3), Digest.sha256(sha), number)


async def put_object(
    registry: Registry, number: int, namespace: str = "default", **options: Any
) -> tuple[ObjectRecord, bool]:
    return await registry.record_object(
        identity(number),
        backend_id="memory",
        primary_algorithm=Algorithm.BLAKE3,
        namespace=namespace,
        **{"actor": ACTOR, **options},
    )


async def put_file(
    registry: Registry, name: str, number: int, namespace: str = "default", **options: Any
) -> tuple[Artifact, bool]:
    metadata = ArtifactMetadata(kind="report", labels={"b": "2", "a": "é"}, provenance='{"x": 1.50}')
    return await registry.record_artifact(
        identity(number),
        backend_id="memory",
        primary_algorithm=Algorithm.SHA256,
        namespace=namespace,
        name=name,
        **{"metadata": metadata, "actor": ACTOR, **options},
    )


async def damage(registry: Registry, number: int, reason: str = "missing") -> ObjectRecord:
    return await registry.mark_damaged(
        identity(number).blake3, reason=reason, actual=(None, None), size_bytes=None, actor=ACTOR
    )


async def fill(registry: Registry) -> None:
    """A history with every type of event, after which every view has rows."""
    for number in (1, 2, 3):
        await put_object(registry, number)
    await put_object(registry, 1, "other")
    artifact, _ = await put_file(registry, "a", 4)
    await put_file(registry, "a", 1)
    await put_file(registry, "b", 2)
    await damage(registry, 1)
    await damage(registry, 2)
    await registry.mark_sound(identity(2).blake3, actor=ACTOR)
    await registry.tombstone("default", "b", actor=ACTOR)
    await registry.delete_object(identity(2).blake3, actor=ACTOR)
    await registry.purge_object(identity(2).blake3, actor=ACTOR)
    await registry.delete_object(identity(3).sha256, actor=ACTOR)
    entries = [
        Retrievals(identity(4).blake3, artifact.id, "reader", "2026-01-31T23:59Z", 2, 8),
        Retrievals(identity(1).blake3, None, "reader", "2026-01-31T23:59Z", 1, 1),
    ]
    await registry.record_retrievals(entries, actor=ACTOR)
    labelled = await registry.relabel(artifact, {"a": "3", "b": None}, if_match=None, actor=ACTOR)
    await put_file(
        registry, "made", 5, metadata=ArtifactMetadata(provenance=json.dumps({"inputs": [str(labelled.id)]}))
    )
    await put_object(registry, 6)
    await registry.attest(
        identity(4).blake3,
        identity(6).blake3,
        predicate_type="https://slsa.dev/provenance/v1",
        signature=SignatureOutcome.UNSIGNED,
        key_id=None,
        actor=ACTOR,
    )
    members = (Member("a", identity(4).blake3, "text/plain", artifact.id),)
    await registry.seal_package("default", "p", identity(5).blake3, members, supersedes=None, actor=ACTOR)
    token = await registry.issue_token(
        "ci", bytes(32), scopes=frozenset({Scope.READ}), namespaces=frozenset({"*"}), expires_at=None, actor=ACTOR
    )
    await registry.revoke_token(token.id, actor=ACTOR)


def dump(file: Path, tables: tuple[str, ...] = VIEW_TABLES, prefix: str = "") -> Dump:
    """All rows of the tables, in key order."""
    with closing(sqlite3.connect(file)) as connection:
        return dump_of(connection, tables, prefix)


def dump_of(connection: sqlite3.Connection, tables: tuple[str, ...] = VIEW_TABLES, prefix: str = "") -> Dump:
    return {name: sorted(connection.execute(f'SELECT * FROM "{prefix}{name}"'), key=repr) for name in tables}


def execute(file: Path, statement: str, *parameters: object) -> int:
    """Change the database behind the registry's back; the number of rows changed."""
    with closing(sqlite3.connect(file)) as connection, connection:
        return connection.execute(statement, parameters).rowcount


@cache
def _empty_database() -> bytes:
    """Made by the migrations once: they take a fifth of a second, test_migration.py is about them."""
    with TemporaryDirectory() as directory:
        writer = open_writer(Path(directory) / DATABASE_FILE)
        migration.upgrade(writer.engine)
        writer.engine.dispose()
        return (Path(directory) / DATABASE_FILE).read_bytes()


async def open_registry(directory: Path, **options: Any) -> Registry:
    """Open a registry, empty if there is none."""
    if not (directory / DATABASE_FILE).exists():
        directory.mkdir(exist_ok=True)
        (directory / DATABASE_FILE).write_bytes(_empty_database())
    return await Registry.open(directory, **{"reserve": None, "clock": Clock(), **options})


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "registry"


@pytest.fixture
def database(directory: Path) -> Path:
    return directory / DATABASE_FILE


@pytest.fixture
async def registry(directory: Path) -> AsyncIterator[Registry]:
    """An empty registry."""
    opened = await open_registry(directory)
    yield opened
    await opened.close()


@pytest.fixture(scope="session")
def filled_database() -> bytes:
    """A database after `fill`."""

    async def filled(directory: Path) -> bytes:
        registry = await open_registry(directory)
        await fill(registry)
        await registry.close()
        return (directory / DATABASE_FILE).read_bytes()

    with TemporaryDirectory() as directory, asyncio.Runner() as runner:
        return runner.run(filled(Path(directory)))


@pytest.fixture
async def filled(directory: Path, database: Path, filled_database: bytes) -> AsyncIterator[Registry]:
    """A registry with the history of `fill`."""
    directory.mkdir()
    database.write_bytes(filled_database)
    opened = await open_registry(directory)
    yield opened
    await opened.close()


@pytest.fixture
async def library(directory: Path) -> AsyncIterator[Registry]:
    """Every name in every namespace, some with versions, some deleted and some deleted and made anew."""
    registry = await open_registry(directory)

    async def put_all(number: int, keep: Callable[[int], bool]) -> None:
        names = [(space, name) for space in NAMESPACES for name in NAMES]
        await asyncio.gather(
            *(put_file(registry, name, number, space) for place, (space, name) in enumerate(names) if keep(place))
        )

    await put_all(1, lambda _: True)
    await put_all(2, lambda place: place % 3 == 0)
    tombstoned = [(space, name) for space in NAMESPACES for name in NAMES[1::4]]
    await asyncio.gather(*(registry.tombstone(space, name, actor=ACTOR) for space, name in tombstoned))
    await put_all(3, lambda place: place % 6 == 1)
    yield registry
    await registry.close()
