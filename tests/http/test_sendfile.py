"""Files sent by descriptor: what a slow, a leaving, and a patient client meet, and what is counted."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from artifactstore.api import content, sendfile
from artifactstore.api.residency import is_resident
from artifactstore.domain.ranges import ByteRange
from tests.conftest import Gateway, GatewayFactory
from tests.http.conftest import Client
from tests.http.wire import Wire, connect, request

#: More than both sockets' buffers take, so that a client that does not read stops the sending.
DATA = random.Random(3).randbytes(24 * 2**20)
PATH = "/v1/files/default/large.bin"


@pytest.fixture
async def large(gateway: Gateway) -> Path:
    await gateway.store.put_file("default", "large.bin", DATA)
    (path,) = gateway.stored()
    return path


@pytest.fixture(params=["by the loop", "by workers"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether what is in the page cache is known to be."""
    found = request.param == "by the loop"
    monkeypatch.setattr(sendfile, "is_resident", lambda *_: found)


async def retrieved(gateway: Gateway) -> tuple[int, int]:
    """How many retrievals are recorded, and of how many bytes in sum."""
    artifact = await gateway.store.file("default", "large.bin")
    found = await gateway.store.retrievals(artifact.id)
    return sum(item.count for item in found), sum(item.size_bytes for item in found)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to pass")


def open_copies(path: Path) -> int:
    """How many descriptors of this process are of the file."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            found += descriptor.readlink() == path
        except FileNotFoundError:
            continue
    return found


@pytest.mark.usefixtures("large", "by")
@pytest.mark.parametrize(("start", "stop"), [(0, len(DATA)), (5, 2**20 + 5), (len(DATA) - 70_001, len(DATA))])
async def test_the_connection_goes_on_after_a_file(gateway: Gateway, start: int, stop: int) -> None:
    wire = await connect(gateway)
    for _ in range(2):
        await wire.send(request("GET", PATH, f"Range: bytes={start}-{stop - 1}"))
        status, _, body = await wire.answer()
        assert (status, body) == (206, DATA[start:stop])
    await wire.close()
    assert await retrieved(gateway) == (2, 2 * (stop - start))


@pytest.mark.usefixtures("large", "by")
async def test_pipelined_requests_are_answered_in_order(gateway: Gateway) -> None:
    wire = await connect(gateway)
    await gateway.store.put_file("default", "small", b"small")
    whole, small = request("GET", PATH), request("GET", "/v1/files/default/small")
    await wire.send(whole + small + whole + small)
    bodies = [(await wire.answer())[2] for _ in range(4)]
    assert bodies == [DATA, b"small", DATA, b"small"]
    await wire.close()


@pytest.mark.usefixtures("large", "by")
async def test_several_ranges_have_their_heads_between_them(http: Client) -> None:
    answer = await http("GET", PATH, headers={"Range": "bytes=0-999999,5000000-9999999,-3"})
    assert (answer.status, int(answer.headers["Content-Length"])) == (206, len(answer.body))
    boundary = answer.headers["Content-Type"].partition("=")[2].encode()
    parts = answer.body.split(b"\r\n--" + boundary)
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]] == [
        DATA[:1000000],
        DATA[5000000:10000000],
        DATA[-3:],
    ]


async def small_window(gateway: Gateway) -> Wire:
    """A connection whose client's buffer is small, and which reads only when it is told to."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", gateway.port))
    return Wire(*await asyncio.open_connection(sock=client, limit=65536))


async def stalled(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Wire:
    """A download whose client has stopped to read, and which the loop waits for."""
    waiting = asyncio.Event()
    inner = sendfile._room

    async def room(target: int, transport: asyncio.Transport, patience: float) -> None:
        waiting.set()
        await inner(target, transport, patience)

    monkeypatch.setattr(sendfile, "_room", room)
    wire = await small_window(gateway)
    await wire.send(request("GET", PATH))
    await waiting.wait()
    return wire


async def test_a_slow_reader_holds_no_thread_and_gets_everything(
    gateway: Gateway, large: Path, http: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sendfile, "THREADS", 1)
    wire = await stalled(gateway, monkeypatch)
    assert (await http("GET", PATH)).body == DATA
    assert (await wire.answer())[2] == DATA
    await wire.close()
    await until(lambda: open_copies(large) == 0)
    assert await retrieved(gateway) == (2, 2 * len(DATA))


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_client_that_leaves_ends_the_sending(
    gateway: Gateway, large: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    wire = await stalled(gateway, monkeypatch)
    if how == "reset":
        found = wire.writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wire.writer.close()
    await until(lambda: open_copies(large) == 0)
    count, size = await retrieved(gateway)
    assert count == 1
    assert 0 < size < len(DATA)


async def test_a_client_that_sends_no_more_gets_everything(
    gateway: Gateway, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire = await stalled(gateway, monkeypatch)
    wire.writer.write_eof()
    assert (await wire.answer())[2] == DATA
    await wire.close()
    await until(lambda: open_copies(large) == 0)


async def test_a_client_that_takes_nothing_for_too_long_is_reset(
    start_gateway: GatewayFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = await start_gateway(send_timeout=0.3)
    await gateway.store.put_file("default", "large.bin", DATA)
    (large,) = gateway.stored()
    wire = await stalled(gateway, monkeypatch)
    await until(lambda: open_copies(large) == 0)
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await wire.answer()
    wire.writer.close()


@pytest.mark.usefixtures("by")
@pytest.mark.parametrize("last", [2**20 - 1, len(DATA) - 1])
async def test_a_copy_cut_short_while_it_is_sent_breaks_the_connection(
    gateway: Gateway, large: Path, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    inner = sendfile.send_file

    async def cut(*args: object) -> None:
        os.truncate(large, 300_000)
        await inner(*args)  # type: ignore[arg-type]  # passed through

    large.chmod(0o640)
    monkeypatch.setattr(content, "send_file", cut)
    wire = await connect(gateway)
    await wire.send(request("GET", PATH, f"Range: bytes=0-{last}"))
    status, headers = await wire.head()
    assert (status, int(headers["content-length"])) == (206, last + 1)
    assert len(await wire.reader.read(-1)) == 300_000
    await wire.close()
    assert await retrieved(gateway) == (1, 300_000)


async def test_a_file_that_cannot_be_read_breaks_the_connection(
    gateway: Gateway, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "sendfile", fail)
    wire = await connect(gateway)
    await wire.send(request("GET", PATH))
    assert (await wire.head())[0] == 200
    assert await wire.reader.read(-1) == b""
    await wire.close()
    await until(lambda: open_copies(large) == 0)


@pytest.mark.usefixtures("large")
async def test_without_a_plain_socket_content_goes_in_chunks(http: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> int:
        raise AssertionError("a socket that is to be encrypted was written to")

    monkeypatch.setattr(os, "sendfile", fail)
    monkeypatch.setattr(content, "takes_files", lambda _: False)
    assert (await http("GET", PATH)).body == DATA


async def test_a_failure_nobody_foresaw_is_not_followed_by_a_second_answer(
    gateway: Gateway, large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_request: web.Request, *_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(content, "send_file", fail)
    wire = await connect(gateway)
    await wire.send(request("GET", PATH))
    assert (await wire.head())[0] == 200
    assert await wire.reader.read(-1) == b""
    await wire.close()
    await until(lambda: open_copies(large) == 0)


def test_a_hole_that_nobody_has_read_is_not_in_memory(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb+") as file:
        file.truncate(2**20)
        assert not is_resident(file.fileno(), ByteRange(5, 2**19))
    assert not is_resident(-1, ByteRange(0, 1))
