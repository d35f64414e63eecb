"""Files opened without waiting: what is at hand is opened as `os.open` does, everything else is left to it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from artifactstore.storage.cached import open_cached

FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def test_a_file_that_was_just_used_is_opened(tmp_path: Path) -> None:
    file = tmp_path / "ä"
    file.write_bytes(b"content")
    descriptor = open_cached(str(file), FLAGS)
    assert descriptor is not None
    try:
        assert os.read(descriptor, 100) == b"content"
        assert fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        assert fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("name", ["missing", "link", "missing/below"])
def test_what_cannot_be_opened_is_left_to_others(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert open_cached(str(tmp_path / name), FLAGS) is None
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_a_path_cannot_hold_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="null"):
        os.open(f"{tmp_path}/a\0b", FLAGS)
    assert open_cached("x" * 5000, FLAGS) is None
