"""A root made from a backup.

Theory of operation. The directory gets a marker first, which keeps everybody from opening it as a root. The database is
checked against the record, copied, and migrated if an older version made the backup. Objects are copied, each digested
on its way. When all is there and synced the marker is taken away, and the format file makes it a root. After a crash at
any step there is no root, or a whole one; restoring the same backup again goes on with the files that have their names.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from artifactstore.backups.copying import Copied, Copying, check
from artifactstore.backups.form import BackupRecord, Missing
from artifactstore.backups.taking import Announce, digest_of
from artifactstore.domain.errors import BackupError
from artifactstore.registry.migration import DATABASE_FILE
from artifactstore.registry.registry import Registry
from artifactstore.registry.snapshots import Snapshot
from artifactstore.storage.durability import storage_error, sync_directory
from artifactstore.storage.root import Root, finish_restoring, open_restoring, open_root


@dataclass(frozen=True, slots=True)
class Restored:
    """A root that was made: from which backup, and what was copied. `missing`: objects that the backup lacks."""

    record: BackupRecord
    copied: Copied

    @property
    def missing(self) -> list[Missing]:
        """Objects that the root's log names, and whose bytes are not there."""
        return self.copied.missing


def restore(source: Path, root: Path, *, announce: Announce | None = None) -> Restored:
    """Make a root from a backup, in an empty directory, or where the same was broken off.

    BackupError: there is no whole backup in `source`. RootFormatError, RootLockedError, RootError: `root` is not empty,
    or in use. StorageError, StorageFullError.
    """
    record = BackupRecord.read(source)
    if record is None:
        raise BackupError(f"{source} is not a backup, or one that was never finished: it has no backup.json")
    _check_database(source, record)
    restored = open_restoring(root, record.name)
    try:
        try:
            for entry in (*restored.staging.iterdir(), *restored.registry.iterdir()):
                entry.unlink()
            _bring_database(source / record.database, restored)
        except OSError as error:
            raise storage_error(f"{root} could not be restored", error) from error
        asyncio.run(_migrate(restored))
        with Snapshot(restored.registry / DATABASE_FILE) as snapshot:
            progress = None if announce is None else announce(snapshot.volume()[1])
            copied = Copying(source / "objects", restored.objects, restored.staging).run(snapshot.objects(), progress)
        finish_restoring(restored)
    finally:
        restored.close()
    return Restored(record, copied)


def check_objects(root: Path, *, announce: Announce | None = None) -> list[Missing]:
    """Read and digest all objects of a root that nobody writes; those that are missing or different."""
    opened = open_root(root, writer=False)
    with Snapshot(opened.registry / DATABASE_FILE) as snapshot:
        progress = None if announce is None else announce(snapshot.volume()[1])
        return check(snapshot.objects(), opened.objects, progress)


def _check_database(source: Path, record: BackupRecord) -> None:
    file = source / record.database
    try:
        found = digest_of(file)
    except OSError as error:
        raise BackupError(f"{file} cannot be read: {error.strerror or error}") from error
    if found != record.database_sha256:
        raise BackupError(f"{file} is not what was backed up: its SHA-256 is {found}, not {record.database_sha256}")


def _bring_database(file: Path, root: Root) -> None:
    fresh = root.staging / DATABASE_FILE
    shutil.copyfile(file, fresh)
    descriptor = os.open(fresh, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.rename(root.registry / DATABASE_FILE)
    sync_directory(root.registry)


async def _migrate(root: Root) -> None:
    """Bring the database to this version's schema and views."""
    registry = await Registry.open(root.registry, reserve=None)
    await registry.close()
