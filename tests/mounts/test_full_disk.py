"""A disk that is really full: uploads are refused, downloads and deletions go on (invariant 10)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from artifactstore.bootstrap import open_local
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import StorageFullError
from artifactstore.store import Store
from tests.conftest import settings_for

MEBIBYTE = 2**20


async def read(store: Store, digest: Digest) -> bytes:
    async with await store.open_object(digest) as content:
        return b"".join([chunk async for chunk in content.chunks()])


def fill(disk: Path) -> Path:
    """Take every byte that is left, as somebody else on the disk would."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (MEBIBYTE, 4096, 1):
            with pytest.raises(OSError, match="No space left"):
                while True:
                    file.write(bytes(size))
        os.fsync(file.fileno())
    return filler


async def test_uploads_stop_and_downloads_and_deletions_go_on(small_disk: Path) -> None:
    settings = settings_for(small_disk / "root", log_reserve_bytes=4 * MEBIBYTE)
    async with open_local(settings) as store:
        kept = await store.put_object(os.urandom(MEBIBYTE))
        given_up = [await store.put_object(os.urandom(5 * MEBIBYTE)) for _ in range(4)]
        await store.put_file("default", "named", os.urandom(1000))
        filler = fill(small_disk)
        head = await store.registry.head()

        for size in (0, 10, 3 * MEBIBYTE):  # an empty one needs no block of its own, but its event does
            with pytest.raises(StorageFullError):
                for _ in range(2000):  # the log's last page may have room for a few events
                    await store.put_object(os.urandom(size) if size else os.urandom(1), namespace="other")
        assert len(await read(store, kept.identity.blake3)) == MEBIBYTE

        await store.delete_file("default", "named")
        for stored in given_up:
            await store.delete_object(stored.identity.blake3)
        assert await store.registry.verify_views() is None
        again = await store.put_object(os.urandom(3 * MEBIBYTE))  # there is room again
        assert (await store.verify_object(again.identity.blake3)).verified
        assert await store.registry.head() > head
        assert (settings.root / "reserve").stat().st_size == 4 * MEBIBYTE, "the reserve is whole again"
        filler.unlink()
    async with open_local(settings) as store:
        assert await store.registry.verify_views() is None
        assert await store.registry.deleting() == []
        assert (await store.verify_object(kept.identity.blake3)).verified
