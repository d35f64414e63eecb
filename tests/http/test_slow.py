"""A hundred slow clients of a gateway in a process of its own: others are served, memory is bounded, all are cut.

A sample of `make hostile`, which does it with a thousand, and with slowhttptest.
"""

from __future__ import annotations

import asyncio
import io
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.http.wire import request
from tests.process import GatewayProcess

#: Of each kind: slow heads, slow bodies, slow bodies in chunks, slow readers.
EACH = 25
#: Seconds, of every deadline. An allowance spent is what a slow client is cut by; it is not measured here.
DEADLINE = 3.0
LARGE = 16 * 2**20
#: For all of them. The large body alone, if it were held for each reader, would be four times as much.
MOST_GROWTH_BYTES = 100 * 2**20


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    names = ("HEAD_TIMEOUT", "BODY_TIMEOUT", "SEND_TIMEOUT", "KEEPALIVE_TIMEOUT")
    process = GatewayProcess(tmp_path / "root", **{f"ARTIFACTSTORE_{name}": str(DEADLINE) for name in names})
    yield process
    process.stop()


def holding(gateway: GatewayProcess) -> tuple[int, int]:
    """Its open sockets, and its memory in bytes."""
    process = Path(f"/proc/{gateway.process.pid}")
    sockets = 0
    for descriptor in (process / "fd").iterdir():
        try:
            sockets += str(descriptor.readlink()).startswith("socket:")
        except FileNotFoundError:
            continue
    return sockets, int((process / "status").read_text().split("VmRSS:")[1].split()[0]) * 1024


async def connected(url: str) -> socket.socket:
    """A client with a window as small as there may be."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    client.setblocking(False)
    host, port = url.removeprefix("http://").split(":")
    await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
    return client


async def trickling(client: socket.socket, begin: bytes, piece: bytes) -> None:
    """Send a beginning, and then a piece now and then, until the gateway ends the connection."""
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(client, begin)
        while client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1:  # tcp(7): TCP_ESTABLISHED
            await asyncio.sleep(0.1)
            await loop.sock_sendall(client, piece)
    except ConnectionError:
        pass
    finally:
        client.close()


async def sipping(client: socket.socket, begin: bytes) -> None:
    """Ask for something large, and read a few bytes now and then, until the gateway ends the connection."""
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(client, begin)
        while await loop.sock_recv(client, 8):
            await asyncio.sleep(0.1)
    except ConnectionError:
        pass
    finally:
        client.close()


async def test_a_hundred_slow_clients_hold_up_nobody_and_are_cut(gateway: GatewayProcess) -> None:
    async with aiohttp.ClientSession() as session:

        async def put() -> str:
            async with session.post(f"{gateway.url}/v1/objects", data=io.BytesIO(os.urandom(LARGE))) as answer:
                assert answer.status == 201
                return answer.headers["Location"]

        large = await put()
        sockets, memory = holding(gateway)
        kinds: list[Callable[[socket.socket], Awaitable[None]]] = [
            lambda client: trickling(client, b"GET / HTTP/1.1\r\nHost: slow\r\n", b"X: y\r\n"),
            lambda client: trickling(client, request("POST", "/v1/objects", "Content-Length: 900000").encode(), b"x"),
            lambda client: trickling(
                client, request("POST", "/v1/objects", "Transfer-Encoding: chunked").encode(), b"1\r\nx\r\n"
            ),
            lambda client: sipping(client, request("GET", large).encode()),
        ]
        clients = [(kind, await connected(gateway.url)) for kind in kinds for _ in range(EACH)]
        slow = [asyncio.ensure_future(kind(client)) for kind, client in clients]
        seen = [holding(gateway)]
        while seen[-1][0] < sockets + len(slow) and not any(task.done() for task in slow):
            await asyncio.sleep(0.01)
            seen.append(holding(gateway))
        await put()
        seen.append(holding(gateway))
        await asyncio.gather(*slow)
        while holding(gateway)[0] > sockets:
            await asyncio.sleep(0.05)
        await put()
        async with session.get(f"{gateway.url}/v1/events") as answer:
            assert [event["type"] for event in (await answer.json())["items"]].count("object.stored") == 3
    assert max(count for count, _ in seen) <= sockets + 2 * len(slow) + 2
    assert max(resident for _, resident in seen) < memory + MOST_GROWTH_BYTES
