from __future__ import annotations

import errno
from pathlib import Path

import pytest

from artifactstore.domain.errors import StorageError, StorageFullError
from artifactstore.storage.durability import make_directory, storage_error, sync_directory, sync_names
from tests.syscalls import Syscalls, descriptors_under


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_no_room_is_an_error_of_its_own(code: int) -> None:
    assert type(storage_error("it failed", OSError(code, "no room"))) is StorageFullError


@pytest.mark.parametrize("error", [OSError(errno.EIO, "a reason"), OSError("a reason")])
def test_any_other_error_says_what_failed_and_why(error: OSError) -> None:
    found = storage_error("it failed", error)
    assert type(found) is StorageError
    assert str(found) == "it failed: a reason"


def test_every_new_directory_is_synced_in_the_one_that_holds_it(shared_memory: Path, syscalls: Syscalls) -> None:
    make_directory(shared_memory / "a" / "b" / "c")
    assert syscalls.trace("mkdir", "fsync") == [
        "mkdir a",
        "fsync .",
        "mkdir a/b",
        "fsync a",
        "mkdir a/b/c",
        "fsync a/b",
    ]
    make_directory(shared_memory / "a" / "b")
    assert len(syscalls.trace("mkdir")) == 3


def test_the_names_that_lead_to_a_directory_are_synced_whoever_made_it(shared_memory: Path, syscalls: Syscalls) -> None:
    (shared_memory / "a" / "b").mkdir(parents=True)
    sync_names(shared_memory / "a" / "b")
    assert syscalls.trace("fsync")[:2] == ["fsync a", "fsync ."]


def test_a_name_that_cannot_be_made_durable_is_an_error_unless_it_is_somebody_elses(
    shared_memory: Path, syscalls: Syscalls
) -> None:
    (shared_memory / "a").mkdir()
    with syscalls.failing("fsync", error=errno.EACCES):
        sync_names(shared_memory / "a")
    with syscalls.failing("fsync", error=errno.EIO), pytest.raises(OSError, match="Input/output error"):
        sync_names(shared_memory / "a")


def test_a_file_in_the_place_of_a_directory_is_an_error(shared_memory: Path) -> None:
    (shared_memory / "a").write_bytes(b"")
    with pytest.raises(FileExistsError):
        make_directory(shared_memory / "a")
    with pytest.raises(NotADirectoryError):
        sync_directory(shared_memory / "a")


def test_a_sync_that_fails_raises_and_leaves_no_descriptor(shared_memory: Path, syscalls: Syscalls) -> None:
    (shared_memory / "a").mkdir()
    with syscalls.failing("fsync", error=errno.EIO), pytest.raises(OSError, match="Input/output error"):
        sync_directory(shared_memory / "a")
    assert descriptors_under(shared_memory) == []
