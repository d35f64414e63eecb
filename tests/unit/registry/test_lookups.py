from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactstore.domain.errors import RegistryError
from artifactstore.registry import lookups
from artifactstore.registry.lookups import MAX_BATCH, Lookup, Lookups, Row
from artifactstore.registry.migration import DATABASE_FILE
from artifactstore.registry.registry import Registry
from tests.syscalls import descriptors_under
from tests.unit.registry.conftest import execute, identity, open_registry, put_file, put_object

COUNT = "SELECT count(*) FROM objects"


class Counted(Lookups):
    """Keeps how many lookups each hop answered."""

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.hops: list[int] = []

    def _answers(self, asked: Sequence[Lookup[Any]]) -> list[Any]:
        self.hops.append(len(asked))
        return super()._answers(asked)


@pytest.fixture
async def found(filled: Registry, database: Path) -> AsyncIterator[Counted]:
    opened = Counted(database)
    yield opened
    await opened.close()


class Held:
    """A lookup that keeps the thread until it is let go."""

    def __init__(self) -> None:
        self._begun, self._loop, self._go = asyncio.Event(), asyncio.get_running_loop(), threading.Event()

    def read(self, _: Row | None) -> str:
        self._loop.call_soon_threadsafe(self._begun.set)
        assert self._go.wait(30)
        return "held"

    async def begin(self, on: Lookups) -> asyncio.Task[str]:
        task = asyncio.create_task(on.ask(Lookup(COUNT, (), self.read)))
        await self._begun.wait()
        return task

    def let_go(self) -> None:
        self._go.set()


def number(row: Row | None) -> int:
    assert row is not None
    return int(row[0])


async def test_all_that_wait_are_answered_in_one_hop(found: Counted) -> None:
    asked = [lookups.object_of(identity(number).blake3) for number in range(64)]
    answers = await asyncio.gather(*map(found.ask, asked))
    assert found.hops == [64]
    assert [answer and answer.identity for answer in answers[1:7]] == [identity(n) for n in range(1, 7)]
    assert answers[0] is None
    assert answers[7:] == [None] * 57


async def test_what_is_asked_meanwhile_is_the_next_hop(found: Counted) -> None:
    held = Held()
    first = await held.begin(found)
    rest = [asyncio.create_task(found.ask(Lookup(COUNT, (), number))) for _ in range(MAX_BATCH + 1)]
    await asyncio.sleep(0)
    held.let_go()
    assert await first == "held"
    assert await asyncio.gather(*rest) == [6] * (MAX_BATCH + 1)
    assert found.hops == [1, MAX_BATCH, 1]


async def test_all_of_a_hop_is_of_one_moment_and_the_next_sees_what_came_in_between(
    found: Counted, database: Path
) -> None:
    def remove(row: Row | None) -> int:
        assert execute(database, "DELETE FROM objects") == 6
        return number(row)

    asked = [Lookup(COUNT, (), number), Lookup(COUNT, (), remove), Lookup(COUNT, (), number)]
    assert await asyncio.gather(*map(found.ask, asked)) == [6, 6, 6]
    assert await found.ask(Lookup(COUNT, (), number)) == 0


async def test_everybody_reads_what_was_acknowledged_before(registry: Registry) -> None:
    async def write(first: int) -> None:
        for number in range(first, first + 8):
            await put_object(registry, number)
            assert await registry.object(identity(number).sha256) is not None
            assert await registry.object_claimed(identity(number).blake3, "default")
            artifact, _ = await put_file(registry, f"{first}", number)
            assert await registry.latest("default", f"{first}") == artifact
            assert await registry.artifact(artifact.id) == artifact
        await registry.tombstone("default", f"{first}", actor="test")
        assert await registry.latest("default", f"{first}") is None

    await asyncio.gather(*(write(first) for first in range(0, 320, 20)))


async def test_an_error_is_of_the_lookup_that_has_it(found: Counted) -> None:
    good = Lookup(COUNT, (), number)
    fault: Lookup[float] = Lookup(COUNT, (), lambda row: 1 / 0)
    unsound: Lookup[int] = Lookup("SELECT nothing FROM nowhere", (), number)
    writing: Lookup[object] = Lookup("DELETE FROM objects", (), lambda row: row)
    answers = await asyncio.gather(*map(found.ask, (good, fault, unsound, writing, good)), return_exceptions=True)
    assert answers[0] == answers[-1] == 6
    assert [type(answer) for answer in answers[1:4]] == [RegistryError] * 3
    for answer, why in zip(answers[1:4], ("ZeroDivisionError", "SQLITE_ERROR", "SQLITE_READONLY"), strict=True):
        assert why in str(answer)
    assert found.hops == [5]


async def test_a_waiter_that_is_cancelled_harms_no_other(found: Counted) -> None:
    held = Held()
    first = await held.begin(found)
    waiting = [asyncio.create_task(found.ask(Lookup(COUNT, (), number))) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    waiting[1].cancel()
    held.let_go()
    outcomes = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [True, False, True, False]
    assert outcomes[1] == outcomes[3] == 6
    assert found.hops == [1, 2], "nobody asks for whoever left before the hop"


async def test_a_connection_that_fails_is_replaced(tmp_path: Path, filled_database: bytes) -> None:
    file = tmp_path / "100% é?#&.sqlite3"
    opened = Lookups(file)
    with pytest.raises(RegistryError, match="SQLITE_CANTOPEN"):
        await opened.ask(Lookup(COUNT, (), number))
    assert not file.exists()
    file.write_bytes(filled_database)
    assert await opened.ask(Lookup(COUNT, (), number)) == 6
    await opened.close()


async def test_close_answers_what_waits_and_then_nothing_more(found: Counted, database: Path) -> None:
    held = Held()
    first = await held.begin(found)
    second = asyncio.create_task(found.ask(Lookup(COUNT, (), number)))
    await asyncio.sleep(0)
    closing_it = asyncio.create_task(found.close())
    await asyncio.sleep(0)
    held.let_go()
    await closing_it
    assert (await first, await second) == ("held", 6)
    with pytest.raises(RegistryError, match="closed"):
        await found.ask(Lookup(COUNT, (), number))
    await found.close()


async def test_a_registry_that_is_closed_holds_nothing(directory: Path) -> None:
    registry = await open_registry(directory)
    asked = [asyncio.create_task(registry.object(identity(number).blake3)) for number in range(8)]
    await asyncio.sleep(0)
    asked[3].cancel()
    await registry.close()
    assert [task.cancelled() or task.result() is None for task in asked] == [True] * 8
    assert descriptors_under(directory) == []
    with pytest.raises(RegistryError, match="closed"):
        await registry.object(identity(1).blake3)


# --- against plain queries ------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "A", ""])
NAMESPACES = st.sampled_from(["default", "other", "missing"])
NUMBERS = st.integers(0, 5)
QUESTIONS = st.one_of(
    st.tuples(st.just("blake3"), NUMBERS),
    st.tuples(st.just("sha256"), NUMBERS),
    st.tuples(st.just("claimed"), NUMBERS, NAMESPACES),
    st.tuples(st.just("latest"), NAMESPACES, NAMES),
    st.tuples(st.just("artifact"), NUMBERS),
)


def lookup_of(question: tuple[Any, ...], ids: Sequence[bytes]) -> Lookup[Any]:
    match question:
        case "blake3", int(number):
            return lookups.object_of(identity(number).blake3)
        case "sha256", int(number):
            return lookups.object_of(identity(number).sha256)
        case "claimed", int(number), str(namespace):
            return lookups.claimed(identity(number).blake3, namespace)
        case "latest", str(namespace), str(name):
            return lookups.latest(namespace, name)
        case _:
            return lookups.artifact(UUID(bytes=ids[question[1]]))


def plain(connection: sqlite3.Connection, question: tuple[Any, ...], ids: Sequence[bytes]) -> object:
    """What tells the answer from every other, by a query of its own."""

    def row(statement: str, *key: object) -> Any:
        return connection.execute(statement, key).fetchone()

    match question:
        case "blake3", int(number):
            return row("SELECT blake3, state, damage FROM objects WHERE blake3 = ?", identity(number).blake3.value)
        case "sha256", int(number):
            return row("SELECT blake3, state, damage FROM objects WHERE sha256 = ?", identity(number).sha256.value)
        case "claimed", int(number), str(namespace):
            blake3 = identity(number).blake3.value
            return row("SELECT 1 FROM object_namespaces WHERE (blake3, namespace) = (?, ?)", blake3, namespace) == (1,)
        case "latest", str(namespace), str(name):
            latest = row("SELECT max(version) FROM artifacts WHERE (namespace, name) = (?, ?)", namespace, name)[0]
            gone = row("SELECT tombstoned_through FROM names WHERE (namespace, name) = (?, ?)", namespace, name)
            if latest is None or latest <= gone[0]:
                return None
            return namespace, name, latest, False
        case _:
            return row(
                "SELECT a.namespace, a.name, a.version, a.version <= n.tombstoned_through FROM artifacts a"
                " JOIN names n ON n.namespace = a.namespace AND n.name = a.name WHERE id = ?",
                ids[question[1]],
            )


def told(answer: Any) -> object:
    if isinstance(answer, bool) or answer is None:
        return answer
    if hasattr(answer, "state"):
        return answer.identity.blake3.value, answer.state.value, answer.damage
    return answer.namespace, answer.name, answer.version, answer.deleted


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, filled_database: bytes) -> Path:
    file = tmp_path_factory.mktemp("lookups") / DATABASE_FILE
    file.write_bytes(filled_database)
    return file


@settings(max_examples=60, deadline=None)
@given(st.lists(QUESTIONS, min_size=1, max_size=30))
def test_every_answer_is_that_of_a_plain_query(stored: Path, questions: list[tuple[Any, ...]]) -> None:
    with closing(sqlite3.connect(stored)) as connection:
        ids = [row[0] for row in connection.execute("SELECT id FROM artifacts")]
        ids += [bytes([number]) * 16 for number in range(6 - len(ids))]
        expected = [plain(connection, question, ids) for question in questions]

    async def ask() -> list[Any]:
        opened = Lookups(stored)
        try:
            return await asyncio.gather(*(opened.ask(lookup_of(question, ids)) for question in questions))
        finally:
            await opened.close()

    assert [told(answer) for answer in asyncio.run(ask())] == expected


@pytest.mark.parametrize(
    "lookup",
    [
        lookups.object_of(identity(1).blake3),
        lookups.object_of(identity(1).sha256),
        lookups.claimed(identity(1).blake3, "default"),
        lookups.artifact(UUID(int=1)),
        lookups.latest("default", "a"),
    ],
)
async def test_no_lookup_looks_at_a_whole_table(found: Counted, database: Path, lookup: Lookup[Any]) -> None:
    with closing(sqlite3.connect(database)) as connection:
        explained = connection.execute(f"EXPLAIN QUERY PLAN {lookup.statement}", lookup.key).fetchall()
    assert explained
    assert all(row[3].startswith("SEARCH") for row in explained), explained


async def test_an_answer_has_all_that_was_recorded(filled: Registry) -> None:
    artifact, _ = await put_file(filled, "whole", 77, "other")
    assert await filled.artifact(artifact.id) == await filled.latest("other", "whole") == artifact
    await filled.tombstone("other", "whole", actor="test")
    assert await filled.artifact(artifact.id) == replace(artifact, deleted=True)
