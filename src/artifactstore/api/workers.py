"""The gateway's workers, seen from the process that writes: started, kept, stopped; what they give and count."""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any

from aiohttp import web

from artifactstore.api.channel import Channel, Connections, pair
from artifactstore.api.requests import RequestTallies
from artifactstore.domain.artifact import Retrievals
from artifactstore.domain.documents import parse_retrievals
from artifactstore.domain.errors import ConfigurationError
from artifactstore.generations import Generations
from artifactstore.settings import Settings

_log = logging.getLogger(__name__)

#: How long a worker may take to begin, and to end beyond its deadline, in seconds.
_BEGIN_SECONDS, _END_SECONDS = 60.0, 5.0
#: How long whoever asks for sums waits for a worker that does not answer, in seconds.
_GATHER_SECONDS = 1.0
#: Between the end of a worker that was not told to end and the beginning of another.
_AGAIN_SECONDS = 1.0


class _Worker:
    """One process."""

    def __init__(self, process: Process, channel: Channel) -> None:
        self.process = process
        self.channel = channel
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gathered: dict[int, asyncio.Future[None]] = {}
        self.tallies: dict[str, Any] = {}  # as it last told


class Workers:
    """So many processes beside this one. `adopt` takes what they give, `summed` the downloads they have summed."""

    def __init__(
        self,
        number: int,
        settings: Settings,
        generations: Generations,
        *,
        adopt: Connections,
        summed: Callable[[list[Retrievals]], None],
    ) -> None:
        self._number = number
        self._settings = settings
        self._generations = generations
        self._adopt = adopt
        self._summed = summed
        self._addresses: Sequence[tuple[str, int]] = ()
        self._running: set[_Worker] = set()
        self._keeping: set[asyncio.Task[None]] = set()
        self._gone = RequestTallies()  # of those that are no more
        self._begun = self._stopping = False
        self._numbers = count()

    async def start(self, addresses: Sequence[tuple[str, int]]) -> None:
        """Let them listen where this process listens. ConfigurationError: one does not begin."""
        self._addresses = addresses
        begun = [await self._launch() for _ in range(self._number)]
        try:
            async with asyncio.timeout(_BEGIN_SECONDS):
                await asyncio.gather(*(worker.ready for worker in begun))
        except (TimeoutError, ConnectionError):
            raise ConfigurationError("a worker did not begin; its own line says why") from None
        self._begun = True

    async def _launch(self) -> _Worker:
        ours, theirs = pair()
        with theirs:
            descriptors = (theirs.fileno(), self._generations.fileno())
            process = await create_subprocess_exec(
                *(sys.executable, "-m", "artifactstore.api.worker", *map(str, descriptors)),
                pass_fds=descriptors,
                stdin=DEVNULL,
            )
        worker: _Worker

        def told(document: dict[str, Any]) -> None:
            self._told(worker, document)

        ended = asyncio.Event()
        worker = _Worker(process, Channel(ours, documents=told, connections=self._adopt, lost=ended.set))
        worker.channel.tell({"settings": self._settings.model_dump(mode="json"), "addresses": self._addresses})
        self._running.add(worker)
        task = asyncio.get_running_loop().create_task(self._keep(worker, ended), name="worker")
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        return worker

    async def _keep(self, worker: _Worker, ended: asyncio.Event) -> None:
        """See that there is another one when it has ended unasked."""
        await ended.wait()
        with suppress(ProcessLookupError):
            if not self._stopping:
                worker.process.kill()  # it may be stuck: it has closed its end, or it has not begun
        status = await worker.process.wait()
        self._running.discard(worker)
        self._gone.add({**worker.tallies, "in_flight": 0})
        for waiting in worker.gathered.values():
            _finish(waiting)
        if not worker.ready.done() and not self._begun:
            worker.ready.set_exception(ConnectionError("it ended"))
            return
        if not self._stopping:
            _log.error("a worker ended (status %d); another one begins", status)
            await asyncio.sleep(_AGAIN_SECONDS)
        if not self._stopping:
            await self._launch()

    def _told(self, worker: _Worker, document: dict[str, Any]) -> None:
        if "retrievals" in document:
            self._summed([parse_retrievals(item) for item in document["retrievals"]])
        elif "tallies" in document:
            worker.tallies = document["tallies"]
        elif "gathered" in document:
            _finish(worker.gathered.pop(document["gathered"], None))
        elif "ready" in document:
            _finish(worker.ready)

    async def gather(self) -> None:
        """Bring in what they have summed and counted; of one that does not answer, what it told last."""
        number, loop = next(self._numbers), asyncio.get_running_loop()
        asked = [worker for worker in self._running if worker.ready.done()]
        for worker in asked:
            worker.gathered[number] = loop.create_future()
            worker.channel.tell({"gather": number})
        waiting = [worker.gathered[number] for worker in asked]
        if waiting:
            await asyncio.wait(waiting, timeout=_GATHER_SECONDS)
        for worker in asked:
            worker.gathered.pop(number, None)

    def tallies(self) -> Iterator[dict[str, Any]]:
        """What they have counted, those too that are no more."""
        yield self._gone.document()
        for worker in self._running:
            yield worker.tallies

    def stop(self, *, delay: float, seconds: float) -> None:
        """Tell them to end as this process does."""
        self._stopping = True
        for worker in self._running:
            worker.channel.tell({"stop": {"delay": delay, "seconds": seconds}})

    async def hurry_when(self, hurry: asyncio.Event) -> None:
        """Tell them to end at once, when that is set."""
        await hurry.wait()
        for worker in self._running:
            worker.channel.tell({"hurry": True})

    async def ended(self, seconds: float) -> None:
        """Wait until they are, or kill them."""
        self._stopping = True
        if not self._keeping:
            return
        _, late = await asyncio.wait(self._keeping, timeout=seconds + _END_SECONDS)
        for worker in list(self._running):
            with suppress(ProcessLookupError):
                worker.process.kill()
        if late:
            await asyncio.wait(late)


WORKERS: web.AppKey[Workers] = web.AppKey("workers", Workers)


def _finish(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
