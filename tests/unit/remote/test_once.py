"""What a client does whose answers are lost: everything still happens, and happens once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from artifactstore.domain.errors import RemoteError
from artifactstore.domain.package import MemberSource
from artifactstore.remote import RemoteStore, connection
from tests.conftest import Gateway

LARGE = b"0123456789abcdef" * 65536 * 2  # asks before it is sent


class LosesAnswers:
    """Passes requests on to a gateway; breaks the connection in place of the next `losses` final answers."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.losses = 0
        self.lost = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._gateway.port)
        sending = asyncio.create_task(self._pass(reader, up_writer))
        try:
            while data := await up_reader.read(65536):
                if self.losses and b"HTTP/1.1 100 " not in data:
                    self.losses -= 1
                    self.lost += 1
                    break
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            sending.cancel()
            for each in (writer, up_writer):
                each.close()

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@pytest.fixture
async def lossy(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[RemoteStore, LosesAnswers]]:
    monkeypatch.setattr(connection, "_PAUSES", (0.01, 0.01, 0.01))
    way = LosesAnswers(gateway)
    server = await asyncio.start_server(way, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    async with RemoteStore(f"http://{host}:{port}") as store:
        yield store, way
    server.close()


async def test_every_operation_happens_once_though_its_answers_are_lost(
    lossy: tuple[RemoteStore, LosesAnswers], gateway: Gateway, tmp_path: Path
) -> None:
    store, way = lossy
    file = tmp_path / "file"
    file.write_bytes(LARGE)

    async def head() -> int:
        return await gateway.store.registry.head()

    async def losing(losses: int = 2) -> None:
        assert way.losses == 0
        way.losses = losses

    await losing()
    small, created = await store.put_file("ci", "a", b"small")
    assert (small.version, created, await head()) == (1, True, 2)
    await losing()
    large, created = await store.put_file("ci", "a", file, create_only=False)
    assert (large.version, created, await head()) == (2, True, 4)
    await losing(1)
    new, created = await store.put_file("ci", "b", b"small", create_only=True)
    assert (new.version, created, await head()) == (1, False, 5), "the condition held, once"
    await losing()
    assert (await store.put_object(b"bare")).created
    await losing()
    assert (await store.record_artifact("ci", "c", small.identity.blake3)).version == 1
    await losing()
    assert (await store.seal_package("ci", "p", [MemberSource(small.id)]))[1]
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "a", "digest": {"sha256": small.identity.sha256.hex}}],
        "predicateType": "https://example.org/seen",
        "predicate": {},
    }
    await losing()
    assert (await store.attest(small.id, json.dumps(statement).encode()))[1]
    assert way.lost == 13
    types = [event.type for event in await gateway.store.events(limit=1000)]
    assert types.count("artifact.created") == 4
    assert types.count("package.sealed") == types.count("object.attested") == 1


async def test_what_can_be_read_once_is_sent_once(lossy: tuple[RemoteStore, LosesAnswers]) -> None:
    store, way = lossy

    async def source() -> AsyncIterator[bytes]:
        yield b"once"

    way.losses = 1
    with pytest.raises(RemoteError):
        await store.put_file("ci", "a", source())
    assert way.lost == 1


async def test_a_server_that_stays_away_is_given_up(lossy: tuple[RemoteStore, LosesAnswers], gateway: Gateway) -> None:
    store, way = lossy
    way.losses = 10
    with pytest.raises(RemoteError):
        await store.put_file("ci", "a", b"bytes")
    assert way.lost == 4
    assert (await gateway.store.file("ci", "a")).version == 1


async def test_nobody_there_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PAUSES", (60.0,))  # what is not waited for
    async with RemoteStore("http://127.0.0.1:1") as store:
        with pytest.raises(RemoteError, match="does not answer"):
            await store.put_file("ci", "a", b"bytes")
