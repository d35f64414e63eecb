"""Staging: bytes on their way in, as local files that nobody else sees until they are published.

A file has no name where the file system allows that (O_TMPFILE), so a crash leaves nothing; elsewhere it has a random
one, which `sweep` removes at the next start. A resumable upload will be a named file of its own prefix, beside the
exported state of its hasher, which `sweep` will then leave alone until it expires.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from artifactstore.dataplane.spi import Buffer
from artifactstore.storage.durability import FILE_MODE, storage_error

#: Buffers in one writev(2); Linux takes 1,024.
_MAX_VECTOR = 1024
#: What direct writes are multiples of, in bytes: a page, which no device's block exceeds.
_DIRECT_BYTES = 4096
#: What one direct write takes, in bytes: a sync of somebody else's waits until the device has it.
_DIRECT_WRITE_BYTES = 512 * 1024
#: How much is written into the page cache before it is synced, in bytes.
_FLUSH_BYTES = 8 * 2**20


class StagingFile:
    """One file; `storage.spi.StagedFile`. Its methods block: call them in a thread, one at a time."""

    def __init__(self, descriptor: int, path: Path | None) -> None:
        self._descriptor = descriptor
        self._path = path
        self._size = 0
        self._direct = False  # past the page cache, as of now
        self._may_be_direct = True  # as far as is known
        self._unsynced = 0  # bytes in the page cache alone, at most

    @property
    def fd(self) -> int:
        """The open descriptor; -1 after `discard`."""
        return self._descriptor

    @property
    def path(self) -> Path | None:
        """Its name, if it has one."""
        return self._path

    @property
    def size_bytes(self) -> int:
        """How many bytes were written."""
        return self._size

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Append the buffers, however many calls the system takes for it. OSError as the system says."""
        pending = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
        first = 0  # of those that are not written to their end
        while first < len(pending):
            try:
                written = os.writev(self._descriptor, pending[first : first + _MAX_VECTOR])
            except OSError as error:
                if error.errno != errno.EINVAL or not self._direct:
                    raise
                self._may_be_direct = False  # not on this file system, or not from where a short write has ended
                self._go(direct=False)
                continue
            self._size += written
            if not self._direct:
                self._flush(written)
            while first < len(pending) and written >= len(pending[first]):
                written -= len(pending[first])
                first += 1
            if written:
                pending[first] = pending[first][written:]

    def write_blocks(self, blocks: Sequence[memoryview]) -> None:
        """Append page-aligned buffers, past the page cache where that can be: whole pages all, but for the last.

        A large body then takes no memory from what others have cached, and leaves a sync little to do.
        """
        whole = [block for block in blocks if len(block) % _DIRECT_BYTES == 0]
        if whole and self._size % _DIRECT_BYTES == 0:
            self._go(direct=True)
            for block in whole:
                for at in range(0, len(block), _DIRECT_WRITE_BYTES):
                    self.write([block[at : at + _DIRECT_WRITE_BYTES]])
        else:
            whole = []
        if len(whole) < len(blocks):
            self._go(direct=False)
            self.write(blocks[len(whole) :])

    def _go(self, *, direct: bool) -> None:
        """Write past the page cache, or into it, from here on."""
        if direct == self._direct or (direct and not self._may_be_direct):
            return
        flags = fcntl.fcntl(self._descriptor, fcntl.F_GETFL)
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_SETFL, flags | os.O_DIRECT if direct else flags & ~os.O_DIRECT)
        except OSError:
            if not direct:
                raise
            self._may_be_direct = False
        else:
            self._direct = direct

    def _flush(self, written: int) -> None:
        """Bring to the disk every few megabytes what went to the page cache: one long sync holds up everybody's."""
        self._unsynced += written
        if self._unsynced >= _FLUSH_BYTES:
            self.sync()

    def sync(self) -> None:
        """Make the bytes durable. After an OSError the file is lost: the system may have dropped its dirty pages."""
        os.fdatasync(self._descriptor)
        self._unsynced = 0
        self._go(direct=False)  # whoever reads the file need not read whole pages

    def discard(self) -> None:
        """Give up the file, and its name if it has one. What was published from it stays. Idempotent."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            os.close(descriptor)  # which may report a write that failed late
        finally:
            if self._path is not None:
                self._path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Staged:
    """Files that lie in the staging directory."""

    files: int
    size_bytes: int


class StagingArea:
    """The directory in which staging files lie. `unnamed` chooses their form; None: look what the directory allows."""

    def __init__(self, directory: Path, *, unnamed: bool | None = None) -> None:
        self._directory = directory
        self.unnamed = self._probe() if unnamed is None else unnamed

    def create(self) -> StagingFile:
        """A new, empty file. OSError as the system says."""
        if self.unnamed:
            return StagingFile(self._open_unnamed(), None)
        path = self._directory / f"upload-{secrets.token_hex(16)}"
        return StagingFile(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE), path)

    def named(self) -> Staged:
        """The files that have a name. Blocking."""
        found = Staged(0, 0)
        with os.scandir(self._directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # published, or given up, meanwhile
                    found = Staged(found.files + 1, found.size_bytes + entry.stat(follow_symlinks=False).st_size)
        return found

    def sweep(self) -> Staged:
        """Remove what an earlier process left. Only for whoever holds the root's lock, before the first upload.

        StorageError: what is there cannot be removed, or looked at.
        """
        try:
            found = [(path, path.lstat().st_size) for path in self._directory.iterdir() if not path.is_dir()]
            for path, _ in found:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(f"what is left in {self._directory} cannot be removed", error) from error
        return Staged(len(found), sum(size for _, size in found))

    def _open_unnamed(self) -> int:
        # never O_EXCL: with O_TMPFILE it forbids the link that publishes the file (open(2))
        return os.open(self._directory, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, FILE_MODE)

    def _probe(self) -> bool:
        """Whether unnamed files can be made here and given a name."""
        name = f"probe-{secrets.token_hex(8)}"
        try:
            descriptor = self._open_unnamed()
        except OSError:
            return False
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=directory, follow_symlinks=True)
            os.unlink(name, dir_fd=directory)
        except OSError:
            return False
        finally:
            os.close(directory)
            os.close(descriptor)
        return True
