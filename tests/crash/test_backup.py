"""A backup of a gateway under load, killed and said again; what it holds is restored."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import sys
from pathlib import Path

import aiohttp
import pytest

from artifactstore.bootstrap import open_local
from artifactstore.domain.digest import Digest
from tests.conftest import settings_for
from tests.process import GatewayProcess

WRITERS = 4
KILLS = 4


class Known:
    """What the gateway has confirmed, kept outside of it; of each object whether it may be gone."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}  # sha256 -> content, never deleted

    def snapshot(self) -> dict[str, bytes]:
        return dict(self.kept)


async def write(session: aiohttp.ClientSession, url: str, known: Known, dice: random.Random) -> None:
    """Upload, and delete every other object at once."""
    while True:
        data = dice.randbytes(dice.choice((0, 100, 5_000, 300_000)))
        async with session.put(f"{url}/v1/files/default/kept-{hashlib.sha256(data).hexdigest()}", data=data) as answer:
            assert answer.status == 201
        known.kept[hashlib.sha256(data).hexdigest()] = data
        bare = dice.randbytes(20_000)
        address = f"{url}/v1/objects/sha256:{hashlib.sha256(bare).hexdigest()}"
        async with session.put(address, data=io.BytesIO(bare)) as answer:
            assert answer.status == 201
        async with session.delete(address) as answer:
            assert answer.status == 204


async def run_backup(root: Path, backup: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "artifactstore", "backup", str(backup), "--root", str(root)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def check(root: Path, kept: dict[str, bytes]) -> None:
    async with open_local(settings_for(root)) as store:
        assert await store.registry.verify_views() is None
        for sha256, data in kept.items():
            digest = Digest.sha256(bytes.fromhex(sha256))
            async with await store.open_object(digest) as content:
                assert b"".join([chunk async for chunk in content.chunks()]) == data
        after = 0
        while page := await store.registry.events(after, 1000):  # no dangling reference, whatever it names
            after = page[-1].seq
            for event in page:
                if event.type == "object.stored":
                    record = await store.registry.object(Digest.parse(event.subject))
                    assert record is not None
                    if record.state.present:
                        assert (await store.verify_object(record.identity.blake3)).verified


@pytest.mark.timeout(600)  # nine processes are started
async def test_a_backup_under_load_that_is_killed_again_and_again_holds_all_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    dice = random.Random(20261129)
    known = Known()
    root, backup = tmp_path / "root", tmp_path / "backup"
    gateway = await asyncio.to_thread(GatewayProcess, root)
    async with aiohttp.ClientSession() as session:
        writers = [
            asyncio.create_task(write(session, gateway.url, known, random.Random(dice.random())))
            for _ in range(WRITERS)
        ]
        while len(known.kept) < 40:
            await asyncio.sleep(0.05)
        for number in range(KILLS):
            process = await run_backup(root, backup)
            # some time after it has begun to copy; each time further on
            while process.returncode is None and len(list(backup.glob("objects/*/*/*"))) < 10 * (number + 1):
                await asyncio.sleep(0.005)
            if process.returncode is None:
                process.kill()
            await process.communicate()
        before = known.snapshot()
        process = await run_backup(root, backup)
        out, err = await process.communicate()
        assert (process.returncode, err) == (0, b""), err
        assert out.startswith(b"backed up ")
        for writer in writers:
            assert not writer.done(), writer
            writer.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
    await asyncio.to_thread(gateway.stop)
    restoring = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "artifactstore", "restore", str(backup), "--root", str(tmp_path / "again"), "--verify")
    )
    assert await restoring.wait() == 0
    assert before
    await check(tmp_path / "again", before)
    async with open_local(settings_for(root)) as store:  # what the backups held up is removed
        assert await store.registry.deleting() == []
