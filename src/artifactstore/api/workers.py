"""The gateway's workers, seen from the process that writes: started, kept, stopped; what they give and count."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Protocol

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
#: Questions that one worker is asked at once; it is stuck then.
_GATHERING_AT_MOST = 64
#: Between the end of a worker that was not told to end and the beginning of another.
_AGAIN_SECONDS = 1.0


type Summed = Callable[[list[Retrievals]], None]


class Link:
    """What one worker tells and is told, over the writer's `end` of the channel."""

    def __init__(self, end: socket.socket, *, adopt: Connections, summed: Summed) -> None:
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = asyncio.Event()
        self.tallies: dict[str, Any] = {}  # as it last told
        self._summed = summed
        self._gathered: dict[int, asyncio.Future[None]] = {}
        self._numbers = count()
        self._channel = Channel(end, documents=self._told, connections=adopt, lost=self._end)

    def tell(self, document: dict[str, Any]) -> None:
        """Tell the worker. Neither waits nor fails."""
        self._channel.tell(document)

    async def gather(self) -> None:
        """Let it tell what it has summed and counted; whoever asks waits for a moment and no longer."""
        if not self.ready.done() or self.lost.is_set() or len(self._gathered) >= _GATHERING_AT_MOST:
            return
        number = next(self._numbers)
        self._gathered[number] = told = asyncio.get_running_loop().create_future()
        self.tell({"gather": number})
        await asyncio.wait((told,), timeout=_GATHER_SECONDS)
        self._gathered.pop(number, None)

    def _told(self, document: dict[str, Any]) -> None:
        if "retrievals" in document:
            self._summed([parse_retrievals(item) for item in document["retrievals"]])
        elif "tallies" in document:
            self.tallies = document["tallies"]
        elif "gathered" in document:
            _finish(self._gathered.get(document["gathered"]))
        elif "ready" in document:
            _finish(self.ready)

    def _end(self) -> None:
        self.lost.set()
        for told in self._gathered.values():
            _finish(told)


class Workers:
    """So many processes beside this one. `adopt` takes what they give, `summed` the downloads they have summed."""

    def __init__(
        self,
        number: int,
        settings: Settings,
        generations: Generations,
        *,
        adopt: Connections,
        summed: Summed,
    ) -> None:
        self._number = number
        self._settings = settings
        self._generations = generations
        self._adopt = adopt
        self._summed = summed
        self._addresses: Sequence[tuple[Any, ...]] = ()
        self._running: dict[Link, Process] = {}
        self._keeping: set[asyncio.Task[None]] = set()
        self._gone = RequestTallies()  # of those that are no more
        self._begun = self._stopping = False

    async def start(self, addresses: Sequence[tuple[Any, ...]]) -> None:
        """Let them listen where this process listens. ConfigurationError: one does not begin."""
        self._addresses = addresses
        begun = [await self._launch() for _ in range(self._number)]
        try:
            async with asyncio.timeout(_BEGIN_SECONDS):
                await asyncio.gather(*(link.ready for link in begun))
        except (TimeoutError, ConnectionError):
            raise ConfigurationError("a worker did not begin; its own line says why") from None
        self._begun = True

    async def _launch(self) -> Link:
        ours, theirs = pair()
        with theirs:
            descriptors = (theirs.fileno(), self._generations.fileno())
            try:
                process = await create_subprocess_exec(
                    *(sys.executable, "-m", "artifactstore.api.worker", *map(str, (*descriptors, os.getpid()))),
                    pass_fds=descriptors,
                    stdin=DEVNULL,
                    start_new_session=True,  # signals of a terminal are the gateway's
                )
            except OSError:
                ours.close()
                raise
        if self._stopping:
            _kill(process)
        link = Link(ours, adopt=self._adopt, summed=self._summed)
        link.tell(
            {
                "settings": self._settings.model_dump(mode="json"),
                "addresses": [address[:2] for address in self._addresses],
            }
        )
        self._running[link] = process
        asyncio.get_running_loop().call_later(_BEGIN_SECONDS, _kill_unless_ready, link, process)
        task = asyncio.get_running_loop().create_task(self._keep(link, process), name="worker")
        self._keeping.add(task)
        task.add_done_callback(self._keeping.discard)
        return link

    async def _keep(self, link: Link, process: Process) -> None:
        """See that there is another one when it has ended unasked."""
        await link.lost.wait()
        if not self._stopping:
            _kill(process)  # it has given up the channel and may be stuck
        status = await process.wait()
        del self._running[link]
        self._gone.add({**link.tallies, "in_flight": 0})
        if not link.ready.done() and not self._begun:
            link.ready.set_exception(ConnectionError("it ended"))
            return
        if not self._stopping:
            _log.error("a worker ended (status %d); another one begins", status)
        begun = False
        while not begun and not self._stopping:
            await asyncio.sleep(_AGAIN_SECONDS)
            begun = await self._begin_another()

    async def _begin_another(self) -> bool:
        try:
            await self._launch()
        except OSError as error:
            _log.error("another worker cannot begin yet: %s", error)
            return False
        return True

    async def gather(self) -> None:
        """Bring in what they have summed and counted; of one that does not answer, what it told last."""
        await asyncio.gather(*(link.gather() for link in self._running))

    def tallies(self) -> Iterator[dict[str, Any]]:
        """What they have counted, those too that are no more."""
        yield self._gone.document()
        for link in self._running:
            yield link.tallies

    def stop(self, *, delay: float, seconds: float) -> None:
        """Tell them to end as this process does."""
        self._stopping = True
        for link in self._running:
            link.tell({"stop": {"delay": delay, "seconds": seconds}})

    async def hurry_when(self, hurry: asyncio.Event) -> None:
        """Tell them to end at once, when that is set."""
        await hurry.wait()
        for link in self._running:
            link.tell({"hurry": True})

    async def ended(self, seconds: float) -> None:
        """Wait until they are, or kill them."""
        told, self._stopping = self._stopping, True
        if self._keeping and told:
            await asyncio.wait(self._keeping, timeout=seconds + _END_SECONDS)
        while self._keeping:
            for process in self._running.values():
                _kill(process)
            await asyncio.wait(self._keeping, timeout=1.0)


class Counting(Protocol):
    """What counts requests in other processes."""

    async def gather(self) -> None:
        """Bring in what was counted."""
        ...

    def tallies(self) -> Iterable[dict[str, Any]]:
        """All that was, as `RequestTallies.add` takes it."""
        ...


WORKERS: web.AppKey[Counting] = web.AppKey("workers", Counting)


def _kill_unless_ready(link: Link, process: Process) -> None:
    if not link.ready.done():
        _kill(process)


def _kill(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.kill()


def _finish(waiting: asyncio.Future[None] | None) -> None:
    if waiting is not None and not waiting.done():
        waiting.set_result(None)
