"""A disk whose directories are not in memory: they are read in a thread, never by the loop."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from artifactstore.bootstrap import open_local
from artifactstore.storage.backends import localfs
from artifactstore.storage.cached import open_cached
from tests.conftest import settings_for

FLAGS = localfs._OPEN_FLAGS


def look(file: Path) -> bool:
    """Whether the kernel can open it at once."""
    descriptor = open_cached(str(file), FLAGS)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is not None


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each file that the store asked the kernel to open at once, whether it was."""
    outcomes: list[bool] = []

    def asked(path: str, flags: int) -> int | None:
        descriptor = open_cached(path, flags)
        outcomes.append(descriptor is not None)
        return descriptor

    monkeypatch.setattr(localfs, "open_cached", asked)
    return outcomes


async def test_what_is_not_in_memory_is_not_opened_at_once_and_is_read_all_the_same(
    small_disk: Path, at_once: list[bool]
) -> None:
    content = os.urandom(2**20)
    async with open_local(settings_for(small_disk / "root")) as store:
        stored = await store.put_object(content)
    (file,) = (path for path in (small_disk / "root" / "objects").rglob("*") if path.is_file())
    assert look(file)
    subprocess.run(["umount", small_disk], check=True)
    subprocess.run(["mount", "-o", "loop", small_disk.with_name("image"), small_disk], check=True)
    async with open_local(settings_for(small_disk / "root")) as store:
        assert not look(file)
        for outcomes in ([False], [False, True]):  # the first opening reads the directories
            async with await store.open_object(stored.identity.blake3) as opened:
                assert b"".join([chunk async for chunk in opened.chunks()]) == content
            assert at_once == outcomes
