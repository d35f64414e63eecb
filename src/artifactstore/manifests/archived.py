"""Zip and tar archives as containers."""

from __future__ import annotations

import copy
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from artifactstore.domain.errors import InvalidPackageError
from artifactstore.manifests.containers import MAX_ENTRIES, READ_BYTES, Container

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
#: What is read at once: by tarfile a pax header or a long name, by zipfile the whole directory; more than 10,000
#: members need.
_MAX_TAR_HEADER_BYTES = 2**20
_MAX_ZIP_DIRECTORY_BYTES = 2**24
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


class ZipContainer(Container):
    """The files that a zip archive's central directory lists, stored or deflated."""

    def __init__(self, path: Path, file: BinaryIO, progress: Callable[[int], object]) -> None:
        super().__init__(progress)
        self._entries: dict[str, zipfile.ZipInfo] = {}
        try:
            self._archive = zipfile.ZipFile(_BoundedReads(file, _MAX_ZIP_DIRECTORY_BYTES))
        except _ZIP_ERRORS as error:
            raise InvalidPackageError(f"{path} is not a zip archive that can be read: {error}") from None
        entries = self._archive.infolist()
        if len(entries) > MAX_ENTRIES:
            raise InvalidPackageError(f"{path} has more than {MAX_ENTRIES} entries")
        offsets = Counter(entry.header_offset for entry in entries)
        if min(offsets, default=0) > 0:
            self._found("", "there is something before the first file that the archive lists")
        for entry in entries:
            problem = "is one file under two names" if offsets[entry.header_offset] > 1 else _zip_problem(entry)
            if problem is not None:
                self._found(entry.filename, problem)
            elif entry.is_dir():
                self._pass_directory(entry.filename)
            elif self._list(entry.filename, entry.file_size):
                self._entries[entry.filename] = entry

    def _pieces(self, path: str) -> Iterator[bytes]:
        entry = self._entries[path]
        left, crc32 = entry.file_size, 0
        try:
            for piece in _inflated(entry, self._raw(entry)):
                left -= len(piece)
                if left < 0:
                    break
                crc32 = zlib.crc32(piece, crc32)
                yield piece
        except _ZIP_ERRORS as error:
            raise InvalidPackageError(f"cannot be read: {error}", field=path) from None
        if left:
            than = "longer" if left < 0 else "shorter"
            raise InvalidPackageError(f"is {than} than the archive says", field=path)
        if crc32 != entry.CRC:
            raise InvalidPackageError("does not have the CRC-32 that the archive says", field=path)

    def _raw(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        """The bytes as they lie in the archive: zipfile's own reader stops at the size that an entry says it has."""
        stored = copy.copy(entry)
        stored.compress_type, stored.file_size = zipfile.ZIP_STORED, entry.compress_size
        stored.CRC = None  # type: ignore[assignment]  # which tells zipfile not to check it: it is that of the content
        with self._archive.open(stored) as file:
            while piece := file.read(READ_BYTES):
                yield piece

    def close(self) -> None:
        """Give up the archive; its file is the caller's."""
        self._archive.close()


def _zip_problem(entry: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if entry.orig_filename != entry.filename:
        return "has a NUL in its path"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a symbolic link" if kind == stat.S_IFLNK else "is neither a file nor a directory"
    if entry.is_dir():
        return "is a directory with content" if entry.file_size else None
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if entry.compress_type not in _COMPRESSIONS:
        return "is neither stored nor deflated"
    return None


def _inflated(entry: zipfile.ZipInfo, raw: Iterator[bytes]) -> Iterator[bytes]:
    if entry.compress_type == zipfile.ZIP_STORED:
        yield from raw
        return
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    for piece in raw:
        waiting = piece
        while waiting and not inflater.eof:
            yield inflater.decompress(waiting, READ_BYTES)
            waiting = inflater.unconsumed_tail
    while not inflater.eof and (piece := inflater.decompress(b"", READ_BYTES)):
        yield piece
    if not inflater.eof or inflater.unused_data:
        raise zlib.error("its compressed form does not end where the archive says")


class TarContainer(Container):
    """The regular files of an uncompressed tar archive."""

    def __init__(self, path: Path, file: BinaryIO, progress: Callable[[int], object]) -> None:
        super().__init__(progress)
        self._file = file
        self._offsets: dict[str, int] = {}
        try:
            with tarfile.open(
                fileobj=_BoundedReads(file, _MAX_TAR_HEADER_BYTES), mode="r:", encoding="utf-8"
            ) as archive:  # type: ignore[call-overload]  # as above
                self._take(path, archive)
                end = archive.offset
        except (tarfile.TarError, OSError, ValueError) as error:
            raise InvalidPackageError(
                f"{path} is neither a zip nor an uncompressed tar archive that can be read: {error}"
            ) from None
        self._check_end(end)

    def _take(self, path: Path, archive: tarfile.TarFile) -> None:
        for count, entry in enumerate(archive):
            if count >= MAX_ENTRIES:
                raise InvalidPackageError(f"{path} has more than {MAX_ENTRIES} entries")
            name = entry.name.removeprefix("./")
            if entry.isdir():
                self._pass_directory(entry.name)
                continue
            if entry.issym() or entry.islnk():
                self._found(name, "is a link")
            elif entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.sparse is not None:
                self._found(name, "is not a plain file")
            elif self._list(name, entry.size):
                self._offsets[name] = entry.offset_data

    def _check_end(self, offset: int) -> None:
        """Two blocks of zeros, and nothing else after the last file: some readers would go on behind them."""
        self._file.seek(offset)
        size = 0
        while piece := self._file.read(READ_BYTES):
            if piece.count(0) != len(piece):
                self._found("", f"there is something after the last file, at byte {offset + size} or later")
                return
            size += len(piece)
        if size < 2 * tarfile.BLOCKSIZE:
            self._found("", "the archive is cut off: its end is missing")

    def _pieces(self, path: str) -> Iterator[bytes]:
        left = self.sizes[path]
        self._file.seek(self._offsets[path])
        while left:
            piece = self._file.read(min(READ_BYTES, left))
            if not piece:
                raise InvalidPackageError("is cut off", field=path)
            left -= len(piece)
            yield piece

    def close(self) -> None:
        """The file is the caller's."""


class _BoundedReads:
    """A file that refuses long reads: both libraries take what a header says is so long into memory, all at once."""

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self._file = file
        self._most_bytes = most_bytes
        self.name = ""
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > self._most_bytes:
            raise OSError(f"a header or a directory has more than {self._most_bytes} bytes")
        return self._file.read(self._most_bytes if size < 0 else size)
