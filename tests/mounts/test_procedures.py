"""What docs/operations.md says to do with a file system, done to one under an open store."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from artifactstore.bootstrap import open_local
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import StorageFullError
from tests.conftest import settings_for
from tests.crash import volume

MEBIBYTE = 2**20


async def test_a_full_file_system_that_is_grown_is_gone_on_with(tmp_path: Path) -> None:
    """In memory: not every host lets ext4 grow."""
    with volume.memory(tmp_path / "memory", "size=64m") as place:
        async with open_local(settings_for(place / "root", log_reserve_bytes=4 * MEBIBYTE)) as store:
            kept = await store.put_object(os.urandom(MEBIBYTE))
            with pytest.raises(StorageFullError):
                while True:
                    await store.put_object(os.urandom(8 * MEBIBYTE))
            volume.grow(place)
            stored = await store.put_object(os.urandom(32 * MEBIBYTE))
            for digest in (kept.identity.blake3, stored.identity.blake3):
                assert (await store.verify_object(digest)).verified


async def test_a_snapshot_of_the_file_system_is_a_backup(small_disk: Path, tmp_path: Path) -> None:
    """Taken under eight writers; the root in it has all that was acknowledged before."""
    acknowledged: list[Digest] = []
    copy, place = tmp_path / "snapshot", tmp_path / "mounted"
    async with open_local(settings_for(small_disk / "root", log_reserve_bytes=4 * MEBIBYTE)) as store:

        async def write(size: int) -> None:
            while not copy.exists() or len(acknowledged) < 50:
                stored = await store.put_object(os.urandom(size))
                acknowledged.append(stored.identity.blake3)

        async with asyncio.TaskGroup() as writers:
            for number in range(8):
                writers.create_task(write(1000 if number else 100_000))
            while len(acknowledged) < 20:
                await asyncio.sleep(0)
            before = list(acknowledged)
            await asyncio.to_thread(_snapshot, small_disk, copy)
    with volume.mounted(copy, place):
        async with open_local(settings_for(place / "root")) as store:
            assert await store.registry.verify_views() is None
            for digest in before:
                assert (await store.verify_object(digest)).verified
            await store.put_object(b"and it goes on")


def _snapshot(disk: Path, copy: Path) -> None:
    """As LVM does it: the file system stands still while its blocks are set aside."""
    subprocess.run(["fsfreeze", "--freeze", disk], check=True)
    try:
        volume.copy_image(disk.with_name("image"), copy)
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", disk], check=True)
