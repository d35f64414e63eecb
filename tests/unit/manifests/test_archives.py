"""The writers of zip and tar, read by zipfile and tarfile."""

from __future__ import annotations

import asyncio
import io
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain.errors import ObjectDamagedError
from artifactstore.domain.package import PackageMember
from artifactstore.manifests.archives import Entry, Format, TarFormat, archive_chunks, archive_size
from artifactstore.manifests.zip_format import ZipFormat
from tests.packages import identity_of_bytes, opener_of

FORMS = pytest.mark.parametrize("form", [TarFormat, ZipFormat])
PATHS = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/"), min_size=1, max_size=150
).filter(lambda path: path not in (".", ".."))
GIB = 2**30


def entries_of(files: dict[str, bytes], *, as_members: bool = True) -> list[Entry]:
    return [
        Entry(path, PackageMember(path, identity_of_bytes(data)) if as_members else data)
        for path, data in files.items()
    ]


async def archive(form: Format, entries: list[Entry], files: dict[str, bytes], piece_bytes: int = 100_000) -> bytes:
    return b"".join([chunk async for chunk in archive_chunks(form, entries, opener_of(files, piece_bytes))])


def contents(form: Format, data: bytes) -> dict[str, bytes]:
    found = {}
    if form is ZipFormat:
        with zipfile.ZipFile(io.BytesIO(data)) as opened:
            assert opened.testzip() is None
            return {name: opened.read(name) for name in opened.namelist()}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as opened_tar:
        for info in opened_tar:
            file = opened_tar.extractfile(info)
            assert file is not None
            found[info.name] = file.read()
    return found


@FORMS
@given(
    files=st.dictionaries(PATHS, st.binary(max_size=2000), max_size=5),
    piece_bytes=st.integers(1, 700),
    as_members=st.booleans(),
)
def test_an_archive_holds_what_went_in_and_has_the_size_that_was_said(
    form: Format, files: dict[str, bytes], piece_bytes: int, as_members: bool
) -> None:
    entries = entries_of(files, as_members=as_members)
    data = asyncio.run(archive(form, entries, files, piece_bytes))
    assert len(data) == archive_size(form, entries)
    assert contents(form, data) == files


@FORMS
@pytest.mark.parametrize("given_bytes", [b"", b"short", b"longer than it is", b"as lonG"])
async def test_a_member_that_is_not_what_was_sealed_breaks_the_stream(form: Format, given_bytes: bytes) -> None:
    entries = entries_of({"first": b"1", "damaged": b"as long", "last": b"3"})
    taken = bytearray()
    with pytest.raises(ObjectDamagedError, match="damaged"):
        async for chunk in archive_chunks(
            form, entries, opener_of({"first": b"1", "damaged": given_bytes, "last": b"3"})
        ):
            taken += chunk
    assert b"last" not in taken
    assert len(taken) < archive_size(form, entries)
    assert b"longer than it is" not in taken


@FORMS
async def test_a_long_member_is_not_held_in_memory(form: Format) -> None:
    """Its pieces go out as they come in, and one is asked for when the one before was taken."""
    data = bytes(10 * 65536)
    (entry,) = entries_of({"long": data})
    longest = 0
    async for chunk in archive_chunks(form, [entry], opener_of({"long": data}, 65536)):
        longest = max(longest, len(chunk))
    assert longest == 65536


@FORMS
async def test_whoever_stops_reading_leaves_nothing_open(form: Format) -> None:
    stream = archive_chunks(form, entries_of({"a": b"a" * 10}), opener_of({"a": b"a" * 10}, 1))
    for _ in range(3):
        await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]  # an asynchronous generator
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


def test_sizes_beyond_four_gib_are_zip64(tmp_path: Path) -> None:
    large, files = 4 * GIB + 7, {"first": b"1", "last": b"3"}
    writer = ZipFormat()
    path = tmp_path / "large.zip"
    with path.open("wb") as file:
        for name, size in (("first", 1), ("large", large), ("exactly", 0xFFFFFFFF), ("last", 1)):
            file.write(writer.before(name, size))
            data = files.get(name)
            file.write(data or b"")
            if data is None:
                file.seek(size, io.SEEK_CUR)  # a hole
            file.write(writer.after(zlib.crc32(data or b"")))
        file.write(writer.end())
    with zipfile.ZipFile(path) as opened:
        assert [info.file_size for info in opened.infolist()] == [1, large, 0xFFFFFFFF, 1]
        assert opened.read("first") == b"1"
        assert opened.read("last") == b"3"
        for name in ("large", "exactly"):
            with opened.open(name) as member:
                assert member.read(10) == bytes(10)


def test_more_entries_than_16_bits_count_are_zip64() -> None:
    writer, data = ZipFormat(), bytearray()
    for index in range(65_536):
        data += writer.before(f"{index}", 0) + writer.after(0)
    data += writer.end()
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert len(opened.infolist()) == 65_536
        assert opened.read("65535") == b""


def test_sizes_beyond_eight_gib_are_in_a_pax_header(tmp_path: Path) -> None:
    size, writer = 9 * GIB, TarFormat()
    path = tmp_path / "large.tar"
    with path.open("wb") as file:
        file.write(writer.before("large", size))
        file.seek(size, io.SEEK_CUR)  # a hole
        file.write(writer.after(0) + writer.before("last", 1) + b"3" + writer.after(0) + writer.end())
    with tarfile.open(path) as opened:
        assert [(info.name, info.size) for info in opened] == [("large", size), ("last", 1)]
