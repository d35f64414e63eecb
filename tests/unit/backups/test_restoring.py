from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from itertools import count
from pathlib import Path

import pytest

from artifactstore.backups.restoring import check_objects, restore
from artifactstore.backups.taking import take
from artifactstore.bootstrap import open_local
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import BackupError, RootFormatError, RootLockedError, StorageFullError
from artifactstore.storage import root as layout
from artifactstore.storage.root import RESTORING, open_restoring, open_root
from tests.backends import shared_memory
from tests.conftest import settings_for
from tests.syscalls import Crash, Syscalls, descriptors_under
from tests.unit.backups.conftest import CONTENTS, contents_of, put

__all__ = ["shared_memory"]


@pytest.fixture
async def backup(root: Path, tmp_path: Path, filled: dict[Digest, bytes]) -> Path:
    await asyncio.to_thread(take, root, tmp_path / "backup")
    return tmp_path / "backup"


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    return tmp_path / "fresh"


async def test_a_restored_root_goes_on_where_the_backup_ended(
    backup: Path, fresh: Path, filled: dict[Digest, bytes]
) -> None:
    fresh.mkdir()
    await asyncio.to_thread(restore, backup, fresh)
    assert sorted(entry.name for entry in fresh.iterdir()) == ["format", "lock", "objects", "registry", "staging"]
    async with open_local(settings_for(fresh)) as store:
        assert await store.registry.head() == len(filled) + 1  # a file has two events
        await put(store, b"further")
        assert await store.registry.head() == len(filled) + 2
    assert len(await contents_of(fresh)) == len(filled) + 1


async def test_what_is_not_empty_is_refused(backup: Path, fresh: Path, root: Path) -> None:
    with pytest.raises(RootFormatError, match="is a root already"):
        await asyncio.to_thread(restore, backup, root)
    fresh.mkdir()
    (fresh / "file").write_bytes(b"")
    with pytest.raises(RootFormatError, match="is not empty"):
        await asyncio.to_thread(restore, backup, fresh)


async def test_what_is_no_whole_backup_is_refused(backup: Path, fresh: Path) -> None:
    database = next(backup.glob("log-*.sqlite3"))
    changed = bytearray(database.read_bytes())
    changed[-1] ^= 1
    database.write_bytes(changed)
    with pytest.raises(BackupError, match="is not what was backed up"):
        await asyncio.to_thread(restore, backup, fresh)
    database.unlink()
    with pytest.raises(BackupError, match="cannot be read"):
        await asyncio.to_thread(restore, backup, fresh)
    (backup / "backup.json").unlink()
    with pytest.raises(BackupError, match="never finished"):
        await asyncio.to_thread(restore, backup, fresh)
    assert not fresh.exists()


async def test_a_root_that_is_being_restored_is_no_root(backup: Path, fresh: Path) -> None:
    restoring = open_restoring(fresh, "a backup")
    for writer in (True, False):
        with pytest.raises(RootFormatError, match="is being restored"):
            open_root(fresh, writer=writer)
    with pytest.raises(RootFormatError, match="a part of another backup, a backup"):
        await asyncio.to_thread(restore, backup, fresh)
    with pytest.raises(RootLockedError):
        open_restoring(fresh, "a backup")
    restoring.close()
    open_restoring(fresh, "a backup").close()


async def test_rot_in_the_backup_is_named_and_nothing_false_is_restored(
    backup: Path, fresh: Path, filled: dict[Digest, bytes]
) -> None:
    victim = next(digest for digest, data in filled.items() if data == CONTENTS[2])
    file = backup / "objects" / "blake3" / victim.hex[:2] / victim.hex
    file.chmod(0o600)
    file.write_bytes(bytes(len(CONTENTS[2])))
    restored = await asyncio.to_thread(restore, backup, fresh)
    assert [(item.address, item.reason) for item in restored.missing] == [(str(victim), "digest-mismatch")]
    assert len([path for path in (fresh / "objects").rglob("*") if path.is_file()]) == len(filled) - 1
    found = await asyncio.to_thread(check_objects, fresh)
    assert [(item.address, item.reason) for item in found] == [(str(victim), "missing")]


async def test_checking_reads_what_was_restored(backup: Path, fresh: Path, filled: dict[Digest, bytes]) -> None:
    await asyncio.to_thread(restore, backup, fresh)
    assert await asyncio.to_thread(check_objects, fresh) == []
    victim = next(digest for digest, data in filled.items() if data == CONTENTS[3])
    file = fresh / "objects" / "blake3" / victim.hex[:2] / victim.hex
    file.chmod(0o600)
    file.write_bytes(bytes(len(CONTENTS[3])))
    found = await asyncio.to_thread(check_objects, fresh)
    assert [(item.address, item.reason) for item in found] == [(str(victim), "digest-mismatch")]


async def test_a_backup_of_an_older_version_is_migrated(backup: Path, fresh: Path, filled: dict[Digest, bytes]) -> None:
    """As one whose views were folded by other rules: they are folded anew."""
    import hashlib

    database = next(backup.glob("log-*.sqlite3"))
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE meta SET value = '1' WHERE key = 'views_version'")
    connection.close()
    record = json.loads((backup / "backup.json").read_text())
    record["database_sha256"] = hashlib.sha256(database.read_bytes()).hexdigest()
    (backup / "backup.json").write_text(json.dumps(record))
    await asyncio.to_thread(restore, backup, fresh)
    assert await contents_of(fresh) == filled


# --- what breaks off --------------------------------------------------------------------------------------------------


@pytest.fixture
def syscalls(shared_memory: Path, monkeypatch: pytest.MonkeyPatch) -> Syscalls:
    monkeypatch.setattr(layout, "SHARDS", 3)  # they are made alike; what is missing is made when it is needed
    return Syscalls(shared_memory, monkeypatch)


async def test_restoring_that_was_broken_off_anywhere_is_no_root_or_a_whole_one_and_goes_on(
    backup: Path, shared_memory: Path, filled: dict[Digest, bytes], syscalls: Syscalls
) -> None:
    fresh = shared_memory / "fresh"
    for nth in count(1):
        crashed = False
        try:
            with syscalls.crashing(nth):
                await asyncio.to_thread(restore, backup, fresh)
        except Crash:
            crashed = True
        if (fresh / RESTORING).exists():
            with pytest.raises(RootFormatError):
                open_root(fresh, writer=True)
            await asyncio.to_thread(restore, backup, fresh)
        elif not (fresh / "objects").exists():  # nothing yet
            await asyncio.to_thread(restore, backup, fresh)
        assert await contents_of(fresh) == filled  # opened, and so finished, where only the format file was missing
        shutil.rmtree(fresh)
        if not crashed:
            break
    assert nth > 30
    assert descriptors_under(shared_memory) == []


async def test_a_full_disk_ends_it_and_it_goes_on(
    backup: Path, shared_memory: Path, filled: dict[Digest, bytes], syscalls: Syscalls
) -> None:
    fresh = shared_memory / "fresh"
    with syscalls.failing("write", error=28, path="fresh/staging"), pytest.raises(StorageFullError):
        await asyncio.to_thread(restore, backup, fresh)
    assert list((fresh / "staging").iterdir()) == []
    await asyncio.to_thread(restore, backup, fresh)
    assert await contents_of(fresh) == filled
