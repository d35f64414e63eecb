from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from artifactstore.audit import retrievals
from artifactstore.audit.retrievals import EARLY_KEYS, ENTRIES_PER_EVENT, MAX_KEYS, RECORDER, RetrievalRecorder
from artifactstore.domain.artifact import Retrievals
from artifactstore.domain.errors import OutcomeUnknownError, RegistryError
from artifactstore.registry.registry import Registry
from tests.unit.registry.conftest import identity, open_registry

ONE, TWO = identity(1).blake3, identity(2).blake3
ARTIFACT = UUID(int=1)
NEVER = 3600.0


class Log:
    """A log that keeps what it is given, when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[Retrievals]] = []
        self.failing = False
        self.failure: Exception = RegistryError("the log fails")
        self.asked = asyncio.Event()
        self.recorded = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def record_retrievals(self, entries: list[Retrievals], *, actor: str) -> None:
        assert actor == RECORDER
        self.asked.set()
        await self.open.wait()
        if self.failing:
            raise self.failure
        self.batches.append(entries)
        self.recorded.set()

    @property
    def entries(self) -> list[Retrievals]:
        return [entry for batch in self.batches for entry in batch]


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 23, 59, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
async def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def recorder(log: Log, clock: Clock) -> AsyncIterator[RetrievalRecorder]:
    made = RetrievalRecorder(log, NEVER, clock)
    yield made
    log.open.set()
    await made.close()


def note_many(recorder: RetrievalRecorder, count: int) -> None:
    for number in range(count):
        recorder.note(ONE, None, str(number), 1)


async def test_downloads_are_summed_by_subject_actor_and_minute(
    recorder: RetrievalRecorder, log: Log, clock: Clock
) -> None:
    recorder.note(ONE, None, "a", 10)
    recorder.note(ONE, None, "a", 5)
    recorder.note(ONE, None, "b", 1)
    recorder.note(ONE, ARTIFACT, "a", 2)
    recorder.note(TWO, None, "a", 3)
    clock.now += timedelta(seconds=30)
    recorder.note(ONE, None, "a", 4)
    clock.now = clock.now.astimezone(timezone(timedelta(hours=-5)))
    recorder.note(ONE, None, "a", 4)
    assert log.batches == [], "a download waits for nothing"
    await recorder.flush()
    minute, later = "2026-01-31T23:59Z", "2026-02-01T00:00Z"
    assert log.batches == [
        [
            Retrievals(ONE, None, "a", minute, 2, 15),
            Retrievals(ONE, None, "b", minute, 1, 1),
            Retrievals(ONE, ARTIFACT, "a", minute, 1, 2),
            Retrievals(TWO, None, "a", minute, 1, 3),
            Retrievals(ONE, None, "a", later, 2, 8),
        ]
    ]


async def test_nothing_is_recorded_of_nothing(recorder: RetrievalRecorder, log: Log) -> None:
    await recorder.flush()
    recorder.note(ONE, None, "a", 0)
    await recorder.flush()
    await recorder.flush()
    assert [entry.count for entry in log.entries] == [1]


async def test_many_sums_are_several_events(recorder: RetrievalRecorder, log: Log) -> None:
    note_many(recorder, 2 * ENTRIES_PER_EVENT + 1)
    await recorder.flush()
    assert [len(batch) for batch in log.batches] == [ENTRIES_PER_EVENT, ENTRIES_PER_EVENT, 1]


async def test_the_sums_are_recorded_at_the_interval(log: Log, clock: Clock) -> None:
    recorder = RetrievalRecorder(log, 0.001, clock)
    for _ in range(2):
        recorder.note(ONE, None, "a", 1)
        await log.recorded.wait()
        log.recorded.clear()
    await recorder.close()
    assert sum(entry.count for entry in log.entries) == 2


async def test_many_sums_are_recorded_before_the_interval_is_over(recorder: RetrievalRecorder, log: Log) -> None:
    note_many(recorder, EARLY_KEYS - 1)
    assert not recorder._early.is_set()
    note_many(recorder, EARLY_KEYS)
    await log.recorded.wait()
    await recorder.flush()
    assert sum(entry.count for entry in log.entries) == 2 * EARLY_KEYS - 1


async def test_a_log_that_fails_keeps_the_sums(
    recorder: RetrievalRecorder, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.note(ONE, None, "a", 10)
    log.failing = True
    await recorder.flush()
    assert "1 retrievals could not be recorded yet: the log fails" in caplog.text
    recorder.note(ONE, None, "a", 1)
    await recorder.flush()
    log.failing = False
    await recorder.flush()
    (entry,) = log.entries
    assert (entry.count, entry.size_bytes) == (2, 11)


async def test_sums_whose_outcome_is_unknown_are_not_recorded_again(
    recorder: RetrievalRecorder, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    recorder.note(ONE, None, "a", 10)
    log.failing, log.failure = True, OutcomeUnknownError("the disk is gone")
    await recorder.flush()
    log.failing = False
    recorder.note(TWO, None, "a", 1)
    await recorder.flush()
    assert [entry.blake3 for entry in log.entries] == [TWO]
    assert "1 retrievals may not have been recorded: the disk is gone" in caplog.text


async def test_an_unforeseen_error_ends_nothing_and_loses_nothing(
    log: Log, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = RetrievalRecorder(log, 0.001, clock)
    log.failing, log.failure = True, ZeroDivisionError()
    recorder.note(ONE, None, "a", 10)
    await log.asked.wait()
    log.failing = False
    await log.recorded.wait()
    await recorder.close()
    assert [(entry.count, entry.size_bytes) for entry in log.entries] == [(1, 10)]
    assert "ZeroDivisionError" in caplog.text


async def test_a_log_that_fails_in_the_middle_records_the_rest_once(recorder: RetrievalRecorder, log: Log) -> None:
    note_many(recorder, 2 * ENTRIES_PER_EVENT)
    log.open.clear()
    flushing = asyncio.create_task(recorder.flush())
    await log.asked.wait()
    log.open.set()
    await log.recorded.wait()
    log.failing = True
    await flushing
    log.failing = False
    await recorder.flush()
    assert sorted(int(entry.actor) for entry in log.entries) == list(range(2 * ENTRIES_PER_EVENT))


async def test_what_is_noted_during_a_flush_is_of_the_next(recorder: RetrievalRecorder, log: Log) -> None:
    recorder.note(ONE, None, "a", 1)
    log.open.clear()
    flushing = asyncio.create_task(recorder.flush())
    await log.asked.wait()
    recorder.note(ONE, None, "a", 2)
    log.open.set()
    await flushing
    await recorder.flush()
    assert [(entry.count, entry.size_bytes) for entry in log.entries] == [(1, 1), (1, 2)]


async def test_beyond_the_limit_sums_are_dropped_and_counted(
    recorder: RetrievalRecorder, log: Log, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert MAX_KEYS > EARLY_KEYS
    monkeypatch.setattr(retrievals, "MAX_KEYS", 3)
    note_many(recorder, 5)
    recorder.note(ONE, None, "0", 7)  # one that is known goes on being summed
    await recorder.flush()
    assert "2 downloads were not recorded" in caplog.text
    assert [(entry.actor, entry.count) for entry in log.entries] == [("0", 2), ("1", 1), ("2", 1)]
    caplog.clear()
    note_many(recorder, 2)
    await recorder.flush()
    assert "not recorded" not in caplog.text


async def test_close_records_what_there_is_once(log: Log, clock: Clock) -> None:
    recorder = RetrievalRecorder(log, NEVER, clock)
    recorder.note(ONE, None, "a", 1)
    await asyncio.sleep(0)
    await recorder.close()
    await recorder.close()
    assert [entry.count for entry in log.entries] == [1]
    assert recorder._task is None


async def test_close_waits_for_a_flush_that_is_under_way(log: Log, clock: Clock) -> None:
    recorder = RetrievalRecorder(log, 0.001, clock)
    recorder.note(ONE, None, "a", 1)
    log.open.clear()
    await log.asked.wait()
    closing = asyncio.create_task(recorder.close())
    await asyncio.sleep(0)
    assert not closing.done()
    log.open.set()
    await closing
    assert [entry.count for entry in log.entries] == [1]


async def test_close_of_a_recorder_that_noted_nothing(log: Log) -> None:
    await RetrievalRecorder(log, NEVER).close()
    assert log.batches == []


@pytest.mark.parametrize("failing", [False, True])
async def test_a_cancelled_flush_neither_loses_nor_counts_twice(
    recorder: RetrievalRecorder, log: Log, failing: bool
) -> None:
    note_many(recorder, 2 * ENTRIES_PER_EVENT + 1)
    log.open.clear()
    flushing = asyncio.create_task(recorder.flush())
    await log.asked.wait()
    flushing.cancel()
    assert isinstance((await asyncio.gather(flushing, return_exceptions=True))[0], asyncio.CancelledError)
    log.failing = failing
    log.open.set()
    await recorder.flush()
    log.failing = False
    await recorder.flush()
    assert sorted((int(entry.actor), entry.count) for entry in log.entries) == [
        (number, 1) for number in range(2 * ENTRIES_PER_EVENT + 1)
    ]


async def test_the_sums_come_back_from_a_real_log(tmp_path: Any, clock: Clock) -> None:
    registry: Registry = await open_registry(tmp_path / "registry")
    recorder = RetrievalRecorder(registry, NEVER, clock)
    for size in (10, 20):
        recorder.note(ONE, ARTIFACT, "a", size)
        recorder.note(ONE, None, "a", size)
        await recorder.flush()
    expected = Retrievals(ONE, ARTIFACT, "a", "2026-01-31T23:59Z", 2, 30)
    assert await registry.retrievals(artifact_id=ARTIFACT) == [expected]
    (whole,) = await registry.retrievals(blake3=ONE)
    assert (whole.count, whole.size_bytes) == (4, 60)
    await recorder.close()
    await registry.close()
