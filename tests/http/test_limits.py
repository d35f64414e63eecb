"""What one client may take: deadlines, connections, uploads at once; and a client that has sent all it will send."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from artifactstore.api.http import create_app
from artifactstore.api.limits import Limits
from artifactstore.api.requests import TALLIES
from artifactstore.api.server import GatewayRunner
from artifactstore.bootstrap import open_local
from tests.conftest import Gateway, GatewayFactory, settings_for
from tests.http.wire import Wire, connect, request, settled, unnamed_files

LIVE = request("GET", "/health/live")


async def cut(wire: Wire) -> bool:
    """Whether the gateway has closed, or reset, the connection without another byte. It is given up."""
    try:
        return await wire.reader.read() == b""
    except ConnectionError:
        return True
    finally:
        wire.writer.transport.abort()


async def sent_on(wire: Wire, piece: str) -> None:
    """Go on sending until the gateway answers or closes."""
    while not wire.reader.at_eof() and not wire.reader._buffer:  # type: ignore[attr-defined]  # what has come, unread
        try:
            await wire.send(piece)
        except ConnectionError:
            return
        await wire.pause()


# --- heads ----------------------------------------------------------------------------------------------------------


async def test_a_connection_without_a_request_is_closed(start_gateway: GatewayFactory) -> None:
    wire = await connect(await start_gateway(head_timeout=0.2))
    assert await cut(wire)


@pytest.mark.parametrize("before", [0, 1])
async def test_a_head_that_does_not_end_is_cut_off(start_gateway: GatewayFactory, before: int) -> None:
    wire = await connect(await start_gateway(head_timeout=0.2))
    for _ in range(before):
        await wire.send(LIVE)
        assert (await wire.answer())[0] == 200
    await wire.send("GET / HTTP/1.1\r\n")
    await sent_on(wire, "X: y\r\n")
    assert await cut(wire)


async def test_a_deadline_for_heads_is_none_for_connections_between_them(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(head_timeout=0.2)
    idle = await connect(gateway)
    await idle.send(LIVE)
    assert (await idle.answer())[0] == 200
    later = await connect(gateway)
    assert await cut(later)  # so that long has passed for the other, too
    await idle.send(LIVE)
    assert (await idle.answer())[0] == 200
    await idle.close()


async def test_a_deadline_for_heads_is_none_for_bodies(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(head_timeout=0.2)
    slow, later = await connect(gateway), await connect(gateway)
    await slow.send(request("POST", "/v1/objects", "Content-Length: 3") + "o")
    assert await cut(later)
    await slow.send("ne" + LIVE)
    assert [(await slow.answer())[0] for _ in range(2)] == [201, 200]
    await slow.close()


async def test_an_idle_connection_is_closed(start_gateway: GatewayFactory) -> None:
    wire = await connect(await start_gateway(keepalive_timeout=0.2))
    await wire.send(LIVE)
    assert (await wire.answer())[0] == 200
    assert await cut(wire)


MOST = 2**14


def head_of(size: int) -> bytes:
    """A request whose head has so many bytes, in fields of which each is small."""
    begin, field = LIVE.removesuffix("\r\n").encode(), b"X: " + b"y" * 995 + b"\r\n"
    fields = (size - len(begin) - 2) // len(field)
    rest = size - len(begin) - 2 - fields * len(field)
    assert rest == 0 or rest > 5
    last = b"X: " + b"y" * (rest - 5) + b"\r\n" if rest else b""
    return begin + fields * field + last + b"\r\n"


@pytest.mark.parametrize("piece", [1_000, 4_096, MOST - 1])
@pytest.mark.parametrize(
    "before", ["", LIVE, request("POST", "/v1/objects", f"Content-Length: {2 * MOST}") + "x" * 2 * MOST]
)
async def test_a_head_is_bounded_as_a_whole(start_gateway: GatewayFactory, before: str, piece: int) -> None:
    """However it is cut, and whatever came before it on its connection, which is counted with no other."""
    gateway = await start_gateway(max_head_bytes=MOST)
    wire = await connect(gateway)
    if before:
        await wire.send(before)
        assert (await wire.answer())[0] in (200, 201)
    for _ in range(3):
        await in_pieces(wire, head_of(MOST), piece)
        assert (await wire.answer())[0] == 200
    await in_pieces(wire, head_of(3 * MOST), piece)
    status, headers, body = await wire.answer()
    assert (status, headers["connection"]) == (431, "close")
    assert b":header-too-large" in body
    wire.writer.transport.abort()


async def in_pieces(wire: Wire, data: bytes, size: int) -> None:
    """Send it so that each piece is received on its own, until the connection ends."""
    for at in range(0, len(data), size):
        if wire.reader._buffer:  # type: ignore[attr-defined]  # the answer has come before all is sent
            return
        with suppress(ConnectionError):
            await wire.send(data[at : at + size])
        await wire.pause()


async def test_a_head_in_one_piece_may_be_as_large_as_a_buffer(start_gateway: GatewayFactory) -> None:
    """It is counted while it is waited for; one that is there at once has cost its memory already."""
    gateway = await start_gateway(max_head_bytes=MOST)
    wire = await connect(gateway)
    await wire.send(head_of(2 * MOST))
    assert (await wire.answer())[0] == 200
    await wire.close()


# --- bodies ---------------------------------------------------------------------------------------------------------


async def test_a_body_that_only_trickles_is_given_up(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(body_timeout=0.5, min_body_rate=10**9)
    wire = await connect(gateway)
    await wire.send(request("POST", "/v1/objects", "Content-Length: 400000"))
    await sent_on(wire, "a")
    status, headers, body = await wire.answer()
    assert (status, headers["connection"]) == (408, "close")
    assert b":request-timeout" in body
    await settled(gateway)
    assert await gateway.store.registry.head() == 0
    await wire.close()


async def test_uploads_at_once_are_limited_by_client(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(max_uploads_per_client=1)
    one, two = await connect(gateway), await connect(gateway)
    await one.send(request("POST", "/v1/objects", "Content-Length: 400000") + "x" * 300_000)
    while not unnamed_files(gateway.root):
        await one.pause()
    for method, path in (("POST", "/v1/objects"), ("PUT", "/v1/files/default/a")):
        await two.send(request(method, path, "Content-Length: 3") + "two")
        status, headers, body = await two.answer()
        assert (status, headers["retry-after"]) == (429, "1")
        assert b":too-many-uploads" in body
    await two.send(LIVE)
    assert (await two.answer())[0] == 200
    await one.send("x" * 100_000)
    assert (await one.answer())[0] == 201
    await two.send(request("POST", "/v1/objects", "Content-Length: 3") + "two")
    assert (await two.answer())[0] == 201
    await one.close()
    await two.close()


# --- connections ----------------------------------------------------------------------------------------------------


async def test_a_connection_too_many_is_refused(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(max_connections=1)
    first, second = await connect(gateway), await connect(gateway)
    status, headers, body = await second.answer()
    assert (status, headers["connection"], headers["retry-after"]) == (503, "close", "1")
    assert b":too-many-connections" in body
    assert await cut(second)
    await first.send(LIVE)
    assert (await first.answer())[0] == 200
    await first.close()
    status = 503
    while status == 503:  # until the gateway has noticed
        third = await connect(gateway)
        await third.send(LIVE)
        with suppress(ConnectionError, asyncio.IncompleteReadError):  # what is sent after a refusal resets it
            status = (await third.answer())[0]
        third.writer.transport.abort()
    assert status == 200


# --- answers --------------------------------------------------------------------------------------------------------


async def test_a_client_that_does_not_read_is_cut_off(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(send_timeout=0.2)
    stored = await gateway.store.put_object(os.urandom(32 * 2**20))
    with socket.create_connection(("127.0.0.1", gateway.port)) as client:
        client.sendall(request("GET", f"/v1/objects/{stored.identity.blake3}").encode())
        while not client_is_reset(client):
            await asyncio.sleep(0.005)


async def test_what_a_client_does_not_read_is_not_piled_up_in_the_kernel(start_gateway: GatewayFactory) -> None:
    """Its limit is 4 MiB for each connection: a thousand such clients would have all the memory that TCP has."""
    gateway = await start_gateway(send_timeout=0.5)
    stored = await gateway.store.put_object(os.urandom(32 * 2**20))
    path = f"/v1/objects/{stored.identity.blake3}"
    assert await piled_up(gateway, path) > 2**20, "one alone may have more: that saves a fast one work"
    with ExitStack() as others:
        for _ in range(512):
            other = others.enter_context(socket.socket())
            other.setblocking(False)
            await asyncio.get_running_loop().sock_connect(other, ("127.0.0.1", gateway.port))
        assert 0 < await piled_up(gateway, path) < 2**18
    again = 0
    for _ in range(10):  # until the gateway has noticed that the others are gone
        again = await piled_up(gateway, path)
        if again > 2**20:
            return
    raise AssertionError(f"one that is alone again has {again} bytes: what the others had was not given back")


async def piled_up(gateway: Gateway, path: str) -> int:
    """The most bytes that wait in the kernel for a new client which does not read, until it is reset."""
    most = 0
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", gateway.port))
        client.sendall(request("GET", path).encode())
        while not client_is_reset(client):
            most = max(most, unsent_bytes(gateway.port, client.getsockname()[1]))
            await asyncio.sleep(0.005)
    return most


def unsent_bytes(local: int, remote: int) -> int:
    """What the kernel has to send, or to see confirmed, from one port to the other (proc_net_tcp)."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, _, queues, *_ = line.split()
        if (int(here[-4:], 16), int(there[-4:], 16)) == (local, remote):
            return int(queues.partition(":")[0], 16)
    return 0


async def test_a_client_that_reads_no_small_answer_is_cut_off(start_gateway: GatewayFactory) -> None:
    """Such an answer never pauses the handler: it lies in the buffer of a connection that waits for a request."""
    gateway = await start_gateway(send_timeout=0.2, keepalive_timeout=0.2)
    stored = await gateway.store.put_object(os.urandom(60_000))
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", gateway.port))
        client.setblocking(False)
        get = request("GET", f"/v1/objects/{stored.identity.blake3}").encode()
        while not client_is_reset(client):
            try:
                client.send(get)
            except BlockingIOError:
                pass
            except ConnectionError:
                break
            await asyncio.sleep(0.005)


def client_is_reset(client: socket.socket) -> bool:
    """Whether the other side has reset the connection, however much was not read: its state, tcp(7), is TCP_CLOSE."""
    return client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 7


# --- clients that have sent all they will send -----------------------------------------------------------------------


async def half_closed(port: int, text: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text.encode())
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def exchanges(port: int, address: str, size: int) -> None:
    """What a half-closed client must get, whichever loop serves it."""
    assert (await half_closed(port, LIVE)).startswith(b"HTTP/1.1 200 ")
    assert (await half_closed(port, LIVE * 3)).count(b"HTTP/1.1 200 ") == 3
    upload = request("POST", "/v1/objects", "Content-Length: 3")
    assert (await half_closed(port, upload + "one")).startswith(b"HTTP/1.1 201 ")
    for text in (upload + "on", request("POST", "/v1/objects", "Transfer-Encoding: chunked") + "3\r\non"):
        assert (await half_closed(port, text)).startswith(b"HTTP/1.1 400 ")
    both = await half_closed(port, LIVE + upload + "on")
    assert both.startswith(b"HTTP/1.1 200 ")
    assert both.count(b"HTTP/1.1 400 ") == 1
    assert b":incomplete-body" in both
    refused = await half_closed(port, request("PUT", "/v1/objects/nonsense", "Content-Length: 300") + "on")
    assert refused.count(b"HTTP/1.1 ") == refused.count(b"HTTP/1.1 400 ") == 1
    assert await half_closed(port, "") == await half_closed(port, "GET / HTTP/1.1\r\nHost:") == b""
    assert len(await half_closed(port, request("GET", address))) > size


async def test_a_half_closed_client_gets_its_answers(gateway: Gateway) -> None:
    stored = await gateway.store.put_object(os.urandom(8 * 2**20))
    await exchanges(gateway.port, f"/v1/objects/{stored.identity.blake3}", stored.identity.size_bytes)
    assert await gateway.store.registry.head() == 2


def test_so_it_does_under_uvloop(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_local(settings_for(tmp_path / "root")) as store:
            stored = await store.put_object(os.urandom(8 * 2**20))
            app = create_app(store, limits=Limits(keepalive_timeout=1e6))
            runner = GatewayRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            address = f"/v1/objects/{stored.identity.blake3}"
            await exchanges(runner.addresses[0][1], address, stored.identity.size_bytes)
            assert app[TALLIES].in_flight == 0
            await runner.cleanup()

    uvloop.run(scenario())
