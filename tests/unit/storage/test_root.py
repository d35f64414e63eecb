from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from artifactstore.domain.errors import RootError, RootFormatError, RootLockedError
from artifactstore.storage import root as layout
from artifactstore.storage.root import FORMAT, Root, open_root
from tests.syscalls import CHANGES, Crash, Syscalls, descriptors_under


def assert_whole(path: Path) -> None:
    assert sorted(entry.name for entry in path.iterdir()) == ["format", "lock", "objects", "registry", "staging"]
    shards = sorted(f"{number:02x}" for number in range(layout.SHARDS))
    for algorithm in ("blake3", "sha256"):
        assert sorted(entry.name for entry in (path / "objects" / algorithm).iterdir()) == shards
    assert json.loads((path / "format").read_text()) == {"format": FORMAT, "software": "artifact-store"}


@contextmanager
def opened(path: Path, *, writer: bool) -> Iterator[Root]:
    root = open_root(path, writer=writer)
    try:
        yield root
    finally:
        root.close()


@contextmanager
def another_writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that holds the root's lock."""
    program = "import sys, pathlib; from artifactstore.storage.root import open_root\n"
    program += "root = open_root(pathlib.Path(sys.argv[1]), writer=True); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


# --- making -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", [True, False])
def test_a_root_is_made_where_nothing_is(shared_memory: Path, writer: bool) -> None:
    path = shared_memory / "some" / "where"
    with opened(path, writer=writer) as root:
        assert_whole(path)
        assert (root.objects, root.staging, root.registry) == (path / "objects", path / "staging", path / "registry")
    assert descriptors_under(shared_memory) == []


def test_a_root_is_opened_as_it_was_made(shared_memory: Path, syscalls: Syscalls) -> None:
    path = shared_memory / "root"
    open_root(path, writer=True).close()
    syscalls.forget()
    open_root(path, writer=True).close()
    assert syscalls.trace(*CHANGES) == ["open root/lock", "pwrite root/lock"]
    syscalls.forget()
    open_root(path, writer=False).close()
    assert syscalls.trace(*CHANGES) == []


def test_the_format_file_comes_last_and_every_directory_is_durable_before(
    shared_memory: Path, syscalls: Syscalls
) -> None:
    open_root(shared_memory / "root", writer=False)
    calls = syscalls.trace("mkdir", "rename", "fsync")
    assert calls[-3:] == [
        "fsync root/format.new",
        "rename root/format.new root/format",
        "fsync root",
    ]
    for position, call in enumerate(calls):
        if call.startswith("mkdir "):
            holder = str(Path(call.removeprefix("mkdir ")).parent)
            assert f"fsync {holder}" in calls[position:-3]


@pytest.fixture
def few_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three directories for 256, which are made alike, so that every step can be tried."""
    monkeypatch.setattr(layout, "SHARDS", 3)


@pytest.mark.usefixtures("few_shards")
def test_making_that_was_broken_off_anywhere_goes_on(shared_memory: Path, syscalls: Syscalls) -> None:
    for nth in count(1):
        path = shared_memory / f"root-{nth}"
        try:
            with syscalls.crashing(nth):
                open_root(path, writer=True).close()
        except Crash:
            unfinished = not (path / "format").exists()
        else:
            assert_whole(path)
            break
        syscalls.forget()
        open_root(path, writer=True).close()
        assert_whole(path)
        synced = [call.rpartition(f"root-{nth}")[2] for call in syscalls.trace("fsync")]
        if unfinished:  # whatever it had come to: nothing says that it had come to the sync as well
            assert synced[-5:] == ["/objects", "", "fsync .", "/format.new", ""]
            assert {"/objects/blake3", "/objects/sha256"} <= set(synced)
    assert nth > 20
    assert descriptors_under(shared_memory) == []


@pytest.mark.usefixtures("few_shards")
def test_a_format_file_is_whole_where_writes_are_cut_short(
    shared_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: max(1, len(data) // 2)]))
    open_root(shared_memory, writer=True).close()
    assert json.loads((shared_memory / "format").read_text())["format"] == FORMAT


@pytest.mark.usefixtures("few_shards")
def test_making_that_fails_anywhere_is_one_error_that_gives_the_lock_up(
    shared_memory: Path, syscalls: Syscalls
) -> None:
    for nth in count(1):
        path = shared_memory / f"root-{nth}"
        try:
            with syscalls.breaking(nth, errno.EROFS):
                open_root(path, writer=True).close()
        except RootError as error:
            assert type(error) is RootError
            assert str(error) == f"the root {path} cannot be opened: Read-only file system"
        else:
            break
        open_root(path, writer=True).close()
        assert_whole(path)
    assert nth > 20
    assert descriptors_under(shared_memory) == []


def test_a_whole_root_is_opened_for_writing_on_a_full_disk(shared_memory: Path, syscalls: Syscalls) -> None:
    path = shared_memory / "root"
    open_root(path, writer=True).close()
    size = (path / "lock").stat().st_size
    with syscalls.failing("mkdir", "rename", "write", "ftruncate", error=errno.ENOSPC):
        open_root(path, writer=True).close()
    assert (path / "lock").stat().st_size == size  # written in place: no new block


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("writer", [True, False])
def test_a_directory_with_something_else_is_refused_and_not_touched(shared_memory: Path, writer: bool) -> None:
    (shared_memory / "thesis.txt").write_text("do not touch")
    with pytest.raises(RootFormatError, match=r"'thesis\.txt'"):
        open_root(shared_memory, writer=writer)
    assert [entry.name for entry in shared_memory.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("writer", [True, False])
@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"7", b"{}", b'{"format": 1}', b'{"software": "another", "format": 1}', b"\xff\xfe",
     b'{"software": "artifact-store", "format": "1"}'],
)  # fmt: skip
def test_a_format_file_that_is_not_ours_is_refused_and_not_touched(
    shared_memory: Path, content: bytes, writer: bool
) -> None:
    (shared_memory / "format").write_bytes(content)
    with pytest.raises(RootFormatError, match="is not a format file"):
        open_root(shared_memory, writer=writer)
    assert [entry.name for entry in shared_memory.iterdir()] == ["format"]


@pytest.mark.parametrize("writer", [True, False])
def test_a_later_format_is_refused_with_both_numbers(shared_memory: Path, writer: bool) -> None:
    path = shared_memory / "root"
    open_root(path, writer=True).close()
    (path / "format").write_text(json.dumps({"format": FORMAT + 1, "software": "artifact-store"}))
    with pytest.raises(RootFormatError, match=f"has format {FORMAT + 1}, this version knows {FORMAT}: use a later"):
        open_root(path, writer=writer)
    assert descriptors_under(shared_memory) == []


def test_a_whole_root_may_hold_a_file_of_somebody_elses(shared_memory: Path) -> None:
    path = shared_memory / "root"
    open_root(path, writer=True).close()
    (path / "README").write_text("this disk is the archive's")
    open_root(path, writer=True).close()
    open_root(path, writer=False).close()


@pytest.mark.parametrize("writer", [True, False])
@pytest.mark.parametrize("place", ["under-a-file", "where-none-can-be-made", "a-file", "format-is-a-directory"])
def test_what_the_file_system_refuses_is_one_error(shared_memory: Path, place: str, writer: bool) -> None:
    (shared_memory / "file").write_bytes(b"")
    (shared_memory / "odd" / "format").mkdir(parents=True)
    path = {
        "under-a-file": shared_memory / "file" / "root",
        "where-none-can-be-made": Path("/proc/self/root-of-a-store"),
        "a-file": shared_memory / "file",
        "format-is-a-directory": shared_memory / "odd",
    }[place]
    with pytest.raises(RootError, match="cannot be opened") as caught:
        open_root(path, writer=writer)
    assert type(caught.value) is RootError
    assert "\n" not in str(caught.value)


# --- the lock ---------------------------------------------------------------------------------------------------------


def test_a_second_process_is_told_who_writes_the_root(shared_memory: Path) -> None:
    path = shared_memory / "root"
    with another_writer(path) as process:
        with pytest.raises(RootLockedError) as caught:
            open_root(path, writer=True)
        assert str(caught.value) == f"the root {path} is in use by process {process.pid}"
        open_root(path, writer=False).close()  # a reader works beside it
    open_root(path, writer=True).close()  # and the lock of a process that was killed is free


def test_a_lock_needs_no_room_for_its_owners_number(shared_memory: Path, syscalls: Syscalls) -> None:
    path = shared_memory / "root"
    open_root(path, writer=True).close()
    with syscalls.failing("pwrite", error=errno.ENOSPC), opened(path, writer=True), pytest.raises(RootLockedError):
        open_root(path, writer=True)
    with syscalls.failing("pwrite", error=errno.EIO), pytest.raises(RootError, match="Input/output error"):
        open_root(path, writer=True)


def test_the_name_of_a_directory_that_was_there_is_made_durable(shared_memory: Path, syscalls: Syscalls) -> None:
    path = shared_memory / "root"
    path.mkdir()  # by a run that ended before its sync, for all that anybody knows
    open_root(path, writer=True).close()
    assert syscalls.trace("fsync").index("fsync .") < syscalls.trace("fsync").index("fsync root/format.new")


def test_a_lock_says_who_holds_it_after_a_longer_number(shared_memory: Path) -> None:
    path = shared_memory / "root"
    open_root(path, writer=True).close()
    (path / "lock").write_text(f"{10**12}\n")
    with another_writer(path) as process, pytest.raises(RootLockedError, match=f"process {process.pid}$"):
        open_root(path, writer=True)


def test_a_writer_keeps_the_lock_until_it_is_closed(shared_memory: Path) -> None:
    path = shared_memory / "root"
    root = open_root(path, writer=True)
    for _ in range(2):
        with pytest.raises(RootLockedError):
            open_root(path, writer=True)
    root.close()
    root.close()
    open_root(path, writer=True).close()


def test_a_reader_takes_no_lock_but_to_make_the_root(shared_memory: Path, syscalls: Syscalls) -> None:
    path = shared_memory / "root"
    with opened(path, writer=False), opened(path, writer=True), opened(path, writer=False):
        assert len(descriptors_under(shared_memory)) == 1
    with another_writer(path), pytest.raises(RootLockedError):
        (path / "format").unlink()  # as long as the other one has not come to it
        open_root(path, writer=False)


def test_a_crash_while_opening_a_whole_root_changes_nothing(shared_memory: Path, syscalls: Syscalls) -> None:
    path = shared_memory / "root"
    open_root(path, writer=True).close()
    for nth in count(1):
        try:
            with syscalls.crashing(nth):
                open_root(path, writer=True).close()
        except Crash:
            assert_whole(path)
        else:
            break
    assert nth == 3
