"""How a store does at a moment, seen from outside: what its parts count, and what they find when they look.

To look costs reads of the disk and of the registry. Those block no event loop, and `Observer` has one look at a time:
whoever asks meanwhile gets the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from artifactstore.audit.retrievals import RetrievalRecorder
from artifactstore.dataplane.activity import Activity
from artifactstore.dataplane.spi import DataPlane
from artifactstore.registry.registry import Registry, RegistryHealth
from artifactstore.registry.statistics import AppendStatistics, UploadStatistics
from artifactstore.storage.spi import BackendHealth


@dataclass(frozen=True, slots=True)
class Observation:
    """One look at a store. `retrievals_waiting` are sums, `retrievals_dropped` downloads."""

    backend: BackendHealth
    registry: RegistryHealth
    wal_bytes: int
    appends: AppendStatistics
    uploads: UploadStatistics
    activity: Activity
    retrievals_waiting: int
    retrievals_dropped: int


class Observer:
    """Looks at the parts of a store."""

    def __init__(
        self,
        dataplane: DataPlane,
        registry: Registry,
        retrievals: RetrievalRecorder | None,
        activity: Callable[[], Awaitable[Activity]],
    ) -> None:
        self._dataplane = dataplane
        self._registry = registry
        self._retrievals = retrievals
        self._activity = activity
        self._looking: asyncio.Task[Observation] | None = None

    async def look(self) -> Observation:
        """What is so now. Errors of the domain."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return await asyncio.shield(self._looking)

    async def _look(self) -> Observation:
        return Observation(
            await self._dataplane.backend_health(),
            await self._registry.health(),
            await self._registry.wal_bytes(),
            self._registry.appends,
            self._registry.uploads,
            await self._activity(),
            0 if self._retrievals is None else self._retrievals.waiting,
            0 if self._retrievals is None else self._retrievals.dropped,
        )
