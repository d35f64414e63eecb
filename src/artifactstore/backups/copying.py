"""Objects copied from one directory to another, each digested on its way. Blocking, in threads.

A file appears under its name when it is whole, right and synced, so that what a copying that was broken off has left
can be taken as it is. The directories are synced at the end.
"""

from __future__ import annotations

import os
import secrets
import stat as stat_module
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from artifactstore.backups.form import Missing
from artifactstore.domain.artifact import ObjectRecord
from artifactstore.domain.errors import BackupError, UnreadableCopyError
from artifactstore.hashing import DualHasher
from artifactstore.storage.durability import FILE_MODE, make_directory, read_error, storage_error, sync_directory
from artifactstore.storage.root import object_key

_THREADS = 8
#: Objects in hand and waiting: enough for every thread, and few enough to stop soon.
_AHEAD = 4 * _THREADS
_BLOCK_BYTES = 2**20

type Progress = Callable[[int], object]  # bytes of objects that are done, since the last call
type Writer = Callable[[memoryview], None]


@dataclass(slots=True)
class Copied:
    """What came of it. `there`: objects that the target held already."""

    objects: int = 0
    size_bytes: int = 0
    there: int = 0
    missing: list[Missing] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Done:
    size_bytes: int
    copied: bool
    missing: Missing | None = None


class Copying:
    """From one `objects` directory to another; `partial` is a directory beside the second.

    `verify`: what the target holds already is read and digested; else a file of the right size is taken as it is.
    """

    def __init__(self, source: Path, target: Path, partial: Path, *, verify: bool = False) -> None:
        self._source = source
        self._target = target
        self._partial = partial
        self._verify = verify
        self._stopping = threading.Event()

    def run(self, objects: Iterable[ObjectRecord], progress: Progress | None = None) -> Copied:
        """Copy them. An object whose source is missing or different is told, and the others are copied.

        StorageError, StorageFullError: the target failed, or the source for a reason that is not the object's.
        """
        outcome = Copied()
        directories: set[Path] = set()
        for record, done in in_threads(self._copy, objects, self._stopping):
            if done.missing is not None:
                outcome.missing.append(done.missing)
            elif done.copied:
                outcome.objects += 1
                outcome.size_bytes += done.size_bytes
            else:
                outcome.there += 1
            shard = (self._target / object_key(record.address)).parent
            directories.update((shard, shard.parent, self._target))
            if progress is not None:
                progress(done.size_bytes)
        # of all, the found ones too: whoever made those may not have come to this
        try:
            for directory in directories:
                if directory.is_dir():
                    sync_directory(directory)
        except OSError as error:
            raise storage_error(f"{self._target} could not be synced", error) from error
        return outcome

    # --- in a thread ------------------------------------------------------------------------------------------------

    def _copy(self, record: ObjectRecord) -> _Done:
        target = self._target / object_key(record.address)
        if self._is_there(record, target):
            return _Done(record.identity.size_bytes, copied=False)
        try:
            self._bring(record, self._source / object_key(record.address), target)
        except UnreadableCopyError as error:
            return _Done(record.identity.size_bytes, False, Missing(str(record.address), error.detail))
        return _Done(record.identity.size_bytes, copied=True)

    def _is_there(self, record: ObjectRecord, target: Path) -> bool:
        try:
            found = target.lstat()
        except FileNotFoundError:
            return False
        if not stat_module.S_ISREG(found.st_mode) or found.st_size != record.identity.size_bytes:
            return False
        return not self._verify or difference(record, target, self._stopping) is None

    def _bring(self, record: ObjectRecord, source: Path, target: Path) -> None:
        fresh = self._partial / secrets.token_hex(16)
        try:
            make_directory(target.parent)
            try:
                self._write_copy(record, source, fresh)
                fresh.rename(target)
            finally:
                fresh.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(f"{target} could not be written", error) from error

    def _write_copy(self, record: ObjectRecord, source: Path, fresh: Path) -> None:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            wrong = difference(record, source, self._stopping, lambda block: _write(descriptor, block))
            if wrong is not None:
                raise UnreadableCopyError(wrong)
            os.fdatasync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # memory is the gateway's, if one runs here
        finally:
            os.close(descriptor)


def difference(record: ObjectRecord, file: Path, stopping: threading.Event, write: Writer | None = None) -> str | None:
    """What is wrong with a file that is to be the object, None if nothing is; its bytes are given to `write`.

    StorageError if it cannot be read for a reason that is not the file's, or `stopping` is set.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return _unreadable(file, error)
    try:
        if not stat_module.S_ISREG(os.fstat(descriptor).st_mode):
            return "not a file"
        return _digest(record, file, descriptor, stopping, write)
    finally:
        os.close(descriptor)


def _digest(
    record: ObjectRecord, file: Path, descriptor: int, stopping: threading.Event, write: Writer | None
) -> str | None:
    hasher, block = DualHasher(), memoryview(bytearray(min(_BLOCK_BYTES, record.identity.size_bytes + 1)))
    while True:
        if stopping.is_set():
            raise BackupError("broken off")
        try:
            count = os.readv(descriptor, [block])
        except OSError as error:
            return _unreadable(file, error)
        if not count:
            break
        hasher.update(block[:count])
        if write is not None and hasher.length <= record.identity.size_bytes:
            write(block[:count])
    found = hasher.digests()
    right = found.blake3 == record.identity.blake3.value and found.sha256 == record.identity.sha256.value
    return None if right and hasher.length == record.identity.size_bytes else "digest-mismatch"


def _unreadable(file: Path, error: OSError) -> str:
    """The reason, if it is the file's; else StorageError."""
    failed = read_error(f"{file} could not be read", error)
    if not isinstance(failed, UnreadableCopyError):
        raise failed from error
    return "unreadable"


def _write(descriptor: int, block: memoryview) -> None:
    while block:
        block = block[os.write(descriptor, block) :]


def in_threads[T](
    work: Callable[[ObjectRecord], T], objects: Iterable[ObjectRecord], stopping: threading.Event
) -> Iterable[tuple[ObjectRecord, T]]:
    """What `work` says of each, in order, some at once. If it is broken off, `stopping` is set and the rest ends."""
    waiting: deque[tuple[ObjectRecord, Future[T]]] = deque()
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="copying")
    try:
        for record in objects:
            waiting.append((record, pool.submit(work, record)))
            if len(waiting) >= _AHEAD:
                first, result = waiting.popleft()
                yield first, result.result()
        while waiting:
            first, result = waiting.popleft()
            yield first, result.result()
    except BaseException:
        stopping.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def check(objects: Iterable[ObjectRecord], directory: Path, progress: Progress | None = None) -> list[Missing]:
    """Read and digest the objects of an `objects` directory; those that are missing or different."""
    stopping = threading.Event()
    found = []
    reading = in_threads(
        lambda record: difference(record, directory / object_key(record.address), stopping), objects, stopping
    )
    for record, wrong in reading:
        if wrong is not None:
            found.append(Missing(str(record.address), wrong))
        if progress is not None:
            progress(record.identity.size_bytes)
    return found
