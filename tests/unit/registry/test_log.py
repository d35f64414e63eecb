from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from sqlalchemy import Connection, event
from uuid_utils.compat import uuid7

from artifactstore.domain.artifact import ArtifactMetadata, SignatureOutcome
from artifactstore.domain.digest import Algorithm
from artifactstore.domain.errors import ObjectInUseError, ObjectNotFoundError, OutcomeUnknownError, RegistryError
from artifactstore.registry.commands import (
    Attest,
    DeleteObject,
    MarkSound,
    PurgeObject,
    RecordArtifact,
    RecordObject,
    Tombstone,
    Upload,
)
from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.events import Event, ObjectAttested
from artifactstore.registry.log import MAX_BATCH, Appended, Command, EventLog
from artifactstore.registry.registry import Registry
from artifactstore.registry.rows import Keys, WorkingSet
from artifactstore.registry.views import ENOUGH_STATED
from tests.unit.registry.conftest import ACTOR, execute, identity, put_file, put_object


def upload(number: int) -> Upload:
    return Upload(identity(number), "memory", Algorithm.BLAKE3, False)


def stored(number: int) -> RecordObject:
    return RecordObject(upload(number), "default")


def created(name: str, number: int) -> RecordArtifact:
    return RecordArtifact(upload(number), uuid7(), "default", name, ArtifactMetadata(), False, None)


class Broken:
    """A command with a fault of its own."""

    frees_space: ClassVar[bool] = False
    tombstones: ClassVar[bool] = False
    keys = Keys()

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        raise ZeroDivisionError

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> None: ...


@pytest.fixture
def log(registry: Registry) -> EventLog:
    assert registry._log is not None
    return registry._log


def driver(registry: Registry) -> sqlite3.Connection:
    assert registry._writer is not None
    connection = registry._writer.engine.raw_connection().driver_connection
    assert isinstance(connection, sqlite3.Connection)
    return connection


@pytest.fixture
def statements(registry: Registry) -> list[str]:
    """Every statement on the writer's connection from now on."""
    seen: list[str] = []
    driver(registry).set_trace_callback(seen.append)
    return seen


async def outcomes(log: EventLog, commands: Sequence[Command[Any]]) -> list[Any]:
    """Submit all before the writer sees one; what became of each."""
    futures: list[asyncio.Future[Appended[Any]]] = [log.submit(command, actor=ACTOR) for command in commands]
    await asyncio.wait(futures)
    return [future.exception() or future.result() for future in futures]


async def test_what_waits_is_one_transaction_in_the_order_of_asking(
    registry: Registry, log: EventLog, statements: list[str]
) -> None:
    appended = await outcomes(log, [stored(number) for number in range(1, 101)])
    assert [outcome.events[0].seq for outcome in appended] == list(range(1, 101))
    assert [outcome.answer[0].identity for outcome in appended] == [identity(n) for n in range(1, 101)]
    assert statements.count("COMMIT") == statements.count("BEGIN IMMEDIATE") == 1
    assert [item.seq for item in await registry.events(limit=1000)] == list(range(1, 101))
    assert await registry.verify_views() is None


async def test_a_batch_is_bounded(log: EventLog, statements: list[str]) -> None:
    await outcomes(log, [stored(number) for number in range(2 * MAX_BATCH + 1)])
    assert statements.count("COMMIT") == 3


async def test_a_batch_without_events_commits_nothing(registry: Registry, log: EventLog, statements: list[str]) -> None:
    (appended,) = await outcomes(log, [PurgeObject(identity(1).blake3)])
    assert appended == Appended((), None)
    assert "COMMIT" not in statements
    assert await registry.head() == 0


async def test_requests_that_come_during_a_commit_are_the_next_batch(log: EventLog, statements: list[str]) -> None:
    first = log.submit(stored(1), actor=ACTOR)
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # the writer's task has taken it
    rest = [log.submit(stored(number), actor=ACTOR) for number in range(2, 6)]
    await asyncio.gather(first, *rest)
    assert statements.count("COMMIT") == 2


async def test_a_later_request_sees_what_an_earlier_one_of_its_batch_did(log: EventLog) -> None:
    first, second, third = await outcomes(log, [stored(1), stored(1), created("a", 1)])
    assert (first.answer[1], second.answer[1], third.answer[1]) == (True, False, False)
    assert [len(outcome.events) for outcome in (first, second, third)] == [1, 0, 1]


async def test_a_refusal_leaves_the_others_of_its_batch_alone(
    registry: Registry, log: EventLog, statements: list[str]
) -> None:
    first, missing, fault, last = await outcomes(log, [stored(1), MarkSound(identity(2).blake3), Broken(), stored(3)])
    assert isinstance(missing, ObjectNotFoundError)
    assert isinstance(fault, RegistryError), "nothing outside the domain's tree comes out"
    assert "ZeroDivisionError" in str(fault)
    assert (first.events[0].seq, last.events[0].seq) == (1, 2)
    assert statements.count("COMMIT") == 1
    assert await registry.verify_views() is None


async def test_a_transaction_that_fails_uses_up_no_number(registry: Registry, log: EventLog, database: Path) -> None:
    await put_object(registry, 1)
    refuse = "BEGIN SELECT RAISE(ABORT, 'no'); END"
    execute(database, f"CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.actor = 'poison' {refuse}")
    good = log.submit(stored(2), actor=ACTOR)
    bad = log.submit(stored(3), actor="poison")
    for outcome in await asyncio.gather(good, bad, return_exceptions=True):
        assert isinstance(outcome, RegistryError)
        assert "SQLITE_CONSTRAINT_TRIGGER" in str(outcome)
    assert await registry.object(identity(2).blake3) is None
    (again,) = await outcomes(log, [stored(2)])
    assert again.events[0].seq == 2
    assert await registry.verify_views() is None


async def test_a_commit_that_fails_and_did_nothing(registry: Registry, log: EventLog, database: Path) -> None:
    await put_object(registry, 9)
    # A deferred foreign key is checked by COMMIT, and leaves the transaction open when it fails.
    execute(database, "CREATE TABLE parent (id INTEGER PRIMARY KEY)")
    execute(database, "CREATE TABLE child (id INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    execute(database, "CREATE TRIGGER orphan AFTER INSERT ON events BEGIN INSERT INTO child VALUES (1); END")
    driver(registry).execute("PRAGMA foreign_keys=ON")
    for outcome in await outcomes(log, [stored(1), stored(2)]):
        assert isinstance(outcome, RegistryError)
        assert "FOREIGN KEY constraint failed" in str(outcome)
        assert "unknown" not in str(outcome)
    assert await registry.head() == 1
    execute(database, "DROP TRIGGER orphan")
    (appended,) = await outcomes(log, [stored(1)])
    assert appended.events[0].seq == 2
    assert await registry.verify_views() is None


@contextmanager
def listening(registry: Registry, name: str, listener: Any) -> Iterator[None]:
    assert registry._writer is not None
    event.listen(registry._writer.engine, name, listener)
    yield
    event.remove(registry._writer.engine, name, listener)


class LostAnswer:
    """The next COMMIT is done, and its answer lost."""

    def __init__(self) -> None:
        self._done = False

    def __call__(self, connection: Connection) -> None:
        if not self._done:
            self._done = True
            connection.connection.commit()
            raise sqlite3.OperationalError("disk I/O error")


async def test_a_commit_that_fails_and_is_durable_all_the_same(registry: Registry, log: EventLog) -> None:
    await put_object(registry, 1)
    with listening(registry, "commit", LostAnswer()):
        first, second = await outcomes(log, [stored(2), stored(3)])
    assert (first.events[0].seq, second.events[0].seq) == (2, 3)
    assert first.answer[1]
    (after,) = await outcomes(log, [stored(4)])
    assert after.events[0].seq == 4
    assert await registry.verify_views() is None


async def test_a_commit_whose_outcome_cannot_be_known(registry: Registry, log: EventLog) -> None:
    begun: list[Connection] = []

    def begin_once(connection: Connection) -> None:
        begun.append(connection)
        if len(begun) > 1:
            raise sqlite3.OperationalError("disk I/O error")

    with listening(registry, "commit", LostAnswer()), listening(registry, "begin", begin_once):
        (outcome,) = await outcomes(log, [stored(1)])
    assert isinstance(outcome, OutcomeUnknownError)
    # it was durable: the head is read again before the next batch
    again, other = await outcomes(log, [stored(1), stored(2)])
    assert again.answer[1] is False
    assert other.events[0].seq == 2
    assert await registry.verify_views() is None


async def test_a_waiter_that_is_cancelled_undoes_nothing(registry: Registry, log: EventLog) -> None:
    waiter = asyncio.create_task(log.append(stored(1), actor=ACTOR))
    refused = asyncio.create_task(log.append(MarkSound(identity(9).blake3), actor=ACTOR))
    other = asyncio.create_task(log.append(stored(2), actor=ACTOR))
    await asyncio.sleep(0)
    waiter.cancel()
    refused.cancel()
    await other
    assert waiter.cancelled()
    assert refused.cancelled()
    assert [item.seq for item in await registry.events()] == [1, 2]


async def test_a_command_that_is_cancelled_is_recorded_before_the_cancellation_goes_on(registry: Registry) -> None:
    command = registry.record_object(
        identity(1), backend_id="local", primary_algorithm=Algorithm.BLAKE3, namespace="default", actor=ACTOR
    )
    recording = asyncio.create_task(command)
    await asyncio.sleep(0)
    for _ in range(2):
        recording.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await recording
    assert await registry.head() == 1
    assert await registry.object(identity(1).blake3) is not None


async def test_a_future_that_is_cancelled_undoes_nothing(registry: Registry, log: EventLog) -> None:
    log.submit(stored(1), actor=ACTOR).cancel()
    await log.append(stored(2), actor=ACTOR)
    assert await registry.head() == 2


async def test_close_records_what_waits_and_then_nothing_more(registry: Registry, log: EventLog) -> None:
    futures = [log.submit(stored(number), actor=ACTOR) for number in range(MAX_BATCH + 2)]
    await asyncio.gather(log.close(), log.close())
    assert [future.result().events[0].seq for future in futures] == list(range(1, MAX_BATCH + 3))
    with pytest.raises(RegistryError, match="closed"):
        await log.append(stored(9999), actor=ACTOR)
    await log.close()
    assert await registry.head() == MAX_BATCH + 2


async def test_close_records_a_request_that_was_carried_over(registry: Registry, log: EventLog) -> None:
    await put_file(registry, "a", 1)
    tombstone = log.submit(Tombstone("default", "a", None), actor=ACTOR)
    deletion = log.submit(DeleteObject(identity(1).blake3), actor=ACTOR)
    await log.close()
    assert tombstone.done()
    assert deletion.result().events[0].type == "object.deleted"


async def test_a_deletion_right_behind_the_tombstone_that_allows_it(
    registry: Registry, log: EventLog, statements: list[str]
) -> None:
    await put_file(registry, "a", 1)
    statements.clear()
    tombstoned, deleted, other = await outcomes(
        log, [Tombstone("default", "a", None), DeleteObject(identity(1).blake3), stored(2)]
    )
    assert tombstoned.answer == 1
    assert deleted.events[0].seq == 4
    assert other.events[0].seq == 5
    assert statements.count("COMMIT") == 2, "references are counted as of the batch's begin"
    assert await registry.verify_views() is None


async def test_a_deletion_before_the_tombstone_is_refused(
    registry: Registry, log: EventLog, statements: list[str]
) -> None:
    await put_file(registry, "a", 1)
    statements.clear()
    deletion, tombstoned = await outcomes(log, [DeleteObject(identity(1).blake3), Tombstone("default", "a", None)])
    assert isinstance(deletion, ObjectInUseError)
    assert tombstoned.answer == 1
    assert statements.count("COMMIT") == 1


async def test_a_reference_of_the_same_batch_forbids_the_deletion(registry: Registry, log: EventLog) -> None:
    await put_object(registry, 1)
    await put_file(registry, "a", 1)
    moved, again, deletion = await outcomes(
        log, [Tombstone("default", "a", None), created("b", 1), DeleteObject(identity(1).blake3)]
    )
    assert not isinstance(moved, Exception)
    assert not isinstance(again, Exception)
    assert isinstance(deletion, ObjectInUseError)
    await put_object(registry, 2)
    _, deletion = await outcomes(log, [created("c", 2), DeleteObject(identity(2).blake3)])
    assert isinstance(deletion, ObjectInUseError)
    assert await registry.verify_views() is None


async def test_an_upload_right_behind_a_deletion_stores_anew(registry: Registry, log: EventLog) -> None:
    await put_object(registry, 1)
    _, again = await outcomes(log, [DeleteObject(identity(1).blake3), stored(1)])
    assert again.answer[1] is True
    assert await registry.object_claimed(identity(1).blake3, "default")
    assert await registry.verify_views() is None


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_deletion_voids_the_claims(registry: Registry, log: EventLog, at_once: bool) -> None:
    commands: list[Command[Any]] = [stored(1), RecordObject(upload(1), "other"), DeleteObject(identity(1).blake3)]
    for batch in [commands] if at_once else [[command] for command in commands]:
        await outcomes(log, batch)
    for namespace in ("default", "other"):
        assert not await registry.object_claimed(identity(1).blake3, namespace)
    (again,) = await outcomes(log, [stored(1)])
    assert again.answer[1]
    assert await registry.object_claimed(identity(1).blake3, "default")
    assert not await registry.object_claimed(identity(1).blake3, "other")
    assert await registry.verify_views() is None


async def test_of_what_a_statement_is_about_a_batch_cannot_delete_all_that_is_looked_at(
    registry: Registry, log: EventLog
) -> None:
    assert ENOUGH_STATED > MAX_BATCH
    subjects, statement = range(1, ENOUGH_STATED + 20), 9999
    await outcomes(log, [stored(number) for number in (*subjects, statement)])
    about = [
        ObjectAttested(identity(number).blake3, identity(statement).blake3, "x", SignatureOutcome.UNSIGNED, None)
        for number in subjects
    ]
    await outcomes(log, [Attest(event) for event in about])
    (refused,) = await outcomes(log, [DeleteObject(identity(statement).blake3)])
    assert isinstance(refused, ObjectInUseError)
    await outcomes(log, [DeleteObject(identity(number).blake3) for number in subjects])
    (deleted,) = await outcomes(log, [DeleteObject(identity(statement).blake3)])
    assert [event.type for event in deleted.events] == ["object.deleted"]
