"""What a backup is on disk: its directory, and the file that makes it one.

    <backup>/
      backup.json                   what it holds, and up to which event; written last
      log-<seq>.sqlite3             the log and its views as of that event
      objects/<algorithm>/<ab>/<64 hex>
      partial/                      files that are being copied
      lock                          held while one is made

It has no `format` file, and is no root: nothing can be started on it by mistake.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from artifactstore.domain.errors import BackupError
from artifactstore.storage.durability import sync_directory

FORMAT = 1
RECORD_FILE = "backup.json"
_SOFTWARE = "artifact-store"
_DATABASE = re.compile(r"log-\d+\.sqlite3")
#: One that is not finished, with what SQLite has beside it while it is written.
_UNFINISHED = re.compile(r"log-\d+\.sqlite3\.new(-journal|-wal|-shm)?")
_ENTRIES = frozenset({RECORD_FILE, f"{RECORD_FILE}.new", "objects", "partial", "lock", "lost+found"})


@dataclass(frozen=True, slots=True)
class Missing:
    """An object that the backup does not hold, since the root's copy was not it: `address`, and why."""

    address: str
    reason: str


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """What a backup holds. It is complete when this stands in its directory."""

    log_id: str
    seq: int  # of the last event
    leaf: str | None  # that event's, in hex; None for a log without events
    time: str  # when it was begun
    software_version: str
    database: str  # the file's name
    database_sha256: str
    objects: int  # that were there at `seq`, and their bytes in sum, missing ones included
    size_bytes: int
    missing: tuple[Missing, ...] = ()

    @property
    def name(self) -> str:
        """What tells this backup from every other."""
        return f"{self.log_id} up to event {self.seq}"

    @classmethod
    def read(cls, directory: Path) -> Self | None:
        """The record in a directory; None if there is none. BackupError for one that cannot be understood."""
        file = directory / RECORD_FILE
        try:
            document = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unusable(file, error) from error
        except ValueError:
            raise BackupError(f"{file} is not the record of a backup") from None
        return cls._of(document, file)

    @classmethod
    def _of(cls, document: Any, file: Path) -> Self:
        if not isinstance(document, dict) or document.pop("software", None) != _SOFTWARE:
            raise BackupError(f"{file} is not the record of a backup")
        number = document.pop("format", None)
        if number != FORMAT:
            raise BackupError(f"{file} is of format {number}, this version knows {FORMAT}: use a later version")
        try:
            missing = tuple(Missing(**item) for item in document.pop("missing"))
            record = cls(**document, missing=missing)
            if _DATABASE.fullmatch(record.database) is not None and record.seq >= 0:
                return record
        except (TypeError, KeyError):
            pass
        raise BackupError(f"{file} is not the record of a backup")

    def write(self, directory: Path) -> None:
        """Make the directory this backup, durably: all that it names is there and synced."""
        fresh = directory / f"{RECORD_FILE}.new"
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"format": FORMAT, "software": _SOFTWARE, **asdict(self)}, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(directory / RECORD_FILE)
        sync_directory(directory)


def refuse_foreign(directory: Path) -> None:
    """BackupError if the directory holds anything but a backup, or the beginnings of one."""
    for name in sorted(entry.name for entry in directory.iterdir()):
        if name not in _ENTRIES and not _is_database(name):
            raise BackupError(f"{directory} is not a backup: it holds {name!r}; name an empty directory")


def databases(directory: Path) -> list[Path]:
    """The databases in a backup's directory, unfinished ones included, with the files beside them."""
    return [entry for entry in directory.iterdir() if _is_database(entry.name)]


def _is_database(name: str) -> bool:
    return _DATABASE.fullmatch(name) is not None or _UNFINISHED.fullmatch(name) is not None


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep other backups out of the directory. BackupError if there is one at work."""
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise BackupError(f"another backup is being made in {directory}") from None
    finally:
        os.close(descriptor)


def unusable(path: Path, error: OSError) -> BackupError:
    """The error for a file or directory of a backup that the system refuses."""
    return BackupError(f"{error.filename or path}: {error.strerror or error}")
