"""`kill -9` under load: what was acknowledged is there, what was not is absent or whole, the log has no gap."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import sys
from pathlib import Path

import aiohttp

from artifactstore.bootstrap import open_local
from artifactstore.domain.digest import Digest
from tests.conftest import settings_for
from tests.process import GatewayProcess

WRITERS = 6
ROUNDS = 4


class Acknowledged:
    """What the gateway has confirmed, kept outside of it."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}  # sha256 -> content
        self.versions: dict[str, dict[int, str]] = {}  # name -> version -> sha256
        self.deleted: set[str] = set()


async def write(
    session: aiohttp.ClientSession, url: str, known: Acknowledged, writer: int, dice: random.Random
) -> None:
    """Upload, upload again, delete, without end: the gateway dies under it."""
    name = f"writer-{writer}"
    while True:
        data = dice.randbytes(dice.choice((0, 100, 5_000, 300_000, 2_000_000)))
        sha256 = hashlib.sha256(data).hexdigest()
        known.deleted.discard(sha256)  # once this is sent, either outcome is right until it is acknowledged
        async with session.put(f"{url}/v1/files/default/{name}", data=io.BytesIO(data)) as answer:
            assert answer.status == 201
            record = await answer.json()
        known.objects[sha256] = data
        known.versions.setdefault(name, {})[record["version"]] = sha256
        bare = dice.randbytes(2_000)
        digest = hashlib.sha256(bare).hexdigest()
        async with session.put(f"{url}/v1/objects/sha256:{digest}", data=bare) as answer:
            assert answer.status == 201
        known.objects[digest] = bare
        if dice.random() < 0.5:
            del known.objects[digest]  # from here on it may be gone
            async with session.delete(f"{url}/v1/objects/sha256:{digest}") as answer:
                assert answer.status == 204
            known.deleted.add(digest)


async def run_until_killed(gateway: GatewayProcess, known: Acknowledged, dice: random.Random) -> None:
    async with aiohttp.ClientSession() as session:
        writers = [
            asyncio.create_task(write(session, gateway.url, known, writer, random.Random(dice.random())))
            for writer in range(WRITERS)
        ]
        await asyncio.sleep(dice.uniform(0.2, 0.9))  # when the power fails
        await asyncio.to_thread(gateway.kill)
        for outcome in await asyncio.gather(*writers, return_exceptions=True):
            assert isinstance(outcome, aiohttp.ClientError | ConnectionError), outcome


async def check(root: Path, known: Acknowledged) -> None:
    async with open_local(settings_for(root)) as store:
        assert list((root / "staging").iterdir()) == []
        for sha256, data in known.objects.items():
            digest = Digest.sha256(bytes.fromhex(sha256))
            assert (await store.verify_object(digest)).verified
            async with await store.open_object(digest) as content:
                assert b"".join([chunk async for chunk in content.chunks()]) == data
        for name, versions in known.versions.items():
            page = await store.artifacts(namespace="default", name=name, limit=1000)
            recorded = {item.version: item.identity.sha256.hex for item in page.items}
            assert versions.items() <= recorded.items()
            assert sorted(recorded) == list(range(1, len(recorded) + 1))
            for item in page.items:  # also those whose answer never arrived: no dangling reference
                assert (await store.verify_object(item.identity.blake3)).verified
        for sha256 in known.deleted:
            record = await store.registry.object(Digest.sha256(bytes.fromhex(sha256)))
            assert record is not None
            assert not record.state.present
        assert await store.registry.deleting() == []
        assert await store.registry.verify_views() is None


async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    dice = random.Random(20261123)
    known = Acknowledged()
    root = tmp_path / "root"
    for _ in range(ROUNDS):
        gateway = await asyncio.to_thread(GatewayProcess, root)
        await run_until_killed(gateway, known, dice)
        await check(root, known)
    assert known.objects
    assert known.deleted


async def test_a_second_process_on_the_root_is_one_line_and_exit_1(tmp_path: Path) -> None:
    gateway = await asyncio.to_thread(GatewayProcess, tmp_path / "root")
    try:
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "artifactstore", "serve", "--root", str(tmp_path / "root"), "--port", "0"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await second.communicate()
        assert (second.returncode, out) == (1, b"")
        lines = err.decode().splitlines()
        assert len(lines) == 1
        assert str(gateway.process.pid) in lines[0]
    finally:
        await asyncio.to_thread(gateway.stop)
