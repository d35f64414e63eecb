"""A gateway that is told to stop: readiness turns first, what is under way ends, no answer is lost."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import aiohttp
import pytest

from artifactstore.bootstrap import open_local
from artifactstore.domain.digest import Digest
from tests.conftest import settings_for
from tests.process import GatewayProcess

SMALL, LARGE = 40_000, 8 * 2**20  # through aiohttp's parser, and past it


class Client:
    """One connection, spoken by hand."""

    made: ClassVar[list[Client]] = []

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.made.append(self)

    @classmethod
    async def connect(cls, url: str) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2])))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        first, *fields = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        parts = (field.partition(": ") for field in fields if field)
        return int(first.split()[1]), {name.lower(): value for name, _, value in parts}

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        status, fields = await self.head()
        return status, fields, await self.reader.readexactly(int(fields.get("content-length", "0")))

    async def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        await self.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return await self.answer()

    async def ended(self) -> bool:
        with contextlib.suppress(ConnectionError):
            return await self.reader.read(1) == b""
        return True


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    yield
    while Client.made:
        writer = Client.made.pop().writer
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


def put(data: bytes) -> bytes:
    digest = hashlib.sha256(data).hexdigest()
    return f"PUT /v1/objects/sha256:{digest} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode()


async def refused(url: str) -> bool:
    try:
        client = await Client.connect(url)
    except ConnectionError:
        return True
    client.writer.close()
    return False


async def stopped(gateway: GatewayProcess) -> int:
    return await asyncio.to_thread(gateway.ended)


async def test_readiness_turns_first_and_what_is_under_way_ends(tmp_path: Path) -> None:
    root = tmp_path / "root"
    gateway = await asyncio.to_thread(
        GatewayProcess, root, ARTIFACTSTORE_STOP_DELAY="2", ARTIFACTSTORE_STOP_TIMEOUT="60"
    )
    bodies = [os.urandom(SMALL), os.urandom(LARGE)]
    uploads = []
    for body in bodies:
        uploads.append(await Client.connect(gateway.url))
        await uploads[-1].send(put(body) + body[: len(body) // 2])
    stored = os.urandom(LARGE)
    idle = await Client.connect(gateway.url)
    await idle.send(put(stored) + stored)
    assert (await idle.answer())[0] == 201
    idle, silent, download = [await Client.connect(gateway.url) for _ in range(3)]
    assert (await idle.get("/health/ready"))[0] == 200
    await download.send(
        f"GET /v1/objects/sha256:{hashlib.sha256(stored).hexdigest()} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    )
    status, fields = await download.head()
    assert (status, fields["content-length"]) == (200, str(LARGE))

    gateway.process.send_signal(signal.SIGTERM)
    while True:  # until the signal has come
        watching = await Client.connect(gateway.url)
        status, fields, body = await watching.get("/health/ready")
        if status == 503:
            break
        watching.writer.close()
    assert b'"stopping"' in body
    assert fields["connection"] == "close"
    assert await watching.ended()
    other = await Client.connect(gateway.url)
    status, fields, _ = await other.get("/health")
    assert (status, fields["connection"]) == (200, "close")  # everything else is served
    while not await refused(gateway.url):
        await asyncio.sleep(0.05)
    assert await silent.ended()
    assert await idle.ended()
    for client, body in zip(uploads, bodies, strict=True):
        await client.send(body[len(body) // 2 :])
        status, fields, _ = await client.answer()
        assert (status, fields["connection"]) == (201, "close")
        assert await client.ended()
    assert await download.reader.readexactly(LARGE) == stored
    assert await download.ended()
    assert await stopped(gateway) == 0
    async with open_local(settings_for(root)) as store:
        for body in (*bodies, stored):
            assert (await store.verify_object(Digest.sha256(hashlib.sha256(body).digest()))).verified


async def test_what_takes_longer_than_the_deadline_is_broken_off_and_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    gateway = await asyncio.to_thread(GatewayProcess, root, ARTIFACTSTORE_STOP_TIMEOUT="0.2")
    clients = []
    for body in (os.urandom(SMALL), os.urandom(LARGE)):
        clients.append(await Client.connect(gateway.url))
        await clients[-1].send(put(body) + body[: len(body) // 2])
    await clients[0].send(b"")
    watching = await Client.connect(gateway.url)
    while b"artifactstore_uploads_in_flight 2" not in (await watching.get("/metrics"))[2]:
        await asyncio.sleep(0.02)
    gateway.process.send_signal(signal.SIGTERM)
    assert await stopped(gateway) == 0
    for client in clients:
        assert await client.ended()
    assert list((root / "staging").iterdir()) == []
    async with open_local(settings_for(root)) as store:
        assert await store.registry.head() == 0


async def test_a_second_signal_waits_no_longer(tmp_path: Path) -> None:
    gateway = await asyncio.to_thread(
        GatewayProcess, tmp_path / "root", ARTIFACTSTORE_STOP_DELAY="3600", ARTIFACTSTORE_STOP_TIMEOUT="3600"
    )
    client = await Client.connect(gateway.url)
    await client.send(put(b"one")[:-2])
    gateway.process.send_signal(signal.SIGTERM)
    watching = await Client.connect(gateway.url)
    while (await watching.get("/health/ready"))[0] == 200:
        await asyncio.sleep(0.01)
    gateway.process.send_signal(signal.SIGTERM)
    assert await stopped(gateway) == 0


async def test_whatever_the_log_has_was_answered(tmp_path: Path) -> None:
    """Under load: each upload that was recorded had its 201, and each 201 is recorded."""
    root = tmp_path / "root"
    answered: set[str] = set()

    async def load(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                data = os.urandom(3_000)
                try:
                    async with session.post(f"{url}/v1/objects", data=data) as answer:
                        assert answer.status == 201
                        answered.add((await answer.json())["sha256"])
                except aiohttp.ClientConnectionError:
                    if await refused(url):
                        return

    gateway = await asyncio.to_thread(GatewayProcess, root)
    clients = [asyncio.create_task(load(gateway.url)) for _ in range(12)]
    while len(answered) < 200:
        await asyncio.sleep(0.01)
    gateway.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*clients)
    assert await stopped(gateway) == 0
    recorded: set[str] = set()
    async with open_local(settings_for(root)) as store:
        while page := await store.registry.events(len(recorded), 1000):
            for event in page:
                assert event.type == "object.stored"
                record = await store.registry.object(Digest.parse(event.subject))
                assert record is not None
                recorded.add(str(record.identity.sha256))
    assert recorded == answered
