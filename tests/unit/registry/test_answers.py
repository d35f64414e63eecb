"""Answers to requests with a key: kept by the transaction that records what they did, and given again.

What must hold, wherever the process ends: a key's row and its request's events are both there or neither is. So a
request that is sent again either happens, for the first time, or is answered from what is kept.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from sqlalchemy import Connection, event

from artifactstore.domain.artifact import Artifact
from artifactstore.domain.errors import (
    IdempotencyKeyReusedError,
    OutcomeUnknownError,
    PreconditionFailedError,
    RegistryError,
)
from artifactstore.domain.once import AlreadyAnsweredError, Once
from artifactstore.registry.answers import _EXPIRED, _FORGET, FIND
from artifactstore.registry.migration import DATABASE_FILE
from artifactstore.registry.registry import Registry
from tests.unit.registry.conftest import ACTOR, Clock, execute, identity, open_registry, put_file, put_object


def asked(what: str) -> bytes:
    return sha256(what.encode()).digest()


def once(key: str, body: int, what: str = "PUT /a") -> Once[tuple[Artifact, bool]]:
    """A request to make a version of the object of that number; its answer is the version's id."""
    return Once(key, asked(what), lambda made, _: made[0].id.bytes, identity(body))


def rows(database: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT actor, key, answer FROM requests ORDER BY actor, key").fetchall()


async def versions(registry: Registry) -> int:
    return sum(item.type == "artifact.created" for item in await registry.events(limit=1000))


async def test_a_request_with_a_key_happens_once(registry: Registry, database: Path) -> None:
    artifact, _ = await put_file(registry, "a", 1, once=once("k", 1))
    for _ in range(2):
        with pytest.raises(AlreadyAnsweredError) as again:
            await put_file(registry, "a", 1, once=once("k", 1))
        assert again.value.answer == artifact.id.bytes
    assert await versions(registry) == 1
    assert rows(database) == [(ACTOR, "k", artifact.id.bytes)]
    assert await registry.verify_views() is None


async def test_another_request_may_not_use_the_key(registry: Registry) -> None:
    await put_file(registry, "a", 1, once=once("k", 1))
    with pytest.raises(IdempotencyKeyReusedError):
        await put_file(registry, "a", 2, once=once("k", 2))
    with pytest.raises(IdempotencyKeyReusedError):
        await put_file(registry, "b", 1, once=once("k", 1, "PUT /b"))
    assert await versions(registry) == 1


async def test_a_key_is_its_actors_own(registry: Registry) -> None:
    await put_file(registry, "a", 1, once=once("k", 1))
    await put_file(registry, "a", 2, once=once("k", 2), actor="another")
    assert await versions(registry) == 2


async def test_two_in_one_batch_are_one(registry: Registry) -> None:
    first, second, third = await asyncio.gather(
        *(put_file(registry, "a", number, once=once("k", number)) for number in (1, 1, 2)), return_exceptions=True
    )
    assert isinstance(first, tuple)
    assert isinstance(second, AlreadyAnsweredError)
    assert isinstance(third, IdempotencyKeyReusedError)
    assert await versions(registry) == 1


async def test_a_refusal_uses_no_key_up(registry: Registry, database: Path) -> None:
    await put_file(registry, "a", 1)
    with pytest.raises(PreconditionFailedError):
        await put_file(registry, "a", 2, create_only=True, once=once("k", 2))
    assert rows(database) == []
    await put_file(registry, "a", 3, once=once("k", 3))
    assert await versions(registry) == 2


async def test_a_request_without_events_is_kept_too(registry: Registry, database: Path) -> None:
    await put_object(registry, 1)
    once: Once[Any] = Once("k", asked("POST /v1/objects"), lambda stored, _: str(stored[1]).encode(), identity(1))
    await put_object(registry, 1, once=once)
    with pytest.raises(AlreadyAnsweredError) as again:
        await put_object(registry, 1, once=once)
    assert again.value.answer == b"False"
    await registry.keep_answer(
        "found", Once("v", asked("verify"), lambda found, _: found.encode(), identity(0)), actor="x"
    )
    assert rows(database) == [(ACTOR, "k", b"False"), ("x", "v", b"found")]
    assert await registry.head() == 1


async def test_what_is_kept_outlives_the_process_and_a_rebuild(directory: Path) -> None:
    registry = await open_registry(directory)
    artifact, _ = await put_file(registry, "a", 1, once=once("k", 1))
    await registry.rebuild()
    await registry.close()
    registry = await open_registry(directory)
    kept = await registry.kept_answer(ACTOR, "k")
    assert kept is not None
    assert kept.answer == artifact.id.bytes
    with pytest.raises(AlreadyAnsweredError):
        await put_file(registry, "a", 1, once=once("k", 1))
    assert await registry.kept_answer("another", "k") is None
    await registry.close()


# --- what a transaction that fails leaves -----------------------------------------------------------------------------


async def test_a_transaction_that_fails_keeps_nothing(registry: Registry, database: Path) -> None:
    refuse = "BEGIN SELECT RAISE(ABORT, 'no'); END"
    execute(database, f"CREATE TRIGGER refuse BEFORE INSERT ON requests {refuse}")
    with pytest.raises(RegistryError, match="SQLITE_CONSTRAINT_TRIGGER"):
        await put_file(registry, "a", 1, once=once("k", 1))
    assert await registry.head() == 0, "no events without the row"
    execute(database, "DROP TRIGGER refuse")
    execute(database, f"CREATE TRIGGER refuse BEFORE INSERT ON events {refuse}")
    with pytest.raises(RegistryError, match="SQLITE_CONSTRAINT_TRIGGER"):
        await put_file(registry, "a", 1, once=once("k", 1))
    assert rows(database) == [], "no row without the events"
    execute(database, "DROP TRIGGER refuse")
    await put_file(registry, "a", 1, once=once("k", 1))
    assert await versions(registry) == 1


@pytest.fixture
async def losing(registry: Registry) -> AsyncIterator[list[str]]:
    """What becomes of the next COMMITs: "lost" is done and its answer lost, "failed" is not done."""
    plan: list[str] = []

    def commit(connection: Connection) -> None:
        if plan:
            if plan.pop(0) == "lost":
                connection.connection.commit()
            raise sqlite3.OperationalError("disk I/O error")

    assert registry._writer is not None
    event.listen(registry._writer.engine, "commit", commit)
    yield plan
    event.remove(registry._writer.engine, "commit", commit)


@pytest.mark.parametrize("stored", [False, True], ids=["with events", "without events"])
async def test_a_commit_that_is_durable_though_it_failed(
    registry: Registry, database: Path, losing: list[str], stored: bool
) -> None:
    if stored:
        await put_object(registry, 1)
    key: Once[Any] = Once("k", asked("POST"), lambda found, _: str(found[1]).encode(), identity(1))
    losing.append("lost")
    _, created = await put_object(registry, 1, once=key)
    assert created is not stored
    assert len(rows(database)) == 1
    with pytest.raises(AlreadyAnsweredError):
        await put_object(registry, 1, once=key)


@pytest.mark.parametrize("stored", [False, True], ids=["with events", "without events"])
async def test_a_commit_that_failed_is_as_if_it_had_never_been(
    registry: Registry, database: Path, losing: list[str], stored: bool
) -> None:
    if stored:
        await put_object(registry, 1)
    key: Once[Any] = Once("k", asked("POST"), lambda found, _: str(found[1]).encode(), identity(1))
    losing.append("failed")
    with pytest.raises(RegistryError, match="disk I/O error") as failed:
        await put_object(registry, 1, once=key)
    assert not isinstance(failed.value, OutcomeUnknownError)
    assert rows(database) == []
    await put_object(registry, 1, once=key)
    assert len(rows(database)) == 1


# --- how long it is kept ----------------------------------------------------------------------------------------------


async def test_an_old_answer_counts_no_more_and_its_key_is_free(directory: Path, database: Path) -> None:
    clock = Clock()
    registry = await open_registry(directory, clock=clock, answers_kept=timedelta(minutes=1))
    await put_file(registry, "a", 1, once=once("k", 1))
    clock.now += timedelta(minutes=1)
    assert await registry.kept_answer(ACTOR, "k") is None
    artifact, _ = await put_file(registry, "a", 2, once=once("k", 2))
    assert rows(database) == [(ACTOR, "k", artifact.id.bytes)]
    assert await versions(registry) == 2
    await registry.close()


async def test_old_answers_are_removed_a_few_at_a_time(directory: Path, database: Path) -> None:
    clock = Clock()
    registry = await open_registry(directory, clock=clock, answers_kept=timedelta(hours=1))
    await asyncio.gather(*(put_file(registry, "a", 1, once=once(f"old{number}", 1)) for number in range(200)))
    clock.now += timedelta(hours=2)
    left = []
    for number in range(5):
        await put_file(registry, "a", 1, once=once(f"new{number}", 1))
        left.append(sum(key.startswith("old") for _, key, _ in rows(database)))
    assert left == [136, 72, 8, 0, 0]
    await put_file(registry, "a", 1)  # without a key, nothing is looked at
    assert len(rows(database)) == 5
    await registry.close()


def test_the_sweep_finds_old_rows_by_their_index(database: Path, registry: Registry) -> None:
    with closing(sqlite3.connect(database)) as connection:
        plan = connection.execute(f"EXPLAIN QUERY PLAN {_EXPIRED}", ("",)).fetchall()
        assert "USING COVERING INDEX ix_requests_created_at" in plan[0][3]
        for statement in (FIND, _FORGET):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", ("", "")).fetchall()
            assert "USING PRIMARY KEY (actor=? AND key=?)" in plan[0][3]


# --- in any order -----------------------------------------------------------------------------------------------------

WINDOW = timedelta(minutes=10)


class AnswersMachine(RuleBasedStateMachine):
    """Requests with few keys, several in a batch, while time passes, the process starts anew and views are rebuilt."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name)
        self.clock = Clock()
        self.kept: dict[str, tuple[tuple[int, bool], bytes, datetime]] = {}  # key -> request, answer, time
        self.made = 0

    async def _open(self) -> None:
        self.registry = await open_registry(self.path, clock=self.clock, answers_kept=WINDOW)

    @initialize()
    def open(self) -> None:
        self.loop.run(self._open())

    @rule(requests=st.lists(st.tuples(st.sampled_from("kl"), st.integers(1, 2), st.booleans()), min_size=1, max_size=4))
    def send(self, requests: list[tuple[str, int, bool]]) -> None:
        self.loop.run(self._send(requests))

    async def _send(self, requests: list[tuple[str, int, bool]]) -> None:
        before = self.clock.now
        calls = (
            put_file(self.registry, "a", body, create_only=refused, once=once(key, body, f"{refused}"))
            for key, body, refused in requests
        )
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        for (key, body, refused), outcome in zip(requests, outcomes, strict=True):
            known = self.kept.get(key)
            if known is not None and known[2] >= before - WINDOW:
                if known[0] == (body, refused):
                    assert isinstance(outcome, AlreadyAnsweredError)
                    assert outcome.answer == known[1]
                else:
                    assert isinstance(outcome, IdempotencyKeyReusedError)
            elif refused and self.made:
                assert isinstance(outcome, PreconditionFailedError)
            else:
                assert isinstance(outcome, tuple), outcome
                self.made += 1
                assert outcome[0].version == self.made
                self.kept[key] = ((body, refused), outcome[0].id.bytes, self.clock.now)

    @rule()
    def wait(self) -> None:
        self.clock.now += 2 * WINDOW  # as batches take seconds of this clock, none of them straddles the window

    @rule()
    def start_anew(self) -> None:
        self.loop.run(self.registry.close())
        self.loop.run(self._open())

    @rule()
    def rebuild(self) -> None:
        self.loop.run(self.registry.rebuild())

    def teardown(self) -> None:
        try:
            if hasattr(self, "registry"):
                assert self.loop.run(versions(self.registry)) == min(self.made, 1000)
                assert self.loop.run(self.registry.verify_views()) is None
                self.loop.run(self.registry.close())
                assert {key for _, key, _ in rows(self.path / DATABASE_FILE)} <= set(self.kept)
        finally:
            self.loop.close()
            self.directory.cleanup()


def test_requests_with_keys_do_as_their_model() -> None:
    run_state_machine_as_test(
        AnswersMachine,
        settings=settings(
            max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
