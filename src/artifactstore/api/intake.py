"""The body of an upload received straight into the buffers it is digested in and written from.

Theory of operation. aiohttp's way costs a body three copies: from the loop's buffer, from the parser's, and into the
block. For a body of known length none of that is needed: once its head is parsed, what the parser still holds is taken
out of it, and this becomes the connection's protocol until the last byte has come. The parser does not know how far the
body is then, so the connection ends after the answer. A body that is given up half way is left to the parser again,
which reads and drops for a while, so that the answer reaches a client that is still sending. (ADR-0018)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from artifactstore.api.limits import Pace
from artifactstore.domain.errors import IncompleteBodyError

#: Bodies shorter than this, in bytes, go through the parser: a connection is worth more than their copies.
LEAST_BYTES = 2**20


class BodyIntake(asyncio.BufferedProtocol):
    """One request's body; `dataplane.spi.Inflow`. `ask` is awaited before the first byte is waited for."""

    def __init__(self, request: web.Request, size_bytes: int, pace: Pace, ask: Callable[[], Awaitable[None]]) -> None:
        self._request = request
        self._content = request.content
        self._handler: RequestHandler = request.protocol
        self._transport: asyncio.Transport | None = None  # while this is its protocol
        self._size_bytes = self._left = size_bytes
        self._pace = pace
        self._ask: Callable[[], Awaitable[None]] | None = ask
        self._held = memoryview(b"")  # what the parser has given up
        self._room = memoryview(b"")  # what is to be filled
        self._filled: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._since = 0.0  # when a byte came, or was first waited for
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.Future[None] | None = None

    @property
    def size_bytes(self) -> int:
        """The announced length."""
        return self._size_bytes

    async def fill(self, room: memoryview) -> None:
        """Receive the next bytes; see the port.

        IncompleteBodyError: the client left, or the framing broke, before the end. 408: it came too slowly.
        """
        ask, self._ask = self._ask, None
        if ask is not None:
            await ask()
        while room:
            if not self._held:
                self._held = memoryview(self._parsed())
            if not self._held:
                break
            count = min(len(room), len(self._held))
            room[:count] = self._held[:count]
            room, self._held = room[count:], self._held[count:]
            self._left -= count
        if room:
            await self._receive(room)

    def _parsed(self) -> bytes:
        """What the parser has of the body. b"" says that it keeps nothing back: reading to the end lets it go on."""
        if self._transport is not None:
            return b""
        try:
            return self._content.read_nowait()
        except (RequestPayloadError, HttpProcessingError, ConnectionError) as error:
            raise incomplete() from error

    async def _receive(self, room: memoryview) -> None:
        transport = self._transport or self._take_over()
        if self._error is not None:
            raise self._error
        self._room, self._filled = room, self._loop.create_future()
        self._since = self._loop.time()
        transport.resume_reading()
        try:
            await self._filled
        finally:
            self._room, self._filled = memoryview(b""), None
        if not self._left:
            self._end()

    # --- the connection ---------------------------------------------------------------------------------------------

    def _take_over(self) -> asyncio.Transport:
        transport = self._request.transport
        if transport is None:
            raise incomplete()
        transport.pause_reading()
        transport.set_protocol(self)
        self._transport = transport
        self._handler.keep_alive(False)
        self._timer = self._loop.call_later(self._pace.left, self._look)
        self._watch = asyncio.ensure_future(self._content.wait_eof())  # how aiohttp tells that the server stops
        self._watch.add_done_callback(self._broken_off)
        return transport

    def hand_back(self) -> None:
        """Leave the connection to aiohttp, if that is not done yet: whoever has made this calls it in the end."""
        transport, self._transport = self._transport, None
        if transport is not None:
            if self._timer is not None:
                self._timer.cancel()
            if self._watch is not None:
                self._watch.cancel()
            transport.set_protocol(self._handler)
            transport.resume_reading()

    def _end(self) -> None:
        """The last byte has come. What may follow it is not read."""
        self._handler.close()
        self.hand_back()
        self._content.feed_eof()

    def _look(self) -> None:
        """Break off when bytes have come too slowly for too long, and look again when that could be so."""
        now = self._loop.time()
        if self._filled is not None and now >= self._since + self._pace.left:
            self._fail(web.HTTPRequestTimeout())
            return
        begin = now if self._filled is None else self._since
        self._timer = self._loop.call_at(begin + self._pace.left, self._look)

    def _broken_off(self, watch: asyncio.Future[None]) -> None:
        if not watch.cancelled() and watch.exception() is not None:
            self._fail(watch.exception())

    def _fail(self, error: BaseException | None) -> None:
        self._error = self._error or error
        if self._filled is not None and not self._filled.done() and self._error is not None:
            self._filled.set_exception(self._error)

    # --- the protocol -----------------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        """What is still to be filled; it is read only while there is some."""
        return self._room

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes have come."""
        now = self._loop.time()
        self._pace.spend(now - self._since, nbytes)
        self._since = now
        self._content.total_bytes += nbytes  # what is counted of every body
        self._left -= nbytes
        self._room = self._room[nbytes:]
        if not self._room:
            if self._transport is not None:
                self._transport.pause_reading()
            if self._filled is not None and not self._filled.done():
                self._filled.set_result(None)

    def eof_received(self) -> None:
        """The client has ended its side before the end of the body."""
        self._fail(incomplete())

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is no more."""
        self._fail(incomplete())
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()
        self._handler.connection_lost(exc)

    def pause_writing(self) -> None:
        """The answer waits."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """The answer goes on."""
        self._handler.resume_writing()


def incomplete() -> IncompleteBodyError:
    """What a body is that ended too early, however it was received."""
    return IncompleteBodyError("the body ended before its announced end; nothing was stored")
