"""A connection's bytes through the gateway's connection and aiohttp's parser, in pieces, with no socket.

The oracle is the same bytes cut differently: a request that is served when they come in pieces is the same request, at
the same place, as when they come whole, as far as both go; and no field of one is a field of another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import web

from artifactstore.api.connection import BoundedServer
from artifactstore.api.limits import Limits
from artifactstore.api.requests import Observatory, RequestTallies

_MOST_BYTES = 4096

type Served = list[tuple[str, str, tuple[tuple[bytes, bytes], ...], bytes]]


class _Transport(asyncio.Transport):
    """Takes what is written, and tells when it is closed."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        self.written += b"".join(parts)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_reading(self) -> bool:
        return not self.closed

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...


def requests(data: bytes) -> None:
    """The first byte says where the bytes are cut."""
    cut, data = (data[0], data[1 : 1 + _MOST_BYTES]) if data else (0, b"")
    step = 1 + cut % 64
    whole, _ = asyncio.run(served([data]))
    pieces, _ = asyncio.run(served([data[at : at + step] for at in range(0, len(data), step)]))
    for one, other in zip(whole, pieces, strict=False):
        assert one == other, (one, other)


async def served(pieces: list[bytes], limits: Limits | None = None) -> tuple[Served, list[Exception]]:
    """The requests whose bodies were whole, and what was wrong with the others; each piece is received on its own."""
    found: Served = []
    errors: list[Exception] = []

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        try:
            body = await request.read()
        except Exception as error:
            errors.append(error)
            return web.Response(status=400)
        assert all(request.raw_headers.count(field) <= data_count(pieces, field) for field in request.raw_headers)
        found.append((request.method, request.raw_path, tuple(request.raw_headers), body))
        return web.Response()

    loop = asyncio.get_running_loop()
    server = BoundedServer(
        handler,
        loop=loop,
        limits=limits or Limits(),
        observatory=Observatory(RequestTallies()),
        auto_decompress=False,
    )
    connection = server()
    transport = _Transport()
    connection.connection_made(transport)
    for piece in pieces:
        if transport.closed:
            break
        connection.data_received(piece)
        for _ in range(4):
            await asyncio.sleep(0)
    connection.connection_lost(None)
    await server.shutdown(0)
    return found, errors


def data_count(pieces: list[bytes], field: tuple[bytes, bytes]) -> int:
    """How often a field's name stands in what was sent."""
    return b"".join(pieces).count(field[0])
