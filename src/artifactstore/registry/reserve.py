"""Space that is kept for the log, so that a full disk cannot stop a deletion (invariant 10)."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from artifactstore.storage.durability import sync_directory

DEFAULT_RESERVE_BYTES = 16 * 2**20


class Reserve:
    """A preallocated file that is given up when the disk is full and taken back when there is space. Blocking."""

    def __init__(self, file: Path, size_bytes: int = DEFAULT_RESERVE_BYTES) -> None:
        self._file = file
        self._size_bytes = size_bytes

    def fill(self) -> bool:
        """Take the space, if there is any; whether the reserve is whole afterwards."""
        if self.filled:
            return True
        try:
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
        try:
            self._file.unlink()
            sync_directory(self._file.parent)
        except OSError:
            return False
        return True
