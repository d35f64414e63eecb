"""Load and kills in turn, then load and quiet in turn, then the check."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import aiohttp

from artifactstore.bootstrap import open_local
from artifactstore.domain.artifact import ObjectState
from artifactstore.domain.digest import Digest
from artifactstore.store import Store
from tests.conftest import settings_for
from tests.process import GatewayProcess
from tests.soak.load import Known, load

CLIENTS = 8
#: What a process may keep beyond what it had after the same load before: the caches of its allocators.
_SLACK_BYTES = 48 * 2**20
#: Searches that open every connection to the database that there may be: they are opened when they are wanted.
_AT_ONCE = 64


@dataclass(frozen=True)
class Holding:
    """What a gateway holds while nobody asks anything of it."""

    descriptors: int
    resident_bytes: int
    uploads: int
    staging_files: int
    promised_bytes: int


async def holding(gateway: GatewayProcess) -> Holding:
    """As `/metrics` says, as soon as uploads that their clients left have ended."""
    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(_searched(session, gateway.url) for _ in range(_AT_ONCE)))
        while True:
            async with session.get(f"{gateway.url}/metrics") as answer:
                lines = (await answer.text()).splitlines()
            found = {name: float(value) for name, _, value in (line.partition(" ") for line in lines) if name[0] != "#"}
            if not found["artifactstore_uploads_in_flight"] and found["artifactstore_http_requests_in_flight"] == 1:
                return Holding(
                    int(found["process_open_fds"]),
                    int(found["process_resident_memory_bytes"]),
                    int(found["artifactstore_uploads_in_flight"]),
                    int(found["artifactstore_staging_files"]),
                    int(found["artifactstore_promised_bytes"]),
                )
            await asyncio.sleep(0.05)


async def _searched(session: aiohttp.ClientSession, url: str) -> None:
    async with session.get(f"{url}/v1/artifacts", params={"namespace": "soak", "limit": "1000"}) as answer:
        assert answer.status == 200
        await answer.read()


async def soak(root: Path, seconds: float, seed: int, tell: Callable[[str], None] = lambda line: None) -> Known:
    """Run for about so long, and check. AssertionError says what is not as it must be."""
    dice = random.Random(seed)
    known = Known()
    end = time.monotonic() + seconds * 0.6
    kills = 0
    while time.monotonic() < end:
        gateway = await asyncio.to_thread(GatewayProcess, root)
        await load(gateway.url, known, CLIENTS, dice, _killing(gateway, dice.uniform(1, 4)), kills=True)
        kills += 1
        tell(f"killed {kills} times; {len(known.kept)} objects kept, {len(known.deleted)} deleted")
    await _steady(root, seconds * 0.2, known, dice, tell)
    await check(root, known, tell)
    return known


def _killing(gateway: GatewayProcess, after: float) -> Callable[[], Awaitable[None]]:
    async def kill() -> None:
        await asyncio.sleep(after)
        await asyncio.to_thread(gateway.kill)

    return kill


async def _steady(root: Path, seconds: float, known: Known, dice: random.Random, tell: Callable[[str], None]) -> None:
    """The same load twice on one process: what it holds afterwards is what it held before."""
    gateway = await asyncio.to_thread(GatewayProcess, root)
    try:
        seen = []
        for _ in range(2):
            await load(gateway.url, known, CLIENTS, dice, lambda: asyncio.sleep(seconds))
            seen.append(await holding(gateway))
            tell(f"at rest: {seen[-1]}")
        first, second = seen
        assert second.descriptors <= first.descriptors, seen
        assert (second.uploads, second.staging_files, second.promised_bytes) == (0, 0, 0), seen
        assert second.resident_bytes <= first.resident_bytes + _SLACK_BYTES, seen
    finally:
        await asyncio.to_thread(gateway.stop)
    assert list((root / "staging").iterdir()) == []


async def check(root: Path, known: Known, tell: Callable[[str], None]) -> None:
    """Every acknowledged byte, version and package is there, no deleted object is, and the log is whole."""
    async with open_local(settings_for(root)) as store:
        for number, sha256 in enumerate(known.kept):
            assert (await store.verify_object(Digest.parse(f"sha256:{sha256}"))).verified, sha256
            if number % 500 == 0:
                tell(f"verified {number} of {len(known.kept)}")
        for sha256 in known.deleted - set(known.kept):
            record = await store.registry.object(Digest.parse(f"sha256:{sha256}"))
            assert record is not None
            assert record.state is ObjectState.PURGED, record
        for name, versions in known.versions.items():
            assert versions.items() <= (await _versions(store, name)).items(), name
        for package_id, manifest in known.packages.items():
            package = await store.package(UUID(package_id))
            assert str(package.manifest.blake3) == manifest
        assert await store.registry.deleting() == []
        assert await store.registry.verify_views() is None


async def _versions(store: Store, name: str) -> dict[int, str]:
    """All that are recorded of a name."""
    found, cursor = {}, None
    while True:
        page = await store.artifacts(namespace="soak", name=name, limit=1000, cursor=cursor)
        found.update({item.version: item.identity.sha256.hex for item in page.items})
        cursor = page.next
        if cursor is None:
            assert sorted(found) == list(range(1, len(found) + 1)), name
            return found
