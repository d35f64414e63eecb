"""An object's bytes, opened for reading over a local root."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Self

from artifactstore.dataplane.spi import ServedObject
from artifactstore.domain.artifact import ObjectRecord, ObjectState
from artifactstore.domain.errors import ObjectDamagedError
from artifactstore.domain.ranges import ByteRange
from artifactstore.lifecycle import damage


class HeldBytes:
    """A range of an object whose whole content is in memory; `dataplane.spi.ServedObject`."""

    def __init__(self, content: bytes, byte_range: ByteRange) -> None:
        self._content = content
        self._range = byte_range

    @property
    def size_bytes(self) -> int:
        """The size of the whole."""
        return len(self._content)

    @property
    def byte_range(self) -> ByteRange:
        """The bytes that iterating gives."""
        return self._range

    def fileno(self) -> int | None:
        """None: there is no file."""
        return None

    async def chunks(self, byte_range: ByteRange | None = None) -> AsyncIterator[bytes]:
        """The bytes, at once."""
        wanted = byte_range or self._range
        if wanted.length:
            yield self._content[wanted.start : wanted.stop]

    async def close(self) -> None:
        """Nothing is held."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        return None


class LocalContent:
    """An object's bytes, opened; closing it notes the retrieval.

    `held`: the bytes of the range it was opened with, if they are in memory; tell `count` when they were sent.
    """

    def __init__(
        self,
        record: ObjectRecord,
        served: ServedObject,
        note: Callable[[int], None] | None,
        held: bytes | None = None,
    ) -> None:
        self.identity = record.identity
        self.held = None if held is None else held[served.byte_range.start : served.byte_range.stop]
        self._served = served
        self._note = note
        self._sent = 0

    @property
    def byte_range(self) -> ByteRange:
        """The bytes that `chunks` gives when it is asked for no other range."""
        return self._served.byte_range

    def fileno(self) -> int | None:
        """A descriptor to send the bytes from, owned by this; None where there is none. Tell `count` what was sent."""
        return self._served.fileno()

    def count(self, sent: int) -> None:
        """Count bytes that were sent in another way than by `chunks`."""
        self._sent += sent

    async def chunks(self, byte_range: ByteRange | None = None) -> AsyncIterator[bytes]:
        """The bytes of `byte_range`, or of the range it was opened with."""
        async for chunk in self._served.chunks(byte_range):
            yield chunk
            self._sent += len(chunk)

    async def close(self) -> None:
        """Give up the descriptor and note what was read."""
        note, self._note = self._note, None
        if note is not None:
            note(self._sent)
        await self._served.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


def refuse_damaged(record: ObjectRecord) -> None:
    """ObjectDamagedError if the record is marked damaged: its bytes are never given out."""
    if record.state is ObjectState.DAMAGED:
        raise ObjectDamagedError(damage(record.identity.blake3, record.damage))
