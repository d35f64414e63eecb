from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
from itertools import count
from pathlib import Path

import pytest

from artifactstore import lifecycle
from artifactstore.backups import taking
from artifactstore.backups.copying import Copying
from artifactstore.backups.form import BackupRecord
from artifactstore.backups.restoring import restore
from artifactstore.backups.taking import Taken
from artifactstore.bootstrap import open_local
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import ArtifactStoreError, BackupError, StorageError, StorageFullError
from artifactstore.registry.snapshots import Snapshot
from artifactstore.storage.root import Root, object_key
from tests.backends import shared_memory
from tests.conftest import settings_for
from tests.syscalls import Crash, Syscalls
from tests.unit.backups.conftest import CONTENTS, contents_of, put

__all__ = ["shared_memory"]


async def take(root: Path, backup: Path, *, verify: bool = False) -> Taken:
    return await asyncio.to_thread(taking.take, root, backup, verify=verify)


async def restored(backup: Path, root: Path) -> dict[Digest, bytes]:
    await asyncio.to_thread(restore, backup, root)
    return await contents_of(root)


def held(backup: Path) -> dict[Digest, bytes] | None:
    """What a backup holds of what its log names; None if it is none."""
    record = BackupRecord.read(backup)
    if record is None:
        return None
    with Snapshot(backup / record.database) as snapshot:
        return {
            item.identity.blake3: (backup / "objects" / object_key(item.address)).read_bytes()
            for item in snapshot.objects()
        }


def files_of(backup: Path) -> list[Path]:
    return [path for path in (backup / "objects").rglob("*") if path.is_file()]


def file_of(directory: Path, digest: Digest) -> Path:
    return directory / "objects" / "blake3" / digest.hex[:2] / digest.hex


async def test_a_backup_is_restored_to_what_was_there(
    root: Path, backup: Path, tmp_path: Path, filled: dict[Digest, bytes]
) -> None:
    taken = await take(root, backup)
    assert (taken.record.objects, taken.copied.objects) == (len(filled), len(filled))
    assert taken.record.size_bytes == sum(map(len, filled.values()))
    assert taken.record.missing == ()
    assert sorted(entry.name for entry in backup.iterdir()) == [
        *("backup.json", "lock", taken.record.database, "objects", "partial")
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in files_of(backup)} == {0o440}
    assert await restored(backup, tmp_path / "again") == filled == await contents_of(root)


async def test_it_is_made_beside_the_writer_and_is_of_one_moment(root: Path, backup: Path, tmp_path: Path) -> None:
    async with open_local(settings_for(root)) as store:
        before = {await put(store, data): data for data in CONTENTS}
        taken = await take(root, backup)
        await put(store, b"after it")
    assert taken.record.seq == len(CONTENTS)
    assert await restored(backup, tmp_path / "again") == before


async def test_what_is_deleted_while_it_is_made_is_in_it_and_is_removed_afterwards(
    root: Path, backup: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every object is deleted, and one uploaded again, between the snapshot and the first copy."""
    monkeypatch.setattr(lifecycle, "KEPT_SECONDS", 0.01)
    async with open_local(settings_for(root)) as store:
        before = {await put(store, data): data for data in CONTENTS}
        loop = asyncio.get_running_loop()
        inner = Copying.run

        async def delete_all() -> None:
            for digest in before:
                await store.delete_object(digest)
                record = await store.registry.object(digest)
                assert record is not None
                assert not record.state.present
            await put(store, CONTENTS[1])

        def run(self: Copying, *arguments: object) -> object:
            asyncio.run_coroutine_threadsafe(delete_all(), loop).result()
            return inner(self, *arguments)  # type: ignore[arg-type]  # passed on as they came

        monkeypatch.setattr(Copying, "run", run)
        taken = await take(root, backup)
        monkeypatch.undo()
        while await store.registry.deleting():
            await asyncio.sleep(0.01)
    assert taken.record.missing == ()
    left = [path.name for path in (root / "objects").rglob("*") if path.is_file()]
    assert left == [digest.hex for digest, data in before.items() if data == CONTENTS[1]]
    assert await restored(backup, tmp_path / "again") == before


async def test_deletions_that_a_backup_put_off_are_finished_by_the_next_start(root: Path) -> None:
    async with open_local(settings_for(root)) as store:
        digest = await put(store, b"one")
        with Root(root).kept():
            await store.delete_object(digest)
            assert file_of(root, digest).exists()
    async with open_local(settings_for(root)) as store:
        assert not file_of(root, digest).exists()
        assert await store.registry.deleting() == []


async def test_an_earlier_backup_gets_what_is_new_and_loses_what_was_deleted(
    root: Path, backup: Path, tmp_path: Path, filled: dict[Digest, bytes]
) -> None:
    await take(root, backup)
    deleted = next(digest for digest, data in filled.items() if data == CONTENTS[1])
    async with open_local(settings_for(root)) as store:
        await store.delete_object(deleted)
        new = await put(store, b"new")
    (backup / "objects" / "blake3" / "00").mkdir(exist_ok=True)
    (backup / "objects" / "blake3" / "00" / "stray").write_bytes(b"")
    taken = await take(root, backup)
    assert (taken.copied.objects, taken.copied.size_bytes, taken.removed) == (1, 3, 2)
    assert not file_of(backup, deleted).exists()
    again = await take(root, backup)
    assert (again.copied.objects, again.removed) == (0, 0)
    del filled[deleted]
    assert await restored(backup, tmp_path / "again") == {**filled, new: b"new"}


@pytest.mark.parametrize("harm", ["changed", "cut", "missing", "directory"])
async def test_damaged_objects_are_named_and_the_others_are_there(
    harm: str, root: Path, backup: Path, tmp_path: Path, filled: dict[Digest, bytes]
) -> None:
    victim = next(digest for digest, data in filled.items() if data == CONTENTS[2])
    file = file_of(root, victim)
    file.chmod(0o600)
    if harm == "changed":
        file.write_bytes(bytes(len(CONTENTS[2])))
    elif harm == "cut":
        file.write_bytes(CONTENTS[2][:-1])
    else:
        file.unlink()
        if harm == "directory":
            file.mkdir()
    reason = {"missing": "missing", "directory": "not a file"}.get(harm, "digest-mismatch")
    taken = await take(root, backup)
    assert [(item.address, item.reason) for item in taken.record.missing] == [(str(victim), reason)]
    assert len(files_of(backup)) == len(filled) - 1
    again = await asyncio.to_thread(restore, backup, tmp_path / "again")
    assert [(item.address, item.reason) for item in again.missing] == [(str(victim), "missing")]


async def test_a_copy_that_rotted_in_the_backup_is_found_and_mended_on_demand(
    root: Path, backup: Path, tmp_path: Path, filled: dict[Digest, bytes]
) -> None:
    await take(root, backup)
    victim = file_of(backup, next(digest for digest, data in filled.items() if data == CONTENTS[3]))
    victim.chmod(0o600)
    victim.write_bytes(bytes(len(CONTENTS[3])))
    assert (await take(root, backup)).copied.objects == 0  # its size is right
    assert (await take(root, backup, verify=True)).copied.objects == 1
    assert await restored(backup, tmp_path / "again") == filled


async def test_a_sound_copy_in_the_backup_outlives_damage_in_the_root(
    root: Path, backup: Path, tmp_path: Path, filled: dict[Digest, bytes]
) -> None:
    await take(root, backup)
    victim = next(digest for digest, data in filled.items() if data == CONTENTS[2])
    file_of(root, victim).unlink()
    taken = await take(root, backup, verify=True)
    assert taken.record.missing == ()
    await asyncio.to_thread(restore, backup, tmp_path / "again")
    assert (await contents_of(tmp_path / "again")) == filled


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_what_is_no_place_for_a_backup_is_refused(
    root: Path, backup: Path, tmp_path: Path, filled: dict[Digest, bytes]
) -> None:
    other = tmp_path / "other"
    async with open_local(settings_for(other)):
        pass
    for place in (root, root / "backup", root.parent):
        with pytest.raises(BackupError, match="lie within each other"):
            await take(root, place)
    with pytest.raises(BackupError, match="is not a backup: it holds 'format'"):
        await take(root, other)
    with pytest.raises(BackupError, match="nothing to back up"):
        await take(tmp_path / "nowhere", backup)
    assert not (tmp_path / "nowhere").exists()
    await take(other, backup)
    with pytest.raises(BackupError, match="of another log"):
        await take(root, backup)


async def test_a_log_that_went_another_way_does_not_replace_a_backup(
    root: Path, backup: Path, tmp_path: Path, filled: dict[Digest, bytes]
) -> None:
    """As after restoring an older copy and going on: what only the backup holds would be lost."""
    older = tmp_path / "older"
    shutil.copytree(root, older)
    async with open_local(settings_for(root)) as store:
        await put(store, b"on one way")
    await take(root, backup)
    with pytest.raises(BackupError, match="which this log does not have"):
        await take(older, backup)
    async with open_local(settings_for(older)) as store:
        await put(store, b"on the other")
        await put(store, b"and further")
    with pytest.raises(BackupError, match="which this log does not have, or has otherwise"):
        await take(older, backup)
    record = BackupRecord.read(backup)
    assert record is not None
    assert record.seq == len(filled) + 2  # a file has two events


async def test_two_backups_into_one_directory_exclude_each_other(
    root: Path, backup: Path, filled: dict[Digest, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = Copying.run

    def run(self: Copying, *arguments: object) -> object:
        with pytest.raises(BackupError, match="another backup is being made"):
            taking.take(root, backup)
        return inner(self, *arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(Copying, "run", run)
    assert (await take(root, backup)).copied.objects == len(filled)


# --- what breaks off --------------------------------------------------------------------------------------------------


@pytest.fixture
def syscalls(shared_memory: Path, monkeypatch: pytest.MonkeyPatch) -> Syscalls:
    return Syscalls(shared_memory, monkeypatch)


async def two_roots(where: Path) -> tuple[Path, Path, dict[Digest, bytes], dict[Digest, bytes]]:
    """A root as it was, and as it went on; what each holds."""
    old, new = where / "old", where / "new"
    async with open_local(settings_for(old)) as store:
        first = {await put(store, data): data for data in CONTENTS[:3]}
    shutil.copytree(old, new)
    async with open_local(settings_for(new)) as store:
        gone = next(digest for digest, data in first.items() if data == b"one")
        await store.delete_object(gone)
        added = {await put(store, b"new"): b"new", await put(store, CONTENTS[3]): CONTENTS[3]}
    kept = {digest: data for digest, data in first.items() if digest != gone}
    return old, new, first, {**kept, **added}


async def test_one_that_was_broken_off_anywhere_is_the_earlier_or_the_new_and_goes_on(
    shared_memory: Path, tmp_path: Path, syscalls: Syscalls
) -> None:
    old, new, before, after = await two_roots(tmp_path)
    earlier, backup = tmp_path / "earlier", shared_memory / "backup"
    await take(old, earlier)
    seen = set()
    for nth in count(1):
        shutil.copytree(earlier, backup)
        crashed = False
        try:
            with syscalls.crashing(nth):
                await take(new, backup)
        except Crash:
            crashed = True
        found = held(backup)
        assert found in (before, after)
        seen.add(len(found or {}))
        await take(new, backup)
        assert held(backup) == after
        assert len(files_of(backup)) == len(after)
        assert list((backup / "partial").iterdir()) == []
        shutil.rmtree(backup)
        if not crashed:
            break
    assert nth > 20
    assert seen == {len(before), len(after)}


async def test_the_first_one_that_was_broken_off_is_none(
    shared_memory: Path, tmp_path: Path, syscalls: Syscalls
) -> None:
    old, _, before, _ = await two_roots(tmp_path)
    backup = shared_memory / "backup"
    for nth in count(1):
        try:
            with syscalls.crashing(nth):
                await take(old, backup)
        except Crash:
            pass
        else:
            break
        if held(backup) is None:
            with pytest.raises(BackupError, match="is not a backup, or one that was never finished"):
                await asyncio.to_thread(restore, backup, tmp_path / "again")
            assert not (tmp_path / "again").exists()
        await take(old, backup)
        assert held(backup) == before
        shutil.rmtree(backup)
    assert nth > 20


@pytest.mark.parametrize("beside", ["", "-journal", "-wal", "-shm"])
async def test_one_that_was_killed_while_the_log_was_copied_goes_on(
    root: Path, backup: Path, filled: dict[Digest, bytes], beside: str
) -> None:
    for _ in range(2):
        left = backup / f"log-0.sqlite3.new{beside}"
        backup.mkdir(exist_ok=True)
        left.write_bytes(b"what SQLite had written")
        await take(root, backup)
        assert not left.exists()
        assert held(backup) == filled


async def test_nothing_is_named_before_it_is_durable(shared_memory: Path, tmp_path: Path, syscalls: Syscalls) -> None:
    old, *_ = await two_roots(tmp_path)
    await take(old, shared_memory / "backup")
    calls = syscalls.trace("rename", "fsync", "fdatasync", "mkdir")
    done = calls.index("rename backup/backup.json.new backup/backup.json")
    assert calls[done - 1] == "fsync backup/backup.json.new"
    assert calls[done + 1] == "fsync backup"
    for position, call in enumerate(calls[:done]):
        kind, *paths = call.split(" ")
        if kind == "rename":
            synced = {f"fsync {paths[0]}", f"fdatasync {paths[0]}"}
            assert synced & set(calls[:position]), call
        if kind in ("rename", "mkdir") and not call.endswith("/partial"):  # which is empty, and only for a run
            assert f"fsync {Path(paths[-1]).parent}" in calls[position:done], call


async def test_a_full_disk_ends_it_with_the_earlier_one_whole(
    shared_memory: Path, tmp_path: Path, syscalls: Syscalls
) -> None:
    old, new, _, after = await two_roots(tmp_path)
    backup = shared_memory / "backup"
    await take(old, backup)
    with syscalls.failing("write", error=28, path="backup/partial"), pytest.raises(StorageFullError):
        await take(new, backup)
    assert list((backup / "partial").iterdir()) == []
    record = BackupRecord.read(backup)
    assert record is not None
    assert record.seq == 3
    await take(new, backup)
    assert await restored(backup, tmp_path / "again") == after


@pytest.mark.parametrize(
    ("calls", "path"),
    [
        (("fdatasync", "unlink"), "backup/partial"),  # what was begun cannot be removed either
        (("fsync",), "backup/objects"),
        (("fsync",), "backup/log-0.sqlite3.new"),
        (("unlink",), "backup/objects"),
    ],
)
async def test_a_disk_that_goes_on_failing_ends_it_with_an_error_of_the_stores_own(
    shared_memory: Path, tmp_path: Path, syscalls: Syscalls, calls: tuple[str, ...], path: str
) -> None:
    old, new, _, after = await two_roots(tmp_path)
    backup = shared_memory / "backup"
    await take(old, backup)
    with syscalls.failing(*calls, error=5, path=path), pytest.raises(ArtifactStoreError, match="Input/output error"):
        await take(new, backup)
    await take(new, backup)
    assert held(backup) == after


async def test_an_error_that_is_not_an_objects_ends_it(
    root: Path, backup: Path, filled: dict[Digest, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> int:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr(os, "readv", refuse)
    with pytest.raises(StorageError, match="Too many open files"):
        await take(root, backup)
    assert BackupRecord.read(backup) is None


async def test_a_record_is_read_as_it_was_written_or_not_at_all(tmp_path: Path) -> None:
    assert BackupRecord.read(tmp_path) is None
    record = BackupRecord("log", 3, "ab" * 32, "2026-01-01T00:00:00.000000Z", "0.1.0", "log-3.sqlite3", "cd" * 32, 1, 2)
    record.write(tmp_path)
    assert BackupRecord.read(tmp_path) == record
    file = tmp_path / "backup.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "format": 2}))
    with pytest.raises(BackupError, match="is of format 2, this version knows 1"):
        BackupRecord.read(tmp_path)
    for other in (
        "",
        "[]",
        "{}",
        json.dumps({**document, "database": "../../etc/passwd"}),
        json.dumps({**document, "seq": -1}),
    ):
        file.write_text(other)
        with pytest.raises(BackupError, match="is not the record of a backup"):
            BackupRecord.read(tmp_path)


async def test_progress_counts_every_byte(root: Path, backup: Path, filled: dict[Digest, bytes]) -> None:
    totals: list[int] = []
    steps: list[int] = []

    def announce(total: int) -> object:
        totals.append(total)
        return steps.append

    await asyncio.to_thread(taking.take, root, backup, announce=announce)  # type: ignore[arg-type]
    assert totals == [sum(steps)] == [sum(map(len, filled.values()))]
