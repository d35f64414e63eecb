"""Files opened without waiting: what is at hand is opened as `os.open` does, everything else is left to it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from artifactstore.storage.cached import open_cached, opens_at_once

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
    assert open_cached(str(tmp_path / name), FLAGS) is None


def test_a_path_that_is_too_long_is_left_to_others() -> None:
    assert open_cached("x" * 5000, FLAGS) is None


def test_memory_asks_nobody_and_the_kernels_own_files_are_not_taken_for_a_disk(shared_memory: Path) -> None:
    assert opens_at_once(str(shared_memory))
    assert not opens_at_once("/proc")
    assert not opens_at_once("/proc/missing")
