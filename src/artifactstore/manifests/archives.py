"""Archives as streams: what goes in is known beforehand, so the length is, and the same entries give the same bytes.

Theory of operation. An archive is a list of entries. An entry is a path and either bytes, or a member of a package,
whose bytes come from an opener when their turn comes. Writers do no I/O: they give the bytes that go before and after
an entry's content. So the length is what they give for the same entries, and the sizes of the contents.

A member's bytes are digested on their way. If they are not what was sealed, the stream raises and the archive stays
without its end: no reader takes it for whole, and nothing is filled up.
"""

from __future__ import annotations

import asyncio
import tarfile
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from artifactstore.domain.errors import ObjectDamagedError
from artifactstore.domain.package import PackageMember
from artifactstore.hashing import DualDigest, DualHasher

#: Gives a member's bytes, in pieces of any size, and is closed when they were taken.
type Opener = Callable[[PackageMember], AbstractAsyncContextManager[AsyncIterable[bytes]]]

#: 1980-01-01 in UTC, the first time that zip knows: what was unpacked can be packed as either.
_TIME = 315_532_800
_THREAD_BYTES = 65536  # a shorter piece is digested before a thread would have begun


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of an archive."""

    path: str
    content: bytes | PackageMember

    @property
    def size_bytes(self) -> int:
        """How long its content is."""
        return len(self.content) if isinstance(self.content, bytes) else self.content.identity.size_bytes


class Writer(Protocol):
    """The bytes of one archive around the contents of its entries; an object serves one archive."""

    def before(self, path: str, size_bytes: int) -> bytes:
        """What goes before an entry's content."""
        ...

    def after(self, crc32: int) -> bytes:
        """What goes after the content of the entry begun last, and the CRC-32 of which this is."""
        ...

    def end(self) -> bytes:
        """What goes after the last entry."""
        ...


class TarFormat:
    """A tar archive of regular files in POSIX's pax form; no directories, one time, and owner 0."""

    def __init__(self) -> None:
        self._size = self._padding = 0

    def before(self, path: str, size_bytes: int) -> bytes:
        """A header of 512 bytes, and a pax header before it if the path or the size needs one."""
        info = tarfile.TarInfo(path)
        info.size, info.mtime = size_bytes, _TIME
        header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
        self._padding = -size_bytes % tarfile.BLOCKSIZE
        self._size += len(header) + size_bytes + self._padding
        return header

    def after(self, crc32: int) -> bytes:
        """Zeros up to a whole block."""
        return bytes(self._padding)

    def end(self) -> bytes:
        """Two blocks of zeros, and more up to a whole record."""
        ending = 2 * tarfile.BLOCKSIZE
        return bytes(ending + -(self._size + ending) % tarfile.RECORDSIZE)


#: What makes a writer.
type Format = Callable[[], Writer]


def archive_size(form: Format, entries: Iterable[Entry]) -> int:
    """How many bytes `archive_chunks` will give."""
    writer = form()
    size = 0
    for entry in entries:
        size += len(writer.before(entry.path, entry.size_bytes)) + entry.size_bytes + len(writer.after(0))
    return size + len(writer.end())


async def archive_chunks(form: Format, entries: Iterable[Entry], opener: Opener) -> AsyncIterator[bytes]:
    """The archive's bytes. ObjectDamagedError in mid-stream for a member whose bytes are not those that were sealed."""
    writer = form()
    waiting = b""  # what is short goes with what follows it
    for entry in entries:
        waiting += writer.before(entry.path, entry.size_bytes)
        if isinstance(entry.content, bytes):
            waiting += entry.content + writer.after(zlib.crc32(entry.content))
            continue
        yield waiting
        sums = _Sums()
        async with opener(entry.content) as stream:
            async for chunk in stream:
                await sums.take(chunk)
                if sums.size_bytes > entry.size_bytes:
                    break
                yield chunk
        sums.check(entry.content)
        waiting = writer.after(sums.crc32)
    yield waiting + writer.end()


class _Sums:
    """What is known of a member's bytes so far."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self.crc32 = 0
        self._hasher = DualHasher()

    async def take(self, chunk: bytes) -> None:
        self.size_bytes += len(chunk)
        if len(chunk) < _THREAD_BYTES:
            self._update(chunk)
        else:
            await asyncio.to_thread(self._update, chunk)

    def _update(self, chunk: bytes) -> None:
        self._hasher.update(chunk)
        self.crc32 = zlib.crc32(chunk, self.crc32)

    def check(self, member: PackageMember) -> None:
        sealed = member.identity
        if self.size_bytes != sealed.size_bytes:
            given = "more" if self.size_bytes > sealed.size_bytes else f"{self.size_bytes}"
            raise ObjectDamagedError(f"{member.name} has {sealed.size_bytes} bytes, and {given} came")
        if self._hasher.digests() != DualDigest(sealed.blake3.value, sealed.sha256.value):
            raise ObjectDamagedError(f"the bytes of {member.name} are not those that were sealed")
