"""The local root: its layout, its format file and its lock (docs/storage-format.md).

A root is made in an order that a crash at any step leaves resumable: the lock first, then every directory, synced, and
the format file last. A directory with a format file is therefore whole; one that holds only what this order leaves
behind is ours to finish; anything else is somebody else's, and is refused. One that is being restored has a marker in
it, which is "anything else": nobody opens it before the restore has taken the marker away.

The format file is also the lock of whoever copies the root: while somebody holds it, shared, deletions are recorded
and no object's file is removed, so that whatever a snapshot of the log names can be copied after it.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.domain.errors import RootError, RootFormatError, RootLockedError
from artifactstore.storage.durability import FULL, make_directory, sync_directory, sync_names

FORMAT = 1
#: Directories per algorithm: one for each first byte of a digest.
SHARDS = 256
SOFTWARE = "artifact-store"
_OWNER_BYTES = 32  # the lock's content: a process id, spaces, a newline
#: What the making of a root may have left, and what a file system has at its own root.
_ENTRIES = frozenset({"lock", "objects", "staging", "registry", "format", "format.new", "reserve", "lost+found"})
#: What tells a root that is being restored; it holds the name of the backup.
RESTORING = "restoring"
_BEFORE_RESTORING = frozenset({"lock", f"{RESTORING}.new", "lost+found"})


@dataclass(slots=True)
class Root:
    """An opened root. A writer holds its lock until `close`."""

    path: Path
    _lock: int | None = field(default=None, repr=False)
    _asking: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def objects(self) -> Path:
        """`objects/<algorithm>/<first two hex digits>/<64 hex digits>`."""
        return self.path / "objects"

    @property
    def staging(self) -> Path:
        """Bytes on their way in."""
        return self.path / "staging"

    @property
    def registry(self) -> Path:
        """The event log's database."""
        return self.path / "registry"

    @property
    def reserve(self) -> Path:
        """Space kept for the log."""
        return self.path / "reserve"

    def object_path(self, address: Digest) -> Path:
        """Where an object's file is."""
        return self.objects / object_key(address)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """No object's file is removed within this block, by whatever process. What is being removed at its begin was
        deleted by an event that is committed already.
        """
        descriptor = os.open(self.path / "format", os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)  # a moment: `is_kept` holds it no longer than it takes to ask
            yield
        finally:
            os.close(descriptor)

    def is_kept(self) -> bool:
        """Whether somebody is within `kept`, and no object's file may be removed. For the root's writer."""
        with self._asking:  # two threads that ask must not find each other
            descriptor = os.open(self.path / "format", os.O_RDWR | os.O_CLOEXEC)  # NFS locks what can be written
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            finally:
                os.close(descriptor)
        return False

    def close(self) -> None:
        """Give up the lock. Idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def object_key(address: Digest) -> str:
    """An object's place below `objects`."""
    return f"{address.algorithm}/{address.hex[:2]}/{address.hex}"


def open_root(path: Path, *, writer: bool) -> Root:
    """Open the root at `path`, making it if the directory is empty or not there.

    A writer takes the lock and keeps it; a reader takes it only for as long as the making lasts. RootLockedError:
    another process writes it. RootFormatError: the directory holds something else, or a later format. RootError: the
    file system refuses.
    """
    root = Root(path.absolute())
    try:
        whole = (root.path / "format").exists()
        if whole:
            _check_format(root.path)  # before anything in it is touched
        else:
            make_directory(root.path)
            _refuse_foreign(root.path)
        if writer or not whole:
            root._lock = _take_lock(root.path)
            if not (root.path / "format").exists():
                _make(root)
        _check_format(root.path)
    except OSError as error:
        root.close()
        raise RootError(f"the root {root.path} cannot be opened: {error.strerror or error}") from error
    except BaseException:
        root.close()
        raise
    if not writer:
        root.close()
    return root


def open_restoring(path: Path, backup: str) -> Root:
    """A root to restore a backup into, with its lock and its directories: an empty one, or one where that broke off.

    It is a root for nobody else before `finish_restoring`. RootFormatError: the directory is a root, or holds something
    else, or a part of another backup than the one of this name. RootLockedError, RootError.
    """
    root = Root(path.absolute())
    try:
        if (root.path / "format").exists():
            raise RootFormatError(f"{root.path} is a root already: restore into an empty directory")
        make_directory(root.path)
        marker = root.path / RESTORING
        begun = marker.read_text(errors="replace").strip() if marker.exists() else None
        if begun is None and any(entry.name not in _BEFORE_RESTORING for entry in root.path.iterdir()):
            raise RootFormatError(f"{root.path} is not empty: restore into an empty directory")
        if begun not in (None, "", backup):
            raise RootFormatError(f"{root.path} holds a part of another backup, {begun}: empty it first")
        root._lock = _take_lock(root.path)
        _write_whole(marker, backup + "\n")
        _make_directories(root)
    except OSError as error:
        root.close()
        raise RootError(f"the root {root.path} cannot be restored: {error.strerror or error}") from error
    except BaseException:
        root.close()
        raise
    return root


def finish_restoring(root: Root) -> None:
    """Make it a root: all is there and synced. A crash in between leaves one that the next opening finishes."""
    try:
        (root.path / RESTORING).unlink()
        sync_directory(root.path)
        _write_format(root.path)
    except OSError as error:
        raise RootError(f"the root {root.path} cannot be restored: {error.strerror or error}") from error


def _refuse_foreign(path: Path) -> None:
    foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in _ENTRIES)
    if RESTORING in foreign:
        raise RootFormatError(f"{path} is being restored, or was broken off in that: restore it again")
    if foreign:
        raise RootFormatError(
            f"{path} is not a root of artifact-store: it holds {foreign[0]!r}; name an empty directory"
        )


def _take_lock(path: Path) -> int:
    descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # of one width and in place: on a full disk there may be no block for a file that was cut to nothing first
        _name_owner(descriptor)
    except BlockingIOError:
        owner = os.pread(descriptor, _OWNER_BYTES, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise RootLockedError(f"the root {path} is in use by process {owner or 'unknown'}") from None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _name_owner(descriptor: int) -> None:
    """Say whose lock it is, which only a message needs: a disk without a block for it is no reason to fail."""
    try:
        os.pwrite(descriptor, f"{os.getpid():<{_OWNER_BYTES - 1}}\n".encode(), 0)
    except OSError as error:
        if error.errno not in FULL:
            raise


def _make(root: Root) -> None:
    _make_directories(root)
    _write_format(root.path)


def _make_directories(root: Root) -> None:
    for directory in (root.staging, root.registry, root.objects):
        directory.mkdir(0o750, exist_ok=True)
    for algorithm in Algorithm:
        parent = root.objects / algorithm
        parent.mkdir(0o750, exist_ok=True)
        for shard in range(SHARDS):
            (parent / f"{shard:02x}").mkdir(0o750, exist_ok=True)
        sync_directory(parent)
    # whoever made any of these: a run that was broken off may not have come to its sync; the same of the names above
    sync_directory(root.objects)
    sync_directory(root.path)
    sync_names(root.path)


def _write_format(path: Path) -> None:
    _write_whole(path / "format", json.dumps({"format": FORMAT, "software": SOFTWARE}) + "\n")


def _write_whole(file: Path, text: str) -> None:
    """Write a file that is there with all its text, durably, or not at all."""
    fresh = file.with_name(f"{file.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        left = text.encode()
        while left:  # a write that is cut short, by a signal or a full disk, says so by its count alone
            left = left[os.write(descriptor, left) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.rename(file)
    sync_directory(file.parent)


def _check_format(path: Path) -> None:
    try:
        document = json.loads((path / "format").read_text())
        software, found = document["software"], document["format"]
    except (ValueError, KeyError, TypeError):
        raise RootFormatError(f"{path / 'format'} is not a format file of artifact-store") from None
    if software != SOFTWARE or not isinstance(found, int):
        raise RootFormatError(f"{path / 'format'} is not a format file of artifact-store")
    if found > FORMAT:
        raise RootFormatError(f"the root {path} has format {found}, this version knows {FORMAT}: use a later version")
