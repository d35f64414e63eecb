"""The HTTP server: aiohttp's, under uvloop, with what it must not do turned off."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import closing, nullcontext, suppress
from http import HTTPStatus
from typing import Any, cast

import aiohttp.http_parser
import uvloop
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from aiohttp.web_server import Server

import artifactstore
from artifactstore import logs
from artifactstore.api.channel import Connections
from artifactstore.api.connection import BoundedConnection, BoundedServer
from artifactstore.api.http import complete, create_app
from artifactstore.api.limits import LIMITS, Limits
from artifactstore.api.problems import problem, problem_of_refusal
from artifactstore.api.requests import TALLIES, Observatory
from artifactstore.api.stopping import STOPPING, drained
from artifactstore.api.workers import WORKERS, Workers
from artifactstore.bootstrap import open_local
from artifactstore.domain.errors import ConfigurationError
from artifactstore.generations import Generations
from artifactstore.hashing import active_kernel
from artifactstore.settings import Settings
from artifactstore.store import Store

type _Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_log = logging.getLogger(__name__)

_TOO_MANY_FIELDS = "Too many headers received"  # by aiohttp, which has no class of its own for it
#: How long a server that is broken off waits for its connections to notice, in seconds.
_BREAKING_OFF = 1.0
#: Descriptors: the connection, a file, and the connection again while it is sent; and what the gateway has open itself.
_DESCRIPTORS_PER_CONNECTION = 3
_DESCRIPTORS = 256
#: How many containers are made, net, before the collector looks at the young ones.
_YOUNG_OBJECTS = 20_000


class GatewayRequestHandler(BoundedConnection):
    """aiohttp's connection, whose own refusals (bad framing, oversized headers) are problem documents too."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not become a request, or fell through every handler, and close the connection."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun; a second one must not follow it")
        if status >= 500:
            _log.error("unforeseen error in the protocol", exc_info=exc)
            answer = problem(500, "internal-error", "the gateway failed; its log says why")
        else:
            _log.debug("refused a malformed request: %s", message)
            answer = _refusal(status, exc, self._limits)
        complete(answer)  # no application, so that no signal of its does it
        answer.force_close()
        return answer


def _refusal(status: int, exc: BaseException | None, limits: Limits) -> web.Response:
    if isinstance(exc, BadHttpMessage) and exc.message == _TOO_MANY_FIELDS:
        return _too_large(f"a request has at most {limits.max_fields} header fields")
    if not isinstance(exc, LineTooLong):
        return problem(status, "bad-request", "this is not a well-formed HTTP request")
    # aiohttp tells a long field from a long target by the limit alone; a target's is never the same as a field's
    if exc.args[1] == limits.max_field_bytes:
        return _too_large(f"a header field has at most {limits.max_field_bytes} bytes, its name included")
    detail = f"a target has at most {limits.max_target_bytes} bytes"
    return problem(HTTPStatus.REQUEST_URI_TOO_LONG, "uri-too-long", detail)


def _too_large(detail: str) -> web.Response:
    return problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "header-too-large", detail)


def _in_problems(handler: _Handler) -> _Handler:
    """The application, whose refusals ahead of its middlewares (an expectation nobody knows) are problems too."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as refusal:
            answer = problem_of_refusal(refusal)
            answer.force_close()
            return answer

    return answer


class _GatewayServer(BoundedServer):
    def __call__(self) -> GatewayRequestHandler:
        return GatewayRequestHandler(self, loop=self._loop, **self._kwargs)


class GatewayRunner(web.AppRunner):
    """An AppRunner with the gateway's connection class and its settings."""

    #: What makes the connections.
    connections: type[BoundedServer] = _GatewayServer

    def __init__(self, app: web.Application, *, access_log: bool = False, **settings: Any) -> None:
        super().__init__(
            app,
            auto_decompress=False,  # an object is what its digest is of
            handle_signals=False,
            shutdown_timeout=_BREAKING_OFF,
            max_field_size=app[LIMITS].max_field_bytes,
            max_line_size=app[LIMITS].max_target_bytes,
            max_headers=app[LIMITS].max_fields,
            keepalive_timeout=app[LIMITS].keepalive_timeout,
            access_log=None,  # the observatory writes one
            **settings,
        )
        self._observatory = Observatory(app[TALLIES], access_log=access_log)

    async def stop(self, *, delay: float, seconds: float, hurry: asyncio.Event) -> int:
        """Stop serving, as `api.stopping` says; how many connections had to be broken off. `hurry` cuts it short."""
        self.app[STOPPING].set()
        with suppress(TimeoutError):
            await asyncio.wait_for(hurry.wait(), delay)
        for site in self.sites:
            await site.stop()
        return await self.drain(seconds, hurry)

    async def drain(self, seconds: float, hurry: asyncio.Event) -> int:
        """Close connections as they become idle; how many are left."""
        if not isinstance(self.server, BoundedServer):
            return 0
        return await drained(self.server.open_connections, seconds, hurry)

    async def adopt(self, connection: socket.socket, received: bytes) -> None:
        """Serve a connection that another process has accepted, of which so many bytes were received."""

        def begin() -> BoundedConnection:
            protocol = cast(BoundedServer, self.server)()
            protocol.received = received
            return protocol

        try:
            await asyncio.get_running_loop().connect_accepted_socket(begin, connection)
        except OSError as error:  # the client has left
            _log.debug("a connection ended on its way: %s", error)
            connection.close()

    async def _make_server(self) -> Server:
        server = await super()._make_server()
        return self.connections(
            _in_problems(server.request_handler),
            request_factory=server.request_factory,
            loop=server._loop,
            limits=self.app[LIMITS],
            observatory=self._observatory,
            **server._kwargs,
        )


def adopting(runner: GatewayRunner) -> Connections:
    """What lets a runner serve connections that others give away."""
    tasks: set[asyncio.Task[None]] = set()

    def adopt(connection: socket.socket, received: bytes) -> None:
        task = asyncio.get_running_loop().create_task(runner.adopt(connection, received))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    return adopt


def workers_of(settings: Settings, generations: Generations, runner: GatewayRunner, store: Store) -> Workers:
    """The processes that answer downloads beside this one, which go on here with what is not theirs to answer."""
    recorder = store.recorder
    number = settings.workers - 1
    workers = Workers(number, settings, generations, adopt=adopting(runner), summed=recorder.add)
    recorder.gathering = workers.gather
    return workers


def check_parser() -> None:
    """ConfigurationError unless aiohttp's C parser is in use: its Python one is slower and differs in what it takes."""
    if aiohttp.http_parser.HttpRequestParser is aiohttp.http_parser.HttpRequestParserPy:
        raise ConfigurationError("aiohttp runs without its C parser; reinstall it, and unset AIOHTTP_NO_EXTENSIONS")


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; what is under way then gets a grace period, which a second one ends.

    Raises what opening the root raises.
    """
    settings.refuse_exposure()
    check_parser()
    if settings.workers > 1 and not sys.platform.startswith("linux"):
        raise ConfigurationError("ARTIFACTSTORE_WORKERS above 1 needs Linux")
    logs.configure(settings.log_level, settings.log_format)
    allow_descriptors(settings.max_connections)
    collect_less()
    uvloop.run(_serve(settings))


def collect_less() -> None:
    """Look for cyclic garbage less often: requests leave hardly any, and what was imported is none."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


def allow_descriptors(connections: int) -> None:
    """Raise the process's limit to what so many connections need, as far as it may."""
    wanted = _DESCRIPTORS_PER_CONNECTION * connections + _DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed < wanted:
        _log.warning("%d connections can need %d descriptors; the limit is %d", connections, wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


async def _serve(settings: Settings) -> None:
    stop, hurry = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, lambda: (hurry if stop.is_set() else stop).set())
    with closing(Generations.create()) if settings.workers > 1 else nullcontext() as generations:
        await _serve_root(settings, generations, stop, hurry)


async def _serve_root(
    settings: Settings, generations: Generations | None, stop: asyncio.Event, hurry: asyncio.Event
) -> None:
    async with open_local(settings, generations=generations) as store:
        if settings.require_tokens and not await store.any_token_in_force():
            raise ConfigurationError(
                f"{settings.root} has no token in force, and this gateway asks for one: make one with "
                "artifactstore token create NAME --scope admin --namespace '*', or say --insecure to serve without"
            )
        app = create_app(store, limits=Limits.of(settings), require_tokens=settings.require_tokens)
        runner = GatewayRunner(app, access_log=settings.access_log)
        workers = None if generations is None else workers_of(settings, generations, runner, store)
        if workers is not None:
            app[WORKERS] = workers
        await runner.setup()
        try:
            await _listen(runner, settings)
            if workers is not None:
                await workers.start(runner.addresses)
            _log.info(
                "artifact-store %s (kernel %s) serves %s on %s",
                artifactstore.__version__,
                active_kernel(),
                settings.root,
                ", ".join(_url(*address[:2]) for address in runner.addresses),
            )
            await stop.wait()
            _log.info("stopping")
            left = await _stop(runner, workers, settings, hurry)
            if left:
                _log.warning("%d connections are broken off", left)
        finally:
            if workers is not None:
                await workers.ended(0.0)
            await runner.cleanup()


async def _stop(runner: GatewayRunner, workers: Workers | None, settings: Settings, hurry: asyncio.Event) -> int:
    """Stop serving; how many connections had to be broken off. What workers still give away is answered, too."""
    delay, seconds = settings.stop_delay, settings.stop_timeout
    if workers is None:
        return await runner.stop(delay=delay, seconds=seconds, hurry=hurry)
    deadline = asyncio.get_running_loop().time() + delay + seconds
    workers.stop(delay=delay, seconds=seconds)
    hurrying = asyncio.create_task(workers.hurry_when(hurry))
    try:
        await runner.stop(delay=delay, seconds=seconds, hurry=hurry)
        await workers.ended(max(0.0, deadline - asyncio.get_running_loop().time()))
    finally:
        hurrying.cancel()
    left = max(0.0, deadline - asyncio.get_running_loop().time())
    return await runner.drain(left, hurry)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def _see_that_it_is_free(host: str, port: int) -> None:
    """OSError if somebody listens there: where a port is shared, two gateways would share it without a word."""
    alone = await asyncio.get_running_loop().create_server(asyncio.Protocol, host, port, start_serving=False)
    alone.close()
    await alone.wait_closed()


async def _listen(runner: web.AppRunner, settings: Settings) -> None:
    try:
        if settings.workers > 1:
            await _see_that_it_is_free(settings.host, settings.port)
        await web.TCPSite(runner, settings.host, settings.port, reuse_port=settings.workers > 1).start()
    except (OSError, UnicodeError) as error:  # a host that no name server could be asked for is a UnicodeError
        if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
            reason = os.strerror(error.errno).lower()  # the loop's own text names the address once more
        else:  # of a name that leads nowhere
            reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"cannot listen on {settings.host}:{settings.port}: {reason}") from error
