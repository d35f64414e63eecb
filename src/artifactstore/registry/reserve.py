"""Space that is kept for the log, so that a full disk cannot stop a deletion (invariant 10)."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path

from artifactstore.storage.durability import sync_directory

DEFAULT_RESERVE_BYTES = 16 * 2**20


class Reserve:
    """A preallocated file that is given up when the disk is full and taken back when there is space. Blocking."""

    def __init__(self, file: Path, size_bytes: int = DEFAULT_RESERVE_BYTES) -> None:
        self._file = file
        self._size_bytes = size_bytes
        self._whole = False  # until it was looked at: a later `fill` of one that is whole costs nothing

    def fill(self) -> bool:
        """Take the space, if there is any; whether the reserve is whole afterwards."""
        self._whole = self._whole or self.filled or self._allocate()
        return self._whole

    def _allocate(self) -> bool:
        try:
            self._check_room()
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size_bytes)
                os.ftruncate(descriptor, self._size_bytes)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            sync_directory(self._file.parent)
        except OSError:
            # Half a reserve would hold space that a commit may need at once.
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
            return False
        return True

    def _check_room(self) -> None:
        """OSError if there is none: to find out by allocating would fail what others write at that moment."""
        found = os.statvfs(self._file.parent)
        held = self._file.stat().st_blocks * 512 if self._file.exists() else 0
        if found.f_bfree * found.f_frsize + held < self._size_bytes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @property
    def filled(self) -> bool:
        """Whether the space is held: blocks, not only a size."""
        try:
            status = self._file.stat()
        except OSError:
            return False
        return status.st_size == self._size_bytes and status.st_blocks * 512 >= self._size_bytes

    def release(self) -> bool:
        """Give the space up; whether there was any."""
        self._whole = False
        try:
            self._file.unlink()
            sync_directory(self._file.parent)
        except OSError:
            return False
        return True
