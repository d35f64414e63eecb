"""A backup of a root, beside the process that serves it.

Theory of operation. While this runs, the root's files are kept: a deletion is recorded, and its bytes go later
(`storage.root.Root.kept`). So the snapshot of the log is taken first, all that it names is still there, and copying may
take its time: the backup is the root as it was at the snapshot, whatever is uploaded and deleted meanwhile. What an
earlier backup in the same directory holds already is not copied again. That one is whole until the record is
replaced, in one rename; only then is removed what the new one does not name.

After a crash at any step the directory is the earlier backup, or the new one, or none yet; the next run goes on with
the files that have their names.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from artifactstore.backups.copying import Copied, Copying, Progress
from artifactstore.backups.form import BackupRecord, databases, locked, refuse_foreign, unusable
from artifactstore.domain.digest import Algorithm
from artifactstore.domain.errors import BackupError
from artifactstore.registry import snapshots
from artifactstore.registry.envelope import timestamp
from artifactstore.registry.migration import DATABASE_FILE
from artifactstore.registry.snapshots import Snapshot
from artifactstore.storage.durability import make_directory, sync_directory, sync_names
from artifactstore.storage.root import SHARDS, Root, open_root

type Announce = Callable[[int], Progress]  # called with the bytes that are to be looked at


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that was made: its record, what was copied, and how many files of the earlier one were removed."""

    record: BackupRecord
    copied: Copied
    removed: int


def take(root: Path, directory: Path, *, verify: bool = False, announce: Announce | None = None) -> Taken:
    """Back a root up into `directory`: an empty one, or an earlier backup of the same log, which it then replaces.

    `verify`: what is in `directory` already is read again, and copied again if it is not right. BackupError: there is
    no root, or `directory` holds something else or another log. StorageError, StorageFullError, RegistryError.
    """
    if not (root / "format").exists():
        raise BackupError(f"{root} is not a root of artifact-store: there is nothing to back up")
    opened = open_root(root, writer=False)
    _refuse_inside(opened.path, directory)
    with ExitStack() as held:
        try:
            make_directory(directory)
            sync_names(directory)
            refuse_foreign(directory)
            held.enter_context(locked(directory))
            earlier = BackupRecord.read(directory)
            _clear(directory, earlier)
            with opened.kept():
                record, copied = _copy(opened, directory, earlier, verify, announce)
            with Snapshot(directory / record.database) as snapshot:
                removed = _prune(directory, snapshot)
            _clear(directory, record)
        except OSError as error:
            raise unusable(directory, error) from error
    return Taken(record, copied, removed)


def _refuse_inside(root: Path, directory: Path) -> None:
    inner, outer = directory.resolve(), root.resolve()
    if inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise BackupError(f"{directory} and the root {root} lie within each other: a backup is a place of its own")


def _copy(
    root: Root, directory: Path, earlier: BackupRecord | None, verify: bool, announce: Announce | None
) -> tuple[BackupRecord, Copied]:
    begun = timestamp(datetime.now(UTC))
    fresh = directory / "log-0.sqlite3.new"
    snapshots.take(root.registry / DATABASE_FILE, fresh)
    with Snapshot(fresh) as snapshot:
        _refuse_other_log(directory, earlier, snapshot)
        count, size_bytes = snapshot.volume()
        progress = None if announce is None else announce(size_bytes)
        copying = Copying(root.objects, directory / "objects", directory / "partial", verify=verify)
        copied = copying.run(snapshot.objects(), progress)
        record = BackupRecord(
            log_id=snapshot.log_id,
            seq=snapshot.seq,
            leaf=snapshot.leaf(snapshot.seq),
            time=begun,
            software_version=version("artifact-store"),
            database=_database_name(snapshot.seq, earlier),
            database_sha256=digest_of(fresh),
            objects=count,
            size_bytes=size_bytes,
            missing=tuple(copied.missing),
        )
    fresh.rename(directory / record.database)
    sync_directory(directory)
    record.write(directory)
    return record, copied


def _database_name(seq: int, earlier: BackupRecord | None) -> str:
    """Another name than the earlier backup's, which is whole until the new record is written."""
    name = f"log-{seq}.sqlite3"
    return name if earlier is None or earlier.database != name else f"log-0{seq}.sqlite3"


def _refuse_other_log(directory: Path, earlier: BackupRecord | None, snapshot: Snapshot) -> None:
    """An earlier backup must be of this log's own past, or replacing it would lose what only it holds."""
    if earlier is None:
        return
    if earlier.log_id != snapshot.log_id:
        raise BackupError(f"{directory} is a backup of another log, {earlier.log_id}: name another directory")
    if earlier.seq and snapshot.leaf(earlier.seq) != earlier.leaf:
        raise BackupError(
            f"{directory} is a backup up to event {earlier.seq}, which this log does not have, or has otherwise: "
            "name another directory"
        )


def _clear(directory: Path, record: BackupRecord | None) -> None:
    """Remove what a run that was broken off has left, and databases that the record does not name."""
    partial = directory / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(0o750, exist_ok=True)
    for file in databases(directory):
        if record is None or file.name != record.database:
            file.unlink()


def _prune(directory: Path, snapshot: Snapshot) -> int:
    """Remove objects that the snapshot does not name, and whatever else lies where objects are."""
    removed = 0
    for algorithm in Algorithm:
        for shard in range(SHARDS):
            place = directory / "objects" / algorithm / f"{shard:02x}"
            there = {entry.name for entry in place.iterdir()} if place.is_dir() else set()
            for name in there - snapshot.addresses(algorithm, shard) if there else ():
                (place / name).unlink()
                removed += 1
    return removed


def digest_of(file: Path) -> str:
    """A file's SHA-256, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
