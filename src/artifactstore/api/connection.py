"""The connection beneath the gateway's: deadlines, limits, half-closed clients; and each request observed.

aiohttp's connection has one timer, for connections that wait for a request. The head's deadline is set on that; what
aiohttp does not have is here. So is what keeps requests apart where its parser does not (ADR-0031): after a body with
trailers, after a request to change the protocol, and after bytes that are none, nothing that follows is served. Its
private names are used where it offers no other: tests/http/test_limits.py, test_requests.py and test_hostile.py fail
when they change their meaning.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from aiohttp import StreamReader, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from aiohttp.web_server import Server

from artifactstore.api.limits import Framing, FramingTooLargeError, Limits, crowded, head_too_large
from artifactstore.api.requests import Observatory

_HEAD_ENDS = b"\r\n\r\n"
#: How a chunked body ends that has no trailers, and no other: a trailer's line has a colon.
_CHUNKS_END = b"\r\n0\r\n\r\n"
#: What the kernel keeps of an answer that the client has no room for, in bytes: so much of every one, and more of those
#: that come while little is lent, out of one sum for all. With its own limit, 4 MiB of each, a thousand clients that do
#: not read have all the memory that TCP has.
_UNSENT_BYTES = 2**16
_UNSENT_LENT_BYTES, _UNSENT_LENT_PARTS = 2**27, 32


class BoundedConnection(RequestHandler):
    """aiohttp's connection, held to the gateway's limits."""

    def __init__(self, manager: BoundedServer, **settings: Any) -> None:
        super().__init__(manager, **settings)
        self._server = manager
        self._limits = manager.limits
        self._observatory = manager.observatory
        self._head_has_begun = False
        self._head_bytes = 0  # since the last request, or the last of its body
        self._body: StreamReader | None = None  # of the last request, while it is not whole
        self._chunks_end: bytes | None = None  # the last bytes received, while that body is chunked
        self._framing: Framing | None = None  # of that body
        self._answered: StreamReader | None = None  # the body of the last request that was answered
        self._left_over: asyncio.Future[None] | None = None  # done when nobody sends what is dropped
        self._half_closed = False
        self._sending: asyncio.TimerHandle | None = None  # looks whether the client takes what is sent
        self._unsent = 0  # at the last look
        self._flowed = False  # since the last look
        self._lent = 0  # bytes that the kernel may keep for it beyond everybody's
        self.received = b""  # before it came to this process
        self.given_away = False  # to another process, which answers the request at hand

    # --- a connection begins ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it, if it is not one too many; its first head has a deadline."""
        if self._server.is_full:
            stream = cast(asyncio.Transport, transport)
            self._manager = None  # it is never announced to the server, which counts those it has
            self._force_close = True
            stream.write(self._server.crowded)
            stream.close()
            return
        super().connection_made(transport)
        self._await_request(self._limits.head_timeout)
        if (connected := transport.get_extra_info("socket")) is not None:
            self._lent = self._server.lend()
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, _UNSENT_BYTES + self._lent)
        if self.received:
            received, self.received = self.received, b""
            self.data_received(received)
            self._loop.call_soon(self._pause_again)

    def _pause_again(self) -> None:
        """The loop begins to read after `connection_made`, whatever was asked for meanwhile."""
        if self._buffer_paused or self._reading_paused:
            self._pause_transport_reading()

    def _await_request(self, seconds: float) -> None:
        """Close the connection unless a whole head comes within this time."""
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
        self._next_keepalive_close_time = self._loop.time() + seconds
        self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    def data_received(self, data: bytes) -> None:
        """Parse; a head that begins after another request has a deadline of its own."""
        known = self._request_count
        super().data_received(data)
        if self._request_count != known or self._body is not None:
            self._follow_bodies(data, self._request_count - known)
        else:
            self._head_bytes += len(data)
            if self._head_bytes > self._limits.max_head_bytes:
                self._refuse_head()
                return
        waiter = self._waiter
        if waiter is None or waiter.done():
            self._head_has_begun = False
        elif data and not self._head_has_begun:
            self._head_has_begun = True
            if self._request_count:
                self._await_request(self._limits.head_timeout)

    def _follow_bodies(self, data: bytes, count: int) -> None:
        """Requests have come, or more of the last one's body: see that what follows is theirs alone.

        aiohttp's parser adds the last trailer of a body to the next request's fields, and after a request to change the
        protocol drops what came with it; neither shows in what it gives. So the connection ends after such a request,
        unless its end is that of what was received, and is one without a trailer.
        """
        self._head_bytes = 0
        if self._framing is not None:
            self._framing.add(len(data))
        ending = (self._chunks_end or b"") + data
        if self._body is not None and self._body.is_eof():
            if self._chunks_end is not None and (count or self._buffer_paused or not ending.endswith(_CHUNKS_END)):
                self.close()
            self._body = self._chunks_end = self._framing = None
        for place in range(-count, 0):
            message, body = self._messages[place]
            if not isinstance(message, RawRequestMessage):
                self._give_up_body(RequestPayloadError("the framing is broken"))
                return
            self._body, self._chunks_end, self._framing = None if body.is_eof() else body, None, None
            last = place == -1 and not self._buffer_paused
            if self._body is not None:
                if message.chunked:
                    self._chunks_end, self._framing = b"", Framing(self._limits, self._body.total_bytes)
            elif message.chunked and not (last and data.endswith(_CHUNKS_END)):
                self.close()
            if message.upgrade and not (last and data.find(_HEAD_ENDS) == len(data) - len(_HEAD_ENDS)):
                self.close()
        if self._chunks_end is not None:
            self._chunks_end = ending[-len(_CHUNKS_END) :]
        self._look_at_framing()

    def _look_at_framing(self) -> None:
        if self._body is None or self._framing is None or self._reading_paused:  # then some of it is not parsed yet
            return
        if self._framing.is_too_large(self._body.total_bytes):
            self._give_up_body(FramingTooLargeError())

    def _give_up_body(self, error: Exception) -> None:
        """A body that is not whole never will be, and is not to be waited for. Nothing more is parsed."""
        body, self._body, self._chunks_end, self._framing = self._body, None, None, None
        if body is None or body.exception() is not None:
            return
        if body is self._answered:
            body.feed_eof()  # it was read to be dropped
        else:
            body.set_exception(error)
            self._loop.call_soon(body.set_exception, error)  # a reader whom the end of a chunk woke waits unseeing
            if isinstance(error, FramingTooLargeError):  # its client is likely to go on sending
                self._left_over = self._loop.create_future()
        self.close()

    async def _drop_what_is_left(self) -> None:
        """Read and drop for a while, so that the answer reaches a client that is still sending."""
        if self._left_over is None or self._half_closed or self.transport is None:
            return
        self._resume_transport_reading()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._lingering_time):
                await self._left_over

    def _refuse_head(self) -> None:
        if self.transport is not None and not (self._close or self._force_close):
            if self._waiter is not None:  # else the answer to another request is on its way
                self.transport.write(self._server.head_too_large)
            self.force_close()

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Go on where it was paused. aiohttp asks for it after each read of a body, and parses nothing at all then."""
        if self._reading_paused or self._buffer_paused:
            super().resume_reading(resume_parser)

    @property
    def awaits_request(self) -> bool:
        """Whether nothing is under way: no request, and no part of one."""
        waiter = self._waiter
        return waiter is not None and not waiter.done() and not self._messages and not self._head_has_begun

    # --- requests ---------------------------------------------------------------------------------------------------

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        exchange = self._observatory.begin(request)
        response: web.StreamResponse | None = None
        try:
            answered, broken = await super()._handle_request(request, start_time, request_handler)
            response = None if broken else answered
        finally:
            if self.given_away:
                self._observatory.give_away()
            else:
                self._observatory.end(exchange, request, response)
            self._answered = request.content
            if self._half_closed:
                self._end_half_closed(request)
            elif request.content.exception() is not None and not request.content.is_eof():
                request.content.feed_eof()  # it is told; aiohttp would read on, and log the error as one of ours
        await self._drop_what_is_left()
        return answered, broken

    # --- a connection ends ------------------------------------------------------------------------------------------

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's says None, asyncio's protocol bool
        """The client sends no more. What it has asked for is answered; a body that is not whole never will be."""
        if not (self._request_in_progress or self._messages):
            return False
        self._half_closed = True
        if self._messages:
            last = self._messages[-1][1]
        elif self._current_request is not None:
            last = self._current_request.content
        else:
            return True  # the answer is on its way
        if not last.is_eof():
            last.set_exception(ConnectionResetError("the client sends no more"))
        return True

    def _end_half_closed(self, request: web.BaseRequest) -> None:
        if not request.content.is_eof():
            request.content.feed_eof()  # or aiohttp would wait for the rest of the body
        if not self._messages:
            self._close = True

    async def start(self) -> None:
        """Serve requests until the connection is to be closed."""
        await super().start()
        self._watch_sending(self.transport)

    def force_close(self) -> None:
        """Close it; what is written already still goes out, as long as the client takes it."""
        transport = self.transport
        super().force_close()
        self._watch_sending(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It is gone."""
        self._server.take_back(self._lent)
        self._lent = 0
        super().connection_lost(exc)
        if self._left_over is not None and not self._left_over.done():
            self._left_over.set_result(None)
        if self._sending is not None:
            self._sending.cancel()

    # --- a client that does not read --------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """More is written than the client has taken: from here on it has to take some now and then."""
        super().pause_writing()
        self._watch_sending(self.transport)

    def resume_writing(self) -> None:
        """The client has taken it."""
        self._flowed = True
        super().resume_writing()

    def _watch_sending(self, transport: asyncio.Transport | None) -> None:
        if transport is None or self._sending is not None:
            return
        self._unsent, self._flowed = transport.get_write_buffer_size(), False
        if self._unsent:
            self._sending = self._loop.call_later(self._limits.send_timeout, self._look_at_sending, transport)

    def _look_at_sending(self, transport: asyncio.Transport) -> None:
        self._sending = None
        if transport.get_write_buffer_size() >= self._unsent and not self._flowed:
            reset(transport)
        else:
            self._watch_sending(transport)


def reset(transport: asyncio.Transport) -> None:
    """Give the connection up with all that is unsent, in the kernel's buffers too: it would be kept for minutes."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


class BoundedServer(Server):
    """aiohttp's server of connections, with what they share."""

    def __init__(self, *arguments: Any, limits: Limits, observatory: Observatory, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.limits = limits
        self.observatory = observatory
        self.crowded = crowded()
        self.head_too_large = head_too_large(limits.max_head_bytes)
        self._lendable = _UNSENT_LENT_BYTES

    def __call__(self) -> BoundedConnection:
        """A new connection."""
        return BoundedConnection(self, loop=self._loop, **self._kwargs)

    @property
    def is_full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return len(self._connections) >= self.limits.max_connections

    def lend(self) -> int:
        """A part of what is not lent yet, in bytes; `take_back` it when the connection is gone."""
        part = self._lendable // _UNSENT_LENT_PARTS
        self._lendable -= part
        return part

    def take_back(self, part: int) -> None:
        """The kernel keeps nothing more for that connection."""
        self._lendable += part

    def open_connections(self) -> list[BoundedConnection]:
        """Those that are not gone yet."""
        return [connection for connection in self._connections if isinstance(connection, BoundedConnection)]
