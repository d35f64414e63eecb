"""The log's one writer.

Theory of operation. Requests wait in a queue; one task takes what waits as a batch and hands it to the writer's thread,
in one hop. There, in one transaction, each request in turn decides its events against the rows as the requests before
it left them, its events get the next sequence numbers, and the fold changes the rows; then everything is written and
committed, and only then do the requests get their answers. New requests queue up meanwhile: batches form by themselves.

A request that refuses (raises a domain error when it decides) affects nobody else. If the transaction fails, all of its
requests fail, no sequence number is used up, and the writer goes on. If a COMMIT fails its outcome is unknown: the log
is read again before anybody is told. When the disk is full the requests that free space are tried once more, alone,
after the reserve was given up; until it is whole again no other requests are served, or they would use it up, and
before each batch the WAL is brought into the database, or it would.

A request that is to happen once (`Once`) is looked for among those that were answered, before it decides; what it is
answered is written by the transaction that records its events (`answers`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, Protocol

from sqlalchemy import Connection, bindparam, func, insert, literal_column, select, update

from artifactstore.domain.errors import ArtifactStoreError, OutcomeUnknownError, RegistryError, StorageFullError
from artifactstore.domain.once import KeptAnswer, Once
from artifactstore.registry.answers import Answers, Place
from artifactstore.registry.envelope import RecordedEvent, Salts, record, timestamp
from artifactstore.registry.events import Event
from artifactstore.registry.folding import apply
from artifactstore.registry.reserve import Reserve
from artifactstore.registry.rows import Keys, WorkingSet
from artifactstore.registry.schema import VIEWS_SEQ_KEY, events, meta
from artifactstore.registry.sqlite import Writer, driver, failure, prepared, write_back
from artifactstore.registry.statistics import AppendStatistics
from artifactstore.registry.views import Views

MAX_BATCH = 512

_HEAD = select(func.coalesce(func.max(events.c.seq), 0))
_INSERT = prepared(insert(events), *events.c.keys())
_VIEWS_SEQ = prepared(
    update(meta).where(meta.c.key == literal_column(f"'{VIEWS_SEQ_KEY}'")).values(value=bindparam("seq")), "seq"
)
_ID_AT = select(events.c.id).where(events.c.seq == bindparam("seq"))

type Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The clock of production."""
    return datetime.now(UTC)


class Command[T](Protocol):
    """What a request asks of the log."""

    frees_space: ClassVar[bool]  # served from the reserve when the disk is full
    tombstones: ClassVar[bool]  # it may release references of versions

    @property
    def keys(self) -> Keys:
        """The rows it needs."""
        ...

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """The events to record, possibly none; a domain error refuses. Must not change `rows`."""
        ...

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> T:
        """What the request's caller gets, from the rows after its events."""
        ...


@dataclass(frozen=True, slots=True)
class Appended[T]:
    """The outcome of a request: its events, durable, and its answer."""

    events: tuple[RecordedEvent, ...]
    answer: T


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    command: Command[Any]
    actor: str
    future: asyncio.Future[Appended[Any]]
    begun: float  # by the loop's clock
    once: Once[Any] | None


type _Outcome = Appended[Any] | Exception


@dataclass(slots=True)
class _Batch:
    """What a transaction did, before it is known to be committed."""

    head: int
    recorded: list[RecordedEvent] = field(default_factory=list)
    outcomes: dict[_Request, _Outcome] = field(default_factory=dict)
    answers: dict[Place, KeptAnswer] = field(default_factory=dict)  # to be kept


class _CommitUnknownError(Exception):
    """COMMIT failed; `batch` may or may not be durable."""

    def __init__(self, batch: _Batch, cause: Exception) -> None:
        super().__init__(str(cause))
        self.batch = batch
        self.cause = cause


class EventLog:
    """Appends to the log, and folds into the views, in one transaction a batch. Nothing else appends."""

    def __init__(
        self,
        writer: Writer,
        views: Views,
        *,
        log_id: str,
        head: int,
        reserve: Reserve | None,
        log: logging.Logger,
        clock: Clock = utc_now,
        answers: Answers | None = None,
    ) -> None:
        self._writer = writer
        self._views = views
        self._log_id = log_id
        self._head: int | None = head  # None: a failed COMMIT left it unknown, it is read before the next batch
        self._reserve = reserve
        self._log = log
        self.statistics = AppendStatistics()
        self._clock = clock
        self._answers = answers or Answers()
        self._salts = Salts()  # the writer's thread's
        self._waiting: asyncio.Queue[_Request | None] = asyncio.Queue()
        self._carried: _Request | None = None
        self._closed = False
        self._task = asyncio.create_task(self._write_batches(), name="event-log-writer")

    def submit[T](self, command: Command[T], *, actor: str, once: Once[T] | None = None) -> asyncio.Future[Appended[T]]:
        """Queue a request. The future tells its outcome, whoever waits for it or not; cancelling it is no undo.

        A domain error refuses; StorageFullError and RegistryError say that nothing of it was recorded, except
        OutcomeUnknownError. With `once`: AlreadyAnsweredError, IdempotencyKeyReusedError.
        """
        future: asyncio.Future[Appended[T]] = asyncio.get_running_loop().create_future()
        if self._closed:
            future.set_exception(RegistryError("the event log is closed"))
            return future
        self._waiting.put_nowait(_Request(command, actor, future, future.get_loop().time(), once))
        return future

    async def append[T](self, command: Command[T], *, actor: str, once: Once[T] | None = None) -> Appended[T]:
        """Record what `command` decides; returns when it is durable.

        If the caller is cancelled while it waits, the events may still be recorded: whoever must know keeps the future
        of `submit`, or asks the views.
        """
        return await self.submit(command, actor=actor, once=once)

    def counts(self, kept: KeptAnswer) -> bool:
        """Whether an answer that was kept is not too old."""
        return self._answers.counts(kept, self._clock())

    async def close(self) -> None:
        """Record what waits, then stop."""
        if not self._closed:
            self._closed = True
            self._waiting.put_nowait(None)
        await asyncio.shield(self._task)

    # --- the task ---------------------------------------------------------------------------------------------------

    async def _write_batches(self) -> None:
        while batch := await self._next_batch():
            try:
                outcomes = await self._writer.run(partial(self._serve, requests=batch))
            except Exception as error:
                self._log.exception("the event log's writer failed")
                self._head = None
                outcomes = dict.fromkeys(batch, failure(error))
            ended = asyncio.get_running_loop().time()
            self.statistics.batch_sizes.add(len(batch))
            for request in batch:
                self.statistics.seconds.add(ended - request.begun)
                _resolve(request.future, outcomes[request])

    async def _next_batch(self) -> list[_Request]:
        first = self._carried or await self._waiting.get()
        self._carried = None
        batch: list[_Request] = []
        tombstones = False
        request: _Request | None = first
        while request is not None:
            if tombstones and request.command.keys.references:
                self._carried = request  # references are counted as of the batch's begin
                break
            batch.append(request)
            tombstones = tombstones or request.command.tombstones
            if len(batch) == MAX_BATCH or self._waiting.empty():
                break
            request = self._waiting.get_nowait()
            if request is None and batch:
                self._waiting.put_nowait(None)  # the end: seen again when the batch is done
        return batch

    # --- on the writer's thread -------------------------------------------------------------------------------------

    def _serve(self, connection: Connection, requests: Sequence[_Request]) -> dict[_Request, _Outcome]:
        """The outcome of every request, with everything that is said to be recorded committed."""
        if self._reserve is None or self._reserve.fill():
            return self._serve_all(connection, requests)
        refused = StorageFullError("the disk is full: only what frees space is recorded until there is some")
        outcomes: dict[_Request, _Outcome] = dict.fromkeys(requests, refused)
        if urgent := _urgent(requests):
            write_back(connection)  # else each of them would take a new piece of the reserve for the WAL
            outcomes.update(self._serve_all(connection, urgent))
        return outcomes

    def _serve_all(self, connection: Connection, requests: Sequence[_Request]) -> dict[_Request, _Outcome]:
        try:
            return self._attempt(connection, requests)
        except Exception as error:
            failed = self._failed(error)
            if not isinstance(failed, StorageFullError):
                return dict.fromkeys(requests, failed)
        outcomes: dict[_Request, _Outcome] = dict.fromkeys(requests, failed)
        if urgent := _urgent(requests):
            if self._reserve is not None and self._reserve.release():
                self._log.warning("the disk is full: the log's reserve was given up for %d deletions", len(urgent))
            try:
                outcomes.update(self._attempt(connection, urgent))
            except Exception as error:
                outcomes.update(dict.fromkeys(urgent, self._failed(error)))
        return outcomes

    def _failed(self, error: Exception) -> ArtifactStoreError:
        failed = failure(error)
        if isinstance(failed, StorageFullError):
            self._log.warning("%s", failed)
        else:
            self._log.error("a batch of the event log failed: %s", failed, exc_info=error)
        return failed

    def _attempt(self, connection: Connection, requests: Sequence[_Request]) -> dict[_Request, _Outcome]:
        try:
            batch = self._transact(connection, requests)
        except _CommitUnknownError as error:
            batch = self._settle(connection, error)
        self._head = batch.head
        return batch.outcomes

    def _transact(self, connection: Connection, requests: Sequence[_Request]) -> _Batch:
        transaction = connection.begin()
        try:
            head = connection.scalar(_HEAD) if self._head is None else self._head
            batch = _Batch(int(head or 0))
            keys = Keys()
            for request in requests:
                keys.add(request.command.keys)
            rows = self._views.load(driver(connection), keys)
            for request in requests:
                if request.once is None:
                    batch.outcomes[request] = self._decide(rows, request, batch)
                else:
                    batch.outcomes[request] = self._decide_once(connection, rows, request, request.once, batch)
            if not batch.recorded and not batch.answers:
                transaction.rollback()
                return batch
            self._store(driver(connection), rows, batch)
        except BaseException:
            transaction.rollback()
            raise
        try:
            transaction.commit()
        except Exception as error:
            raise _CommitUnknownError(batch, error) from error
        return batch

    def _store(self, connection: sqlite3.Connection, rows: WorkingSet, batch: _Batch) -> None:
        if batch.recorded:
            connection.executemany(_INSERT, [_event_row(item) for item in batch.recorded])
            self._views.store(connection, rows)
            connection.execute(_VIEWS_SEQ, (str(batch.head),))
        if batch.answers:
            self._answers.keep(connection, batch.answers, self._clock())

    def _decide_once(
        self, connection: Connection, rows: WorkingSet, request: _Request, once: Once[Any], batch: _Batch
    ) -> _Outcome:
        """Decide a request unless it was answered before, and keep what it is answered now. A refusal is not kept."""
        place, now = (request.actor, once.key), self._clock()
        kept = batch.answers.get(place) or self._answers.find(driver(connection), place, now)
        if kept is not None:
            return once.repeated(kept)
        outcome = self._decide(rows, request, batch)
        if isinstance(outcome, Appended):
            batch.answers[place] = once.kept(outcome.answer, timestamp(now))
        return outcome

    def _decide(self, rows: WorkingSet, request: _Request, batch: _Batch) -> _Outcome:
        """Decide one request and fold its events. What it raises before the fold is its own affair."""
        try:
            decided = request.command.decide(rows)
            time = timestamp(self._clock())
            recorded = [
                record(
                    self._log_id,
                    batch.head + number,
                    event,
                    actor=request.actor,
                    time=time,
                    salt=self._salts.next(),
                )
                for number, event in enumerate(decided, 1)
            ]
        except ArtifactStoreError as error:
            return error
        except Exception as error:
            self._log.exception("a request of the event log failed")
            return failure(error)
        for item, event in zip(recorded, decided, strict=True):
            apply(rows, item, event)
        batch.recorded.extend(recorded)
        batch.head += len(recorded)
        return Appended(tuple(recorded), request.command.answer(rows, recorded))

    def _settle(self, connection: Connection, failed: _CommitUnknownError) -> _Batch:
        """Whether a batch whose COMMIT failed is in the log after all. Raises what failed if it is not."""
        self._head = None
        try:
            connection.rollback()  # SQLAlchemy's transaction, which is over but stands in the way of another
            connection.connection.rollback()  # the driver's: a COMMIT that fails may leave it open
            with connection.begin():
                there = self._is_there(connection, failed.batch)
                self._head = int(connection.scalar(_HEAD) or 0)
        except Exception as error:
            raise OutcomeUnknownError(f"the outcome is unknown: {failed.cause}, and the log cannot be read") from error
        if not there:
            raise failed.cause
        return failed.batch

    def _is_there(self, connection: Connection, batch: _Batch) -> bool:
        """Whether a batch is in the database: all of it is if any of it is."""
        if batch.recorded:
            first = batch.recorded[0]
            return connection.scalar(_ID_AT, {"seq": first.seq}) == first.id.bytes
        place, kept = next(iter(batch.answers.items()))
        return self._answers.find(driver(connection), place, self._clock()) == kept


def _urgent(requests: Sequence[_Request]) -> list[_Request]:
    return [request for request in requests if request.command.frees_space]


def _event_row(item: RecordedEvent) -> tuple[Any, ...]:
    """In the order of the table's columns."""
    return (
        item.seq,
        item.id.bytes,
        item.type,
        item.version,
        item.subject,
        item.actor,
        item.time,
        item.salt,
        item.payload,
        item.leaf,
    )


def _resolve(future: asyncio.Future[Appended[Any]], outcome: _Outcome) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
        future.exception()  # retrieved: if its waiter is cancelled now it is nobody's, and asyncio need not report it
    else:
        future.set_result(outcome)
