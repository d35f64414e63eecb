"""A download of what is not in the page cache, over and over, beside other work: what it does to their latency."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifactstore.domain.errors import RemoteError
from artifactstore.traffic import Peer, transfer


def evict(directory: Path, size: int) -> None:
    """Take the files of at least that size, in bytes, out of the page cache. They are synced first, or would stay."""
    for path in directory.rglob("*"):
        if path.is_file() and path.stat().st_size >= size:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


@contextmanager
def cold_downloads(peer: Peer, path: str, directory: Path, size: int) -> Iterator[None]:
    """Download `path` while the body of the `with` runs, and evict it before each time. RemoteError at the end."""
    over = threading.Event()
    errors: list[RemoteError] = []

    def work() -> None:
        try:
            while not over.is_set():
                evict(directory, size)
                transfer(peer, peer.request("GET", path)).expect(200)
        except RemoteError as error:
            errors.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()
    if errors:
        raise errors[0]
