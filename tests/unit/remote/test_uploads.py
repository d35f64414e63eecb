"""What an upload costs when the server answers early, and how a connection goes on after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from blake3 import blake3

from artifactstore import Digest
from artifactstore.domain.errors import (
    DigestMismatchError,
    InvalidInputError,
    ObjectTooLargeError,
    PreconditionFailedError,
    RemoteError,
)
from artifactstore.remote import RemoteStore, connection
from tests.conftest import Gateway, GatewayFactory

DATA = b"0123456789abcdef" * 65536 * 3  # more than is sent unasked
DIGEST = Digest.blake3(blake3(DATA).digest())


class Counted:
    """A source that counts what was taken from it."""

    def __init__(self, data: bytes = DATA) -> None:
        self._data = data
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._data), 65536):
            chunk = self._data[start : start + 65536]
            self.taken += len(chunk)
            yield chunk


@pytest.mark.parametrize("hint", [None, len(DATA)])
async def test_a_known_object_costs_no_body(gateway: Gateway, hint: int | None) -> None:
    async with RemoteStore(gateway.url) as store:
        first = Counted()
        assert (await store.put_object(first, expected=[DIGEST], size_hint=hint)).created
        assert first.taken == len(DATA)
        for _ in range(3):
            again = Counted()
            assert not (await store.put_object(again, expected=[DIGEST], size_hint=hint)).created
            assert again.taken == 0
            assert (await store.object(DIGEST)).identity.size_bytes == len(DATA), "the next request is answered"


async def test_an_early_refusal_costs_no_body(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(max_object_bytes=len(DATA) - 1)
    async with RemoteStore(gateway.url) as store:
        await store.put_file("default", "a", b"there")
        for _ in range(3):
            source = Counted()
            with pytest.raises(ObjectTooLargeError):
                await store.put_object(source, size_hint=len(DATA))
            with pytest.raises(PreconditionFailedError):
                await store.put_file("default", "a", source, create_only=True)
            with pytest.raises(PreconditionFailedError):
                await store.put_file("default", "a", source, if_match=frozenset({DIGEST}))
            with pytest.raises(DigestMismatchError):  # known to be there, and not of that size
                await store.put_object(source, expected=[Digest.blake3(blake3(b"there").digest())], size_hint=7)
            assert source.taken == 0
            assert (await store.put_object(b"small")).identity.size_bytes == 5, "the next request is answered"


async def test_a_connection_is_used_again(gateway: Gateway) -> None:
    async with RemoteStore(gateway.url) as store:
        await store.events()
        session = store._server._session
        assert session is not None
        assert session.connector is not None
        (held,) = [protocol for waiting in session.connector._conns.values() for protocol, _ in waiting]
        await store.put_object(DATA)
        await store.put_object(Counted(), expected=[DIGEST])  # answered early: that connection is given up
        await store.put_object(b"small")
        await store.events()
        assert len([1 for waiting in session.connector._conns.values() for _ in waiting]) == 1
        assert not held.is_connected()


async def serve_once(answer: bytes, *, hold: asyncio.Event | None = None) -> asyncio.Server:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if hold is not None:
            await hold.wait()
        writer.close()

    return await asyncio.start_server(handle, "127.0.0.1", 0)


def url_of(server: asyncio.Server) -> str:
    host, port = server.sockets[0].getsockname()[:2]
    return f"http://{host}:{port}"


async def test_a_server_that_never_says_whether_it_wants_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.1)
    done = asyncio.Event()
    server = await serve_once(b"", hold=done)
    async with server, RemoteStore(url_of(server)) as store:
        with pytest.raises(RemoteError, match="whether it wants"):
            await store.put_object(Counted())
        done.set()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}",
        b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>",
        b'HTTP/1.1 200 OK\r\nETag: "blake3:00"\r\nRepr-Digest: sha-256=:AA==:\r\nContent-Length: 0\r\n\r\n',
    ],
)
async def test_an_answer_that_no_server_of_ours_gives_is_one_line(answer: bytes) -> None:
    server = await serve_once(answer)
    async with server, RemoteStore(url_of(server)) as store:
        for attempt in (
            store.put_object(b"x"),
            store.put_file("default", "a", Counted()),
            store.object(DIGEST),
            store.file("default", "a"),
            store.open_object(DIGEST),
            store.verify_object(DIGEST),
            store.artifacts(),
        ):
            with pytest.raises(RemoteError) as caught:
                await attempt
            assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "localhost", "localhost:8000", "ftp://localhost", "http://", "http://a:b"])
def test_what_is_no_address_of_a_server(url: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        RemoteStore(url)
    assert caught.value.field == "server"


async def test_a_closed_store_says_so(gateway: Gateway) -> None:
    store = RemoteStore(gateway.url)
    await store.events()
    await store.close()
    await store.close()
    with pytest.raises(RemoteError, match="closed"):
        await store.events()


@pytest.mark.parametrize("before", [0, len(DATA)])
async def test_a_timeout_of_the_source_is_its_own(gateway: Gateway, before: int) -> None:
    async def source() -> AsyncIterator[bytes]:
        if before:
            yield DATA[:before]
        raise TimeoutError("the sensor is silent")

    async with RemoteStore(gateway.url) as store:
        with pytest.raises(TimeoutError, match="the sensor is silent"):
            await store.put_object(source())
