"""Exports that strangers made: a zip, a tar, or whatever it is, is checked, and never more than that."""

from __future__ import annotations

import io
import os
import tempfile
import zipfile
from pathlib import Path

from artifactstore.domain.errors import InvalidPackageError
from artifactstore.manifests.containers import open_container, path_problem
from artifactstore.manifests.verification import verify_export

#: Bytes of contents that a file of any size may be read as, for each of its own: deflate's best is 1032.
_MOST_GROWTH = 1100
_READINGS = 8  # of one file: by the bag's manifests, and by ours


def archive(data: bytes) -> None:
    """What is listed stays within the container; what is read is bounded; a whole one has both its manifests."""
    read = 0

    def progress(size: int) -> None:
        nonlocal read
        read += size

    with tempfile.NamedTemporaryFile(dir=_memory(), suffix=".archive") as file:
        path = Path(file.name)
        path.write_bytes(data)
        try:
            with open_container(path) as container:
                assert all(path_problem(name) is None for name in container.sizes)
                assert all(size >= 0 for size in container.sizes.values())
            report = verify_export(path, progress)
        except InvalidPackageError:
            return
    assert read <= _READINGS * _MOST_GROWTH * max(len(data), 1)
    if not report.findings:
        assert report.manifest is not None
        total = sum(member.identity.size_bytes for member in report.manifest.contents.members)
        assert total <= _MOST_GROWTH * len(data)
        if data.startswith(b"PK"):  # what another reader makes of it is whole, too
            with zipfile.ZipFile(io.BytesIO(data)) as other:
                assert other.testzip() is None


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
