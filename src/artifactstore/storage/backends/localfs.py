"""Objects as files of the local file system: `objects/<algorithm>/ab/<64 hex>` (docs/storage-format.md).

Theory of operation. A staging file lies on the same mount, its bytes are synced, and it has its final mode. Publishing
is a `link` under the object's name, which never replaces and shows a reader the whole file or none, then an fsync of
the directory. To replace a copy, the file is linked under a temporary name beside its place in staging and renamed over
the old one. If the directory cannot be synced, a name that this call made is removed again: it is not to be found, and
trusted, later. So that no other `put` of the same object finds it before, one call at a time publishes in a directory.
Python's `os` functions run in threads, to their end: a cancelled caller leaves no work behind that it does not know of.
What the kernel can open without waiting for the disk is opened at once (`cached`).

Bytes in memory go the same way in native threads (`publisher`), as long as their name is free. Where it is not, or
cannot be given as it should, they come back as a staging file, and go on as any other does.
"""

from __future__ import annotations

import asyncio
import errno
import os
import secrets
import stat as stat_module
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from artifactstore.cancellation import obtained, uninterrupted
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import BytesKeptError, ObjectNotFoundError, StorageError, UnreadableCopyError
from artifactstore.storage.cached import open_cached, opens_at_once
from artifactstore.storage.durability import read_error, storage_error, sync_directory
from artifactstore.storage.publisher import DIRECTORIES, Publisher, Unlinked
from artifactstore.storage.root import Root, object_key
from artifactstore.storage.spi import BackendHealth, StagedFile, StorageReceipt

#: Syncs that run at once share the file system's commits; most of a thread's time is waiting for one.
_PUBLISHERS = 64
_THREADS = 32
_READERS = 16
#: O_NONBLOCK: a FIFO in the place of an object must not hold the thread.
_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: What `link` says on a file system that has no hard links.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


class LocalObject:
    """An object's file, opened; `storage.spi.StoredObject`."""

    def __init__(self, descriptor: int, size_bytes: int, threads: ThreadPoolExecutor) -> None:
        self._descriptor: int | None = descriptor
        self._size_bytes = size_bytes
        self._threads = threads

    @property
    def size_bytes(self) -> int:
        """The file's size when it was opened."""
        return self._size_bytes

    def fileno(self) -> int | None:
        """The descriptor, until `close`."""
        return self._descriptor

    async def read(self, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset`, read in a thread."""
        if self._descriptor is None:
            raise ValueError("the object is closed")
        reading = asyncio.get_running_loop().run_in_executor(self._threads, os.pread, self._descriptor, length, offset)
        try:
            # To its end: the descriptor must not be closed, and its number reused, under a thread that still reads.
            return await uninterrupted(reading)
        except OSError as error:
            raise read_error("an object could not be read", error) from error

    async def close(self) -> None:
        """Give up the descriptor."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class LocalFileSystemBackend:
    """The backend over a root's `objects` directory.

    `unnamed`: whether a file can be made without a name there, and given one. That is known to whoever probed it.
    """

    def __init__(self, root: Root, *, unnamed: bool = False) -> None:
        self._unnamed = unnamed
        self._root = root
        self._objects = root.objects
        self._staging = root.staging
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="localfs")
        # Of the backend and of every open object, which may outlive it: never shut down, it ends with the last of them.
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="localfs-read")
        self._closed = False
        self._publisher = Publisher(_PUBLISHERS)
        self._objects_text, self._staging_text = str(root.objects), str(root.staging)
        self._opens_at_once = opens_at_once(self._objects_text)

    @property
    def backend_id(self) -> str:
        """`local`."""
        return "local"

    @property
    def staging_directory(self) -> Path | None:
        """The root's staging directory, on the objects' mount."""
        return self._staging

    async def put(self, address: Digest, staged: StagedFile, *, replace: bool = False) -> StorageReceipt:
        """Publish a staged file; see the port."""
        await self._run("the object could not be published", self._put, address, staged, replace)
        return StorageReceipt(self.backend_id, object_key(address), staged.size_bytes)

    async def put_bytes(self, address: Digest, data: bytes, *, replace: bool = False) -> StorageReceipt:
        """Write, sync and publish a file; see the port."""
        what, key = "the object could not be stored", object_key(address)
        try:
            unlinked = await obtained(self._publish(address, key, data), _discard_in_thread)
        except OSError as error:
            raise storage_error(what, error) from error
        if unlinked is not None:
            await self._run(what, self._put_unlinked, address, unlinked, replace)
        return StorageReceipt(self.backend_id, key, len(data))

    async def open(self, address: Digest) -> LocalObject:
        """Open an object's file; see the port."""
        try:
            opened = self._open_at_once(address)
            if opened is None:
                opened = await obtained(self._start(self._open, address), _close_in_thread)
        except OSError as error:
            raise read_error("the object could not be opened", error) from error
        return LocalObject(*opened, self._readers)

    def _open_at_once(self, address: Digest) -> tuple[int, int] | None:
        """Where no disk is waited for. Otherwise, and when it does not open, there is the thread."""
        if self._closed or not self._opens_at_once:
            return None
        descriptor = open_cached(f"{self._objects_text}/{object_key(address)}", _OPEN_FLAGS)
        return None if descriptor is None else _checked(address, descriptor)

    async def stat(self, address: Digest) -> StorageReceipt | None:
        """The place and size of an object's file, or None; see the port."""
        size = await self._run("the object could not be looked at", self._size, address)
        return None if size is None else StorageReceipt(self.backend_id, object_key(address), size)

    async def sync(self, address: Digest) -> None:
        """Sync an object's file and its directory; see the port."""
        await self._run("the object could not be synced", self._sync, address)

    async def delete(self, address: Digest) -> bool:
        """Remove an object's file; see the port."""
        return await self._run("the object could not be removed", self._delete, address)

    async def health(self) -> BackendHealth:
        """Whether both directories can be written, and the free space."""
        try:
            free = await self._run("the root cannot be used", self._look)
        except StorageError as error:
            return BackendHealth(healthy=False, detail=str(error))
        return BackendHealth(healthy=True, detail="the root can be read and written", free_bytes=free)

    async def close(self) -> None:
        """Let running operations end, and give up the threads."""
        self._closed = True
        await self._publisher.close()
        await asyncio.to_thread(self._threads.shutdown)

    async def _run[**P, T](self, what: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await uninterrupted(self._start(function, *args, **kwargs))
        except OSError as error:
            raise storage_error(what, error) from error

    def _start[**P, T](self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        if self._closed:
            raise StorageError("the backend is closed")
        return asyncio.get_running_loop().run_in_executor(self._threads, lambda: function(*args, **kwargs))

    def _publish(self, address: Digest, key: str, data: bytes) -> asyncio.Future[Unlinked | None]:
        if self._closed:
            raise StorageError("the backend is closed")
        directory, _, name = key.rpartition("/")
        temporary = None if self._unnamed else f"{self._staging_text}/put-{secrets.token_hex(16)}"
        return self._publisher.publish(
            data,
            self._staging_text,
            f"{self._objects_text}/{directory}",
            name,
            lock=_lock(address),
            temporary=temporary,
        )

    # --- in a thread ------------------------------------------------------------------------------------------------

    def _path(self, address: Digest) -> Path:
        return self._root.object_path(address)

    def _put_unlinked(self, address: Digest, unlinked: Unlinked, replace: bool) -> None:
        try:
            self._put(address, unlinked, replace)
        finally:
            unlinked.discard()

    def _put(self, address: Digest, staged: StagedFile, replace: bool) -> None:
        path = self._path(address)
        with self._publisher.holding(_lock(address)):
            if self._link_new(staged, path):
                return
            if not replace and self._size(address) == staged.size_bytes:
                # A link that may not be durable yet is about to be acknowledged by us too (invariant 2).
                sync_directory(path.parent)
                return
            self._replace(staged, path)

    def _link_new(self, staged: StagedFile, path: Path) -> bool:
        """Publish under a name that is free; False if it is taken."""
        try:
            link_staged(staged, path)
        except FileExistsError:
            return False
        try:
            sync_directory(path.parent)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return True

    def _replace(self, staged: StagedFile, path: Path) -> None:
        """Publish over whatever is there. The temporary name is in staging, where the next start removes it."""
        temporary = self._staging / f"replace-{secrets.token_hex(8)}"
        try:
            link_staged(staged, temporary)
            temporary.rename(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)

    def _open(self, address: Digest) -> tuple[int, int]:
        try:
            descriptor = os.open(self._path(address), _OPEN_FLAGS)
        except FileNotFoundError:
            raise ObjectNotFoundError(f"no copy of {address} is stored") from None
        return _checked(address, descriptor)

    def _size(self, address: Digest) -> int | None:
        try:
            found = self._path(address).lstat()
        except FileNotFoundError:
            return None
        # What is not a file is no copy, whatever size it has.
        return found.st_size if stat_module.S_ISREG(found.st_mode) else None

    def _sync(self, address: Digest) -> None:
        descriptor, _ = self._open(address)
        try:
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(self._path(address).parent)

    def _delete(self, address: Digest) -> bool:
        if self._root.is_kept():
            raise BytesKeptError(f"{address} is not removed while a backup is made")
        path = self._path(address)
        try:
            path.unlink()
        except FileNotFoundError:
            found = False
        else:
            found = True
        sync_directory(path.parent)  # also when it is gone: an earlier call may have removed it and failed here
        return found

    def _look(self) -> int:
        for directory in (self._objects, self._staging):
            if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
                raise StorageError(f"{directory} cannot be read and written")
        found = os.statvfs(self._objects)
        return found.f_bavail * found.f_frsize


def _lock(address: Digest) -> int:
    """One for each directory, and for those of the same name below another algorithm."""
    return address.value[0] % DIRECTORIES


async def _close_in_thread(opened: tuple[int, int]) -> None:
    await asyncio.to_thread(os.close, opened[0])


async def _discard_in_thread(unlinked: Unlinked | None) -> None:
    if unlinked is not None:
        await asyncio.to_thread(unlinked.discard)


def _checked(address: Digest, descriptor: int) -> tuple[int, int]:
    """The descriptor and its file's size, if it is a file: UnreadableCopyError."""
    try:
        found = os.fstat(descriptor)
        if not stat_module.S_ISREG(found.st_mode):
            raise UnreadableCopyError(f"what is stored as {address} is not a file")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, found.st_size


def link_staged(staged: StagedFile, target: Path) -> None:
    """Give a staged file its name. FileExistsError if that is taken."""
    if staged.path is None:
        _link_unnamed(staged.fd, target)
        return
    try:
        os.link(staged.path, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Without hard links a rename must do: nobody else publishes in the directory between the look and the rename.
        if os.path.lexists(target):
            raise FileExistsError(error.errno, "taken", str(target)) from None
        staged.path.rename(target)


def _link_unnamed(descriptor: int, target: Path) -> None:
    directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # linkat(2): AT_SYMLINK_FOLLOW through /proc names the open file; Python passes it only with a dir_fd
        os.link(f"/proc/self/fd/{descriptor}", target.name, dst_dir_fd=directory, follow_symlinks=True)
    finally:
        os.close(directory)
