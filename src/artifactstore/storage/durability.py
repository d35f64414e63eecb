"""System calls with their durability: what must be synced, in one place; and what an OSError means here."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from artifactstore.domain.errors import StorageError, StorageFullError, UnreadableCopyError

#: An object's file, from the beginning: a later chmod is not covered by fdatasync.
FILE_MODE = 0o440
#: The errors of a disk, or a quota, without space.
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
#: What is wrong with the file, or the medium under it. Anything else (no descriptors, no memory) passes.
_UNREADABLE = frozenset({errno.EIO, errno.ENXIO, errno.ELOOP, errno.ESTALE, errno.EUCLEAN, errno.EBADMSG})


def storage_error(what: str, error: OSError) -> StorageError:
    """The domain's error for a failed system call: StorageFullError when there is no room, else StorageError."""
    kind = StorageFullError if error.errno in FULL else StorageError
    return kind(f"{what}: {error.strerror or error}")


def read_error(what: str, error: OSError) -> StorageError:
    """The same for a call that reads a stored copy: UnreadableCopyError when the copy is at fault."""
    if error.errno in _UNREADABLE:
        return UnreadableCopyError(f"{what}: {error.strerror or error}")
    return storage_error(what, error)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable: names linked, renamed or removed in it survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, mode: int = 0o750) -> None:
    """Make a directory, and its missing parents, durably: each new name is synced in the directory that holds it."""
    if path.is_dir():
        return
    make_directory(path.parent, mode)
    path.mkdir(mode, exist_ok=True)
    sync_directory(path.parent)


def sync_names(path: Path) -> None:
    """Make the names durable by which a directory is reached, up to where its file system is mounted.

    That it is there does not mean that they are: whoever made the directories may not have come to syncing them.
    A directory that may not be read is somebody else's, and is left to them.
    """
    path = path.resolve()
    device = path.stat().st_dev
    for above in path.parents:
        if above.stat().st_dev != device:
            return
        with suppress(PermissionError):
            sync_directory(above)
