"""The clients, and what they know: kept outside of the gateway, which dies under them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

SMALL = (0, 1, 100, 4_096, 60_000)
LARGE = (300_000, 2**20, 5 * 2**20, 20 * 2**20)
#: Bodies that several clients send at once, again and again.
SHARED = 12
#: How many of its own objects a client goes on reading.
_READ = 200


def body(seed: int, size: int) -> bytes:
    """The bytes that a seed stands for: they need not be kept to be known."""
    return random.Random(seed).randbytes(size)


@dataclass
class Known:
    """What was acknowledged: objects that stay, objects that were deleted, versions, packages."""

    kept: dict[str, tuple[int, int]] = field(default_factory=dict)  # sha256 -> seed and size
    deleted: set[str] = field(default_factory=set)
    versions: dict[str, dict[int, str]] = field(default_factory=dict)  # name -> version -> sha256
    packages: dict[str, str] = field(default_factory=dict)  # id -> manifest
    done: Counter[str] = field(default_factory=Counter)


class Client:
    """One client: it does one thing after another until it is cancelled, or an answer is not as it must be."""

    def __init__(
        self, session: aiohttp.ClientSession, url: str, known: Known, number: int, dice: random.Random
    ) -> None:
        self.session, self.url, self.known, self.dice = session, url, known, dice
        self.name = f"client-{number}"
        self.ids: list[str] = []  # artifacts of this run
        self.deeds: tuple[tuple[int, Callable[[], Awaitable[None]]], ...] = (
            (30, self.put_small),
            (4, self.put_large),
            (12, self.put_shared),
            (8, self.put_and_delete),
            (20, self.read_range),
            (10, self.search),
            (3, self.seal),
            (6, self.vanish),
            (4, self.vanish_reading),
        )

    async def run(self) -> None:
        weights, deeds = zip(*self.deeds, strict=True)
        while True:
            (deed,) = self.dice.choices(deeds, weights)
            await deed()
            self.known.done[deed.__name__] += 1

    async def _put_file(self, size: int) -> None:
        seed = self.dice.getrandbits(60)
        data = body(seed, size)
        sha256 = hashlib.sha256(data).hexdigest()
        async with self.session.put(f"{self.url}/v1/files/soak/{self.name}", data=io.BytesIO(data)) as answer:
            assert answer.status == 201, await answer.text()
            record = await answer.json()
        assert record["sha256"] == f"sha256:{sha256}"
        self.known.kept[sha256] = (seed, size)
        self.known.versions.setdefault(self.name, {})[record["version"]] = sha256
        self.ids.append(record["id"])

    async def put_small(self) -> None:
        await self._put_file(self.dice.choice(SMALL))

    async def put_large(self) -> None:
        await self._put_file(self.dice.choice(LARGE))

    async def put_shared(self) -> None:
        seed = self.dice.randrange(SHARED)
        data = body(seed, 30_000 * (1 + seed))
        sha256 = hashlib.sha256(data).hexdigest()
        async with self.session.put(f"{self.url}/v1/objects/sha256:{sha256}", data=io.BytesIO(data)) as answer:
            assert answer.status in (200, 201), await answer.text()
        self.known.kept[sha256] = (seed, len(data))

    async def put_and_delete(self) -> None:
        data = body(self.dice.getrandbits(60), 10_000)
        sha256 = hashlib.sha256(data).hexdigest()
        for method, expected in (("PUT", 201), ("DELETE", 204)):
            given = io.BytesIO(data) if method == "PUT" else None
            async with self.session.request(method, f"{self.url}/v1/objects/sha256:{sha256}", data=given) as answer:
                assert answer.status == expected, await answer.text()
        self.known.deleted.add(sha256)

    async def read_range(self) -> None:
        if not self.known.kept:
            return
        sha256 = self.dice.choice(list(self.known.kept)[-_READ:])
        seed, size = self.known.kept[sha256]
        first = self.dice.randrange(size + 1)
        last = self.dice.randrange(first, size + 1)
        headers = {"Range": f"bytes={first}-{last}"}
        async with self.session.get(f"{self.url}/v1/objects/sha256:{sha256}", headers=headers) as answer:
            found = await answer.read()
        if first < size:
            assert (answer.status, found) == (206, body(seed, size)[first : last + 1])
        else:
            assert answer.status in (200, 416)

    async def search(self) -> None:
        query = {"namespace": "soak", "name": self.name, "limit": str(self.dice.choice((1, 20, 100)))}
        async with self.session.get(f"{self.url}/v1/artifacts", params=query) as answer:
            assert answer.status == 200, await answer.text()
            items: list[dict[str, Any]] = (await answer.json())["items"]
        assert len({item["id"] for item in items}) == len(items)

    async def seal(self) -> None:
        if len(self.ids) < 3:
            return
        chosen = self.dice.sample(self.ids, 3)
        members = [{"name": f"member-{number}", "artifact": item} for number, item in enumerate(chosen)]
        document = {"namespace": "soak", "name": self.name, "members": members}
        async with self.session.post(f"{self.url}/v1/packages", json=document) as answer:
            assert answer.status in (200, 201), await answer.text()
            sealed = await answer.json()
        self.known.packages[sealed["id"]] = sealed["manifest"]["blake3"]

    async def vanish(self) -> None:
        """Leave in mid-body."""
        async with self._connected() as (_, writer):
            size = self.dice.choice(LARGE)
            head = f"POST /v1/objects HTTP/1.1\r\nHost: soak\r\nContent-Length: {size}\r\n\r\n"
            writer.write(head.encode() + bytes(self.dice.randrange(size)))
            await writer.drain()

    async def vanish_reading(self) -> None:
        """Leave in mid-answer."""
        large = [sha256 for sha256, (_, size) in self.known.kept.items() if size >= LARGE[0]]
        if not large:
            return
        async with self._connected() as (reader, writer):
            path = f"/v1/objects/sha256:{self.dice.choice(large[-_READ:])}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n".encode())
            await reader.read(self.dice.randrange(1, LARGE[0]))

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A connection of its own, which is reset in the end, whatever it carries."""
        host, port = self.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            with contextlib.suppress(ConnectionError):
                yield reader, writer
        finally:
            writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def load(
    url: str,
    known: Known,
    clients: int,
    dice: random.Random,
    until: Callable[[], Awaitable[None]],
    *,
    kills: bool = False,
) -> None:
    """Let clients work until `until` returns. Errors of connections are raised unless `kills` says that it kills."""
    accepted = (asyncio.CancelledError, aiohttp.ClientError, OSError) if kills else (asyncio.CancelledError,)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        working = [
            asyncio.create_task(Client(session, url, known, number, random.Random(dice.random())).run())
            for number in range(clients)
        ]
        await until()
        for task in working:
            task.cancel()
        for outcome in await asyncio.gather(*working, return_exceptions=True):
            if not isinstance(outcome, accepted):
                assert isinstance(outcome, BaseException)
                raise outcome
