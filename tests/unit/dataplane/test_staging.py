from __future__ import annotations

import errno
import os
import stat
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest

from artifactstore.dataplane.staging import StagingArea
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
