from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest

from artifactstore.dataplane.staging import StagingArea
from artifactstore.domain.errors import StorageError
from artifactstore.storage.spi import StagedFile
from tests.syscalls import Syscalls, descriptors_under

FORMS = pytest.mark.parametrize("unnamed", [True, False], ids=["unnamed", "named"])


def content(file: StagedFile) -> bytes:
    return os.pread(file.fd, file.size_bytes + 1, 0)


@FORMS
def test_a_file_holds_what_was_written_in_order(shared_memory: Path, unnamed: bool) -> None:
    file = StagingArea(shared_memory, unnamed=unnamed).create()
    assert isinstance(file, StagedFile)
    assert file.size_bytes == 0
    file.write([b"one", b"", bytearray(b"two"), memoryview(b"three")[1:]])
    file.write([])
    file.write([memoryview(array("I", [1, 2]))])
    file.sync()
    expected = b"onetwohree" + array("I", [1, 2]).tobytes()
    assert content(file) == expected
    assert file.size_bytes == len(expected)
    file.discard()


@FORMS
def test_a_file_has_its_final_mode_and_a_name_only_if_it_must(shared_memory: Path, unnamed: bool) -> None:
    file = StagingArea(shared_memory, unnamed=unnamed).create()
    assert stat.S_IMODE(os.fstat(file.fd).st_mode) == 0o440
    assert list(shared_memory.iterdir()) == ([] if file.path is None else [file.path])
    assert (file.path is None) == unnamed
    file.discard()


@FORMS
@pytest.mark.parametrize("most", [1, 3, 7, 10_000])
def test_a_write_that_the_system_cuts_short_goes_on(
    shared_memory: Path, monkeypatch: pytest.MonkeyPatch, unnamed: bool, most: int
) -> None:
    inner = os.writev

    def short(descriptor: int, buffers: Sequence[memoryview]) -> int:
        return inner(descriptor, [b"".join(buffers)[:most]])

    monkeypatch.setattr(os, "writev", short)
    file = StagingArea(shared_memory, unnamed=unnamed).create()
    file.write([b"a", b"bcdef", b"", b"ghijklmnop", b"q"])
    assert content(file) == b"abcdefghijklmnopq"
    file.discard()


def test_more_buffers_than_one_call_takes(shared_memory: Path, syscalls: Syscalls) -> None:
    file = StagingArea(shared_memory, unnamed=False).create()
    file.write([bytes([n % 256]) for n in range(2_500)])
    assert content(file) == bytes(n % 256 for n in range(2_500))
    assert len(syscalls.trace("writev")) == 3
    file.discard()


@FORMS
def test_a_write_that_fails_counts_what_was_written(shared_memory: Path, syscalls: Syscalls, unnamed: bool) -> None:
    file = StagingArea(shared_memory, unnamed=unnamed).create()
    file.write([b"abc"])
    with syscalls.failing("writev", error=errno.ENOSPC), pytest.raises(OSError, match="No space"):
        file.write([b"def"])
    assert file.size_bytes == 3
    file.discard()


@FORMS
def test_a_file_that_is_discarded_leaves_nothing(shared_memory: Path, unnamed: bool) -> None:
    file = StagingArea(shared_memory, unnamed=unnamed).create()
    file.write([b"abc"])
    file.discard()
    file.discard()
    assert file.fd == -1
    assert list(shared_memory.iterdir()) == []
    assert descriptors_under(shared_memory) == []


def test_what_was_published_stays(shared_memory: Path) -> None:
    file = StagingArea(shared_memory, unnamed=False).create()
    file.write([b"abc"])
    assert file.path is not None
    os.link(file.path, shared_memory / "published")
    file.discard()
    assert [path.read_bytes() for path in shared_memory.iterdir()] == [b"abc"]


def test_a_name_goes_even_when_closing_reports_an_earlier_write(
    shared_memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StagingArea(shared_memory, unnamed=False).create()
    inner = os.close

    def late(descriptor: int) -> None:
        inner(descriptor)
        raise OSError(errno.EDQUOT, "over the quota")

    with monkeypatch.context() as patch:
        patch.setattr(os, "close", late)
        with pytest.raises(OSError, match="quota"):
            file.discard()
    file.discard()
    assert list(shared_memory.iterdir()) == []


# --- what the directory allows ----------------------------------------------------------------------------------------


def test_files_have_no_name_where_the_directory_allows_it(shared_memory: Path) -> None:
    assert StagingArea(shared_memory).unnamed
    assert list(shared_memory.iterdir()) == []
    assert descriptors_under(shared_memory) == []


@pytest.mark.parametrize("call", ["open", "link"])
def test_files_have_a_name_where_it_does_not(shared_memory: Path, syscalls: Syscalls, call: str) -> None:
    with syscalls.failing(call, error=errno.EOPNOTSUPP):
        area = StagingArea(shared_memory)
    assert not area.unnamed
    assert descriptors_under(shared_memory) == []
    file = area.create()
    assert file.path is not None
    file.discard()
    area.sweep()
    assert list(shared_memory.iterdir()) == []


# --- what an earlier process left -------------------------------------------------------------------------------------


def test_a_sweep_removes_every_file_and_says_how_much(shared_memory: Path) -> None:
    for name, size in (("upload-1", 10), ("replace-2", 20), ("probe-3", 0)):
        (shared_memory / name).write_bytes(bytes(size))
    (shared_memory / "upload-4").symlink_to("nowhere")
    (shared_memory / "directory").mkdir()
    swept = StagingArea(shared_memory).sweep()
    assert swept.files == 4
    assert swept.size_bytes == 30 + len("nowhere")
    assert [path.name for path in shared_memory.iterdir()] == ["directory"]
    assert StagingArea(shared_memory).sweep().files == 0


def test_a_sweep_that_fails_is_an_error_of_the_store(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be removed: "):
        StagingArea(tmp_path / "missing", unnamed=False).sweep()


# --- past the page cache ----------------------------------------------------------------------------------------------

PAGE = 4096


def aligned(size: int) -> memoryview:
    block = memoryview(mmap.mmap(-1, max(size, 1)))[:size]
    block[:] = os.urandom(size)
    return block


def is_direct(file: StagedFile) -> bool:
    return bool(fcntl.fcntl(file.fd, fcntl.F_GETFL) & os.O_DIRECT)


@pytest.mark.parametrize("tail", [0, 1, PAGE - 1, PAGE, PAGE + 1])
def test_whole_pages_go_past_the_cache_and_an_odd_tail_into_it(tmp_path: Path, tail: int) -> None:
    blocks = [aligned(8 * PAGE), aligned(8 * PAGE), aligned(tail)]
    file = StagingArea(tmp_path).create()
    file.write_blocks(blocks[:1])
    assert is_direct(file) == file._may_be_direct
    file.write_blocks(blocks[1:])
    assert not (is_direct(file) and tail % PAGE)
    file.sync()
    assert content(file) == b"".join(blocks)
    file.discard()


@pytest.mark.parametrize("when", ["asked for", "written"])
def test_a_file_system_without_direct_writes_gets_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    set_flags, writev = fcntl.fcntl, os.writev

    def asked(descriptor: int, command: int, given: int = 0) -> int:
        if given & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return set_flags(descriptor, command, given)

    def written(descriptor: int, buffers: Sequence[memoryview]) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return writev(descriptor, buffers)

    if when == "asked for":
        monkeypatch.setattr(fcntl, "fcntl", asked)
    else:
        monkeypatch.setattr(os, "writev", written)
    blocks = [aligned(8 * PAGE), aligned(8 * PAGE), aligned(5)]
    file = StagingArea(tmp_path).create()
    for block in blocks:
        file.write_blocks([block])
    assert content(file) == b"".join(blocks)
    assert not is_direct(file)
    file.discard()


def test_a_direct_write_that_is_cut_short_goes_on_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = os.writev
    monkeypatch.setattr(os, "writev", lambda descriptor, buffers: inner(descriptor, [buffers[0][:1000]]))
    block = aligned(2 * PAGE)
    file = StagingArea(tmp_path).create()
    file._may_be_direct = False  # a direct write ends at a block's edge; one into the cache, anywhere
    file.write_blocks([block])
    monkeypatch.undo()
    file.write_blocks([block])
    assert content(file) == bytes(block) * 2
    file.discard()


def test_what_goes_into_the_cache_is_synced_every_few_megabytes(
    shared_memory: Path, syscalls: Syscalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = StagingArea(shared_memory, unnamed=False).create()
    file._may_be_direct = False
    for _ in range(20):
        file.write_blocks([aligned(2**20)])
    assert len(syscalls.trace("fdatasync")) == 2
    with syscalls.failing("fdatasync", error=errno.EIO), pytest.raises(OSError, match="Input/output"):
        file.write_blocks([aligned(2**20) for _ in range(8)])
    file.discard()
