"""The zip format (PKWARE's APPNOTE.TXT 6.3.10), as far as stored entries that are written in one pass need it.

The CRC-32 of an entry is known after its content, so it stands in a data descriptor and in the central directory
(general purpose bit 3). ZIP64 is used where a size, an offset or a count needs it, and only there. Names are UTF-8
(bit 11), times are the format's first.
"""

from __future__ import annotations

import struct

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR_64 = struct.Struct("<4sIQI")
_FLAGS = 0x0808
_DATE = 0x0021  # 1980-01-01; the time is 0
_UNIX = 3 << 8
_ATTRIBUTES = 0o100644 << 16  # a regular file that its owner may write and all may read
_VERSION, _VERSION_64 = 20, 45
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_EXTRA_64 = 1


class ZipFormat:
    """A zip archive of stored entries: the bytes around their contents."""

    def __init__(self) -> None:
        self._offset = 0
        self._central: list[bytes] = []
        self._open: tuple[bytes, int, int] | None = None  # name, size, offset of its header

    def before(self, path: str, size_bytes: int) -> bytes:
        """A local header."""
        name = path.encode()
        wide = size_bytes >= _MAX_32
        extra = struct.pack("<2H2Q", _EXTRA_64, 16, 0, 0) if wide else b""
        size = _MAX_32 if wide else 0
        version = _VERSION_64 if wide else _VERSION
        header = _LOCAL.pack(b"PK\3\4", version, _FLAGS, 0, 0, _DATE, 0, size, size, len(name), len(extra))
        self._open = name, size_bytes, self._offset
        self._offset += len(header) + len(name) + len(extra) + size_bytes
        return header + name + extra

    def after(self, crc32: int) -> bytes:
        """A data descriptor."""
        assert self._open is not None  # noqa: S101 - the writer's protocol
        name, size, offset = self._open
        descriptor = struct.pack("<4sI2Q" if size >= _MAX_32 else "<4s3I", b"PK\7\10", crc32, size, size)
        self._offset += len(descriptor)
        self._central.append(_central_header(name, crc32, size, offset))
        return descriptor

    def end(self) -> bytes:
        """The central directory and its end."""
        directory = b"".join(self._central)
        count, size, offset = len(self._central), len(directory), self._offset
        wide = b""
        if count >= _MAX_16 or size >= _MAX_32 or offset >= _MAX_32:
            version = _UNIX | _VERSION_64
            wide = _END_64.pack(
                b"PK\6\6", _END_64.size - 12, version, _VERSION_64, 0, 0, count, count, size, offset
            ) + _LOCATOR_64.pack(b"PK\6\7", 0, offset + size, 1)
        count = min(count, _MAX_16)
        return directory + wide + _END.pack(b"PK\5\6", 0, 0, count, count, min(size, _MAX_32), min(offset, _MAX_32), 0)


def _central_header(name: bytes, crc32: int, size: int, offset: int) -> bytes:
    # APPNOTE 4.5.3: both sizes, then the offset, each only if its own field says that it is here
    fields = b"".join(struct.pack("<Q", value) for value in (size, size, offset) if value >= _MAX_32)
    extra = struct.pack("<2H", _EXTRA_64, len(fields)) + fields if fields else b""
    version = _VERSION_64 if fields else _VERSION
    shown_size, shown_offset = min(size, _MAX_32), min(offset, _MAX_32)
    header = _CENTRAL.pack(
        b"PK\1\2", _UNIX | version, version, _FLAGS, 0, 0, _DATE, crc32, shown_size, shown_size,
        len(name), len(extra), 0, 0, 0, _ATTRIBUTES, shown_offset,
    )  # fmt: skip
    return header + name + extra
