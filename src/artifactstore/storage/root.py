"""The local root: its layout, its format file and its lock (docs/storage-format.md).

A root is made in an order that a crash at any step leaves resumable: the lock first, then every directory, synced, and
the format file last. A directory with a format file is therefore whole; one that holds only what this order leaves
behind is ours to finish; anything else is somebody else's, and is refused.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from artifactstore.domain.digest import Algorithm
from artifactstore.domain.errors import RootError, RootFormatError, RootLockedError
from artifactstore.storage.durability import FULL, make_directory, sync_directory

FORMAT = 1
#: Directories per algorithm: one for each first byte of a digest.
SHARDS = 256
_SOFTWARE = "artifact-store"
_OWNER_BYTES = 32  # the lock's content: a process id, spaces, a newline
#: What the making of a root may have left, and what a file system has at its own root.
_ENTRIES = frozenset({"lock", "objects", "staging", "registry", "format", "format.new", "reserve", "lost+found"})


@dataclass(slots=True)
class Root:
    """An opened root. A writer holds its lock until `close`."""

    path: Path
    _lock: int | None = field(default=None, repr=False)

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

    def close(self) -> None:
        """Give up the lock. Idempotent."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


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


def _refuse_foreign(path: Path) -> None:
    foreign = sorted(entry.name for entry in path.iterdir() if entry.name not in _ENTRIES)
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
    for directory in (root.staging, root.registry):
        make_directory(directory)
    for algorithm in Algorithm:
        parent = root.objects / algorithm
        make_directory(parent)
        for shard in range(SHARDS):
            (parent / f"{shard:02x}").mkdir(0o750, exist_ok=True)
        sync_directory(parent)
    # a run that was broken off may have made its entries and not come to this; the same of the root's own name
    sync_directory(root.objects)
    _sync_name(root.path)
    document = json.dumps({"format": FORMAT, "software": _SOFTWARE}) + "\n"
    fresh = root.path / "format.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640)
    try:
        os.write(descriptor, document.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.rename(root.path / "format")
    sync_directory(root.path)


def _sync_name(path: Path) -> None:
    """Make a directory's own name durable, where it is one: a mount point is not, and its parent may not be ours."""
    if path.stat().st_dev == path.parent.stat().st_dev:
        with suppress(PermissionError):
            sync_directory(path.parent)


def _check_format(path: Path) -> None:
    try:
        document = json.loads((path / "format").read_text())
        software, found = document["software"], document["format"]
    except (ValueError, KeyError, TypeError):
        raise RootFormatError(f"{path / 'format'} is not a format file of artifact-store") from None
    if software != _SOFTWARE or not isinstance(found, int):
        raise RootFormatError(f"{path / 'format'} is not a format file of artifact-store")
    if found > FORMAT:
        raise RootFormatError(f"the root {path} has format {found}, this version knows {FORMAT}: use a later version")
