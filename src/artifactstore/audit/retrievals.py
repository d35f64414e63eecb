"""Downloads, summed in memory and recorded at an interval: a download never waits for the log.

A crash loses at most the sums of one interval.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

from artifactstore.domain.artifact import Retrievals
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import ArtifactStoreError, OutcomeUnknownError
from artifactstore.registry.log import Clock, utc_now

#: Who the events are by; whoever read is named in each entry.
RECORDER = "system:retrievals"
ENTRIES_PER_EVENT = 100
#: Distinct sums in memory at which they are recorded before the interval is over.
EARLY_KEYS = 10_000
#: Distinct sums above which further ones are dropped, and counted as dropped: the log has failed for long.
MAX_KEYS = 100_000

_log = logging.getLogger(__name__)

type _Key = tuple[bytes, UUID | None, str, str]  # BLAKE3 digest, artifact, actor, minute


class RetrievalLog(Protocol):
    """What the sums are recorded in: the registry."""

    async def record_retrievals(self, entries: list[Retrievals], *, actor: str) -> None:
        """Record them as one event."""
        ...


@dataclass(slots=True)
class _Sum:
    count: int = 0
    size_bytes: int = 0


class RetrievalRecorder:
    """Sums downloads per object or artifact, actor and minute. For one event loop.

    `gathering`, where it is set, brings in what other processes have summed, before `flush` records.
    """

    def __init__(self, registry: RetrievalLog, interval_seconds: float, clock: Clock = utc_now) -> None:
        self._registry = registry
        self._interval = interval_seconds
        self._clock = clock
        self._sums: dict[_Key, _Sum] = {}
        self._minute = ("", datetime.min.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC))
        self._dropped = 0
        #: Downloads that were never recorded, since the start.
        self.dropped = 0
        self._early = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.gathering: Callable[[], Awaitable[None]] | None = None

    def note(self, blake3: Digest, artifact_id: UUID | None, actor: str, size_bytes: int) -> None:
        """Count a download of so many bytes, read through an artifact or by digest. Neither waits nor fails."""
        self._add((blake3.value, artifact_id, actor, self._minute_now()), 1, size_bytes)
        self._record_soon()

    def add(self, entries: Iterable[Retrievals]) -> None:
        """Count what another process has summed. Neither waits nor fails."""
        for item in entries:
            self._add((item.blake3.value, item.artifact_id, item.actor, item.minute), item.count, item.size_bytes)
        self._record_soon()

    def _record_soon(self) -> None:
        if self._task is None and not self._closed:
            self._task = asyncio.get_running_loop().create_task(
                self._flush_at_interval(),
                name="retrievals",
                context=Context(),  # not of the request that happens to be first, or its id would stand in each line
            )
        if len(self._sums) >= EARLY_KEYS:
            self._early.set()

    def _minute_now(self) -> str:
        text, begin, end = self._minute
        now = self._clock()
        if not begin <= now < end:  # written once a minute: it costs more than the rest of a note
            begin = now.astimezone(UTC).replace(second=0, microsecond=0)
            text = begin.strftime("%Y-%m-%dT%H:%MZ")
            self._minute = (text, begin, begin + timedelta(minutes=1))
        return text

    def _add(self, key: _Key, count: int, size_bytes: int) -> None:
        entry = self._sums.get(key)
        if entry is None:
            if len(self._sums) >= MAX_KEYS:
                self._dropped += count
                self.dropped += count
                return
            entry = self._sums[key] = _Sum()
        entry.count += count
        entry.size_bytes += size_bytes

    @property
    def waiting(self) -> int:
        """How many sums are not recorded yet."""
        return len(self._sums)

    async def flush(self) -> None:
        """Record the sums so far. What cannot be recorded is kept, and the failure logged.

        A cancelled caller does not stop it: a flush that ends half way would lose sums, or record them twice.
        """
        if self.gathering is not None:
            await self.gathering()
        await asyncio.shield(self._flush())

    async def _flush(self) -> None:
        async with self._flushing:
            sums, self._sums = self._sums, {}
            if self._dropped:
                _log.error("%d downloads were not recorded: the event log failed for too long", self._dropped)
                self._dropped = 0
            keys = list(sums)
            for begin in range(0, len(keys), ENTRIES_PER_EVENT):
                chunk = keys[begin : begin + ENTRIES_PER_EVENT]
                try:
                    await self._record(sums, chunk)
                except OutcomeUnknownError as error:  # to miss some is better than to count some twice
                    _log.error("%d retrievals may not have been recorded: %s", len(chunk), error)
                except Exception as error:  # whatever it is, it must neither end the task nor lose the sums
                    unforeseen = None if isinstance(error, ArtifactStoreError) else error
                    left = len(keys) - begin
                    _log.warning("%d retrievals could not be recorded yet: %s", left, error, exc_info=unforeseen)
                    for key in keys[begin:]:
                        self._add(key, sums[key].count, sums[key].size_bytes)
                    return

    async def _record(self, sums: dict[_Key, _Sum], keys: list[_Key]) -> None:
        entries = [
            Retrievals(Digest.blake3(blake3), artifact_id, actor, minute, entry.count, entry.size_bytes)
            for blake3, artifact_id, actor, minute in keys
            for entry in (sums[blake3, artifact_id, actor, minute],)
        ]
        await self._registry.record_retrievals(entries, actor=RECORDER)

    async def _flush_at_interval(self) -> None:
        while not self._closed:
            try:
                async with asyncio.timeout(self._interval):
                    await self._early.wait()
            except TimeoutError:
                pass
            self._early.clear()
            await asyncio.shield(self._flush())
            if len(self._sums) >= EARLY_KEYS:  # the log fails: no sooner than the interval again
                await asyncio.sleep(self._interval)

    async def close(self) -> None:
        """Stop, and record what there is. Idempotent."""
        self._closed = True
        self._early.set()
        task, self._task = self._task, None
        if task is not None:
            await self._stop(task)
        await asyncio.shield(self._flush())

    async def _stop(self, task: asyncio.Task[None]) -> None:
        async with self._flushing:  # not in the middle of a flush
            task.cancel()
        await asyncio.wait([task])
