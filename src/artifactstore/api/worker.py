"""A worker: a process that shares the gateway's port and answers downloads; everything else it hands to the writer.

Theory of operation. The gateway's own process owns the root and its log; a worker opens both only for reading. Of what
comes over its connections it answers a request that has come alone and whole, is a GET or HEAD of content, and has no
body. Any other, and one that it cannot answer as it should be answered (an object that is not there or not sound, a
token that is not in force), is given to the writer: the connection itself, with the bytes that were received of it. The
writer goes on as if it had accepted the connection, so that there is one place where anything is decided, and only
there. What a worker keeps in memory is as fresh as the writer's (`generations`); its downloads are summed here and
recorded there. When the writer is gone, so is the worker. (ADR-0043)
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import uvloop
from aiohttp import web

from artifactstore import logs
from artifactstore.api import artifacts, files, objects
from artifactstore.api.channel import Channel, first
from artifactstore.api.connection import BoundedServer, reset
from artifactstore.api.http import create_app
from artifactstore.api.limits import Limits
from artifactstore.api.requests import TALLIES
from artifactstore.api.server import GatewayRequestHandler, GatewayRunner, allow_descriptors, collect_less
from artifactstore.audit.retrievals import RetrievalRecorder
from artifactstore.bootstrap import open_follower
from artifactstore.domain.artifact import Retrievals
from artifactstore.domain.documents import retrievals_document
from artifactstore.domain.errors import ArtifactStoreError
from artifactstore.generations import Generations
from artifactstore.settings import Settings

_log = logging.getLogger(__name__)

#: The head of a request that a worker may answer: it asks for content.
_DOWNLOAD = re.compile(rb"(?:GET|HEAD) /v1/(?:objects/[^/ ]+|files/[^ ]+|artifacts/[^/ ]+/content) HTTP/1\.1\r\n")
#: Fields that say that there is more to a request than its head, or that it is to become something else.
_MORE = re.compile(rb"\r\n(?:content-length|transfer-encoding|expect|upgrade)[ \t]*:", re.IGNORECASE)
_DOWNLOADS = frozenset({objects.get, files.get, artifacts.content})
_HEAD_ENDS = b"\r\n\r\n"
#: What a client may send before its last answer is done, in bytes; then it is not read for a while.
_HELD_BYTES = 64 * 1024
#: Between two looks whether the client has taken its last answer, at first and later, in seconds.
_LOOK_SECONDS, _LOOK_SECONDS_AT_MOST = 0.005, 0.2
#: How long downloads are summed before the writer is told, in seconds.
_SUMS_SECONDS = 1.0
_PR_SET_PDEATHSIG = 1  # prctl(2)


def is_download(received: bytes) -> bool:
    """Whether these bytes are one whole request for content, and nothing else."""
    return (
        received.endswith(_HEAD_ENDS)
        and received.find(_HEAD_ENDS) == len(received) - len(_HEAD_ENDS)
        and _DOWNLOAD.match(received) is not None
        and _MORE.search(received) is None
    )


class WorkerConnection(GatewayRequestHandler):
    """A connection that is the worker's as long as it asks for content, one request at a time."""

    def __init__(self, manager: WorkerServer, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._worker = manager
        self._asked = b""  # the request that is answered
        self._held = b""  # what came meanwhile
        self._ended = False  # the client sends no more
        self._given: asyncio.Future[None] | None = None  # done when the request at hand is given away, or cannot be

    def data_received(self, data: bytes) -> None:
        """Answer it or hand it over; what comes during an answer waits for its end."""
        if self.given_away or self._close or self._force_close:
            return
        if self._held or self._request_in_progress or self._messages:
            self._held += data
            if len(self._held) > _HELD_BYTES and self.transport is not None:
                self.transport.pause_reading()
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        if self._ended or not is_download(data):
            self._held = data
            self._give_when_idle()
            return
        self._asked, known = data, self._request_count
        super().data_received(data)
        if self._request_count == known or self._body is not None or self._upgraded:
            self.close()  # the parser sees more in it than was taken for whole

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's says None, asyncio's protocol bool
        """The client sends no more. What it has asked meanwhile is the writer's, who finds that end, too."""
        if self._held:
            self._ended = True
            return True
        return super().eof_received()

    @property
    def awaits_request(self) -> bool:
        """Whether nothing is under way."""
        return super().awaits_request and not self._held

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        answered, broken = await super()._handle_request(request, start_time, request_handler)
        if self._held and not broken and answered.keep_alive and not self._close:
            self._loop.call_soon(self._go_on)
        return answered, broken

    def _go_on(self) -> None:
        """With what came during the last answer."""
        if self.transport is not None and not self.given_away and not (self._close or self._force_close):
            self.transport.resume_reading()
            data, self._held = self._held, b""
            self._take(data)

    async def hand_over(self) -> None:
        """Give away the request that is being answered, of whose answer nothing is sent."""
        self._held = self._asked + self._held
        given = self._given = self._loop.create_future()
        self._give_when_idle()
        await given

    def _give_when_idle(self) -> None:
        """As soon as the client has taken its last answer, which is in this process; it has so long for that."""
        self._look_at_answer(self._loop.time() + self._limits.send_timeout, _LOOK_SECONDS)

    def _look_at_answer(self, deadline: float, pause: float) -> None:
        transport = self.transport
        if transport is not None and not self.given_away:
            if not transport.get_write_buffer_size():
                self._give(self._held)
            elif self._loop.time() < deadline:
                transport.pause_reading()
                self._loop.call_later(pause, self._look_at_answer, deadline, min(2 * pause, _LOOK_SECONDS_AT_MOST))
                return
            else:
                reset(transport)
        if self._given is not None and not self._given.done():
            self._given.set_result(None)

    def _give(self, received: bytes) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        transport.pause_reading()
        try:
            connection = os.dup(transport.get_extra_info("socket").fileno())
        except OSError as error:
            _log.error("a connection is given up: %s", error)
            transport.abort()
            return
        self.given_away = True
        self._worker.give(connection, received)
        transport.abort()  # closes this process's descriptor: the connection lives on in the other's


class WorkerServer(BoundedServer):
    """The connections of a worker."""

    #: Sends a connection's descriptor to the writer.
    give: Callable[[int, bytes], None]

    def __call__(self) -> WorkerConnection:
        """A new connection."""
        return WorkerConnection(self, loop=self._loop, **self._kwargs)


class _WorkerRunner(GatewayRunner):
    connections = WorkerServer


@web.middleware
async def hand_over_failures(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Let the writer find out for itself, and answer, what does not succeed here, and what is no download after all."""
    if request.match_info.handler in _DOWNLOADS:  # as nearly always: a path with dots may lead elsewhere
        try:
            return await handler(request)
        except (ArtifactStoreError, web.HTTPException):
            if request.writer.output_size > 0:
                raise
    await cast(WorkerConnection, request.protocol).hand_over()
    return web.Response()  # which goes nowhere


class _Forwarded:
    """`audit.retrievals.RetrievalLog`: the writer's, at the other end of the channel."""

    def __init__(self) -> None:
        self.channel: Channel | None = None

    async def record_retrievals(self, entries: list[Retrievals], *, actor: str) -> None:
        """Send them; by whom they are recorded is the writer's to say."""
        del actor
        if self.channel is not None:
            self.channel.tell({"retrievals": [retrievals_document(item) for item in entries]})


class Work:
    """What the writer asks of a worker."""

    def __init__(
        self, runner: GatewayRunner, retrievals: RetrievalRecorder, end: socket.socket, lost: Callable[[], None]
    ) -> None:
        self.runner = runner
        self.hurry = asyncio.Event()
        self.stop: asyncio.Future[dict[str, float]] = asyncio.get_running_loop().create_future()
        self.channel = Channel(end, documents=self._told, connections=_unwanted, lost=lost)
        self._retrievals = retrievals
        self._tasks: set[asyncio.Task[None]] = set()

    def _told(self, document: dict[str, Any]) -> None:
        """Do it."""
        if "gather" in document:
            task = asyncio.get_running_loop().create_task(self._gather(document["gather"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif "stop" in document and not self.stop.done():
            self.stop.set_result(document["stop"])
        elif "hurry" in document:
            self.hurry.set()

    async def _gather(self, number: int) -> None:
        await self._retrievals.flush()
        self._report()
        self.channel.tell({"gathered": number})

    def _report(self) -> None:
        self.channel.tell({"tallies": self.runner.app[TALLIES].document()})

    async def end(self) -> None:
        """Tell what was summed and counted since it was last told, and give up the channel."""
        await self._retrievals.close()
        self._report()
        self.channel.finish()


@asynccontextmanager
async def working(
    settings: Settings, generations: Generations, end: socket.socket, lost: Callable[[], None]
) -> AsyncIterator[Work]:
    """A worker at this `end` of the channel, which listens nowhere yet; `lost` is called when the writer is gone."""
    forwarded = _Forwarded()
    retrievals = RetrievalRecorder(forwarded, min(_SUMS_SECONDS, settings.retrieval_interval))
    async with open_follower(settings, generations, retrievals) as store:
        app = create_app(
            store, limits=Limits.of(settings), require_tokens=settings.require_tokens, within=(hand_over_failures,)
        )
        runner = _WorkerRunner(app, access_log=settings.access_log)
        await runner.setup()
        work = Work(runner, retrievals, end, lost)
        forwarded.channel = work.channel
        cast(WorkerServer, runner.server).give = work.channel.give
        try:
            yield work
        finally:
            await runner.cleanup()
            await work.end()


async def _work(
    settings: Settings, addresses: Sequence[tuple[str, int]], generations: Generations, end: socket.socket
) -> None:
    async with working(settings, generations, end, _end) as work:
        for host, port in addresses:
            await web.TCPSite(work.runner, host, port, reuse_port=True).start()
        work.channel.tell({"ready": os.getpid()})
        stop = await work.stop
        left = await work.runner.stop(delay=stop["delay"], seconds=stop["seconds"], hurry=work.hurry)
        if left:
            _log.warning("%d connections are broken off", left)


def _unwanted(connection: socket.socket, _received: bytes) -> None:
    connection.close()  # nobody gives a worker any


def _end() -> None:
    """The writer is gone, and with it whoever says what is true: answer nothing more."""
    os._exit(1)


def main() -> None:
    """Run as a process of its own: `argv` are the descriptors of the channel and of the generations, and the writer."""
    for number in (signal.SIGINT, signal.SIGTERM):  # they are for the writer, which tells
        signal.signal(number, signal.SIG_IGN)
    channel, shared, writer = map(int, sys.argv[1:])
    # also a worker that is stopped, or stuck
    bound = ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0
    if not bound or os.getppid() != writer:
        sys.exit("the gateway that began this worker is gone")
    end = socket.socket(fileno=channel)
    begin = first(end)
    settings = Settings(**begin["settings"])
    logs.configure(settings.log_level, settings.log_format)
    allow_descriptors(settings.max_connections)
    collect_less()
    generations = Generations(shared, writable=False)
    addresses = [(host, port) for host, port in begin["addresses"]]
    uvloop.run(_work(settings, addresses, generations, end))


if __name__ == "__main__":
    main()
