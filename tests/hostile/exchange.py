"""One connection's bytes, whole or in pieces, and every byte that comes back until its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import pairwise

_PATIENCE = 45.0  # seconds, below the gateway's own deadline for bodies: a connection that is open then hangs


class _Answers(asyncio.Protocol):
    """Keeps what comes, also when the connection ends with a reset."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.ended = asyncio.get_running_loop().create_future()
        self._writable = asyncio.Event()
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self.received += data

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        if not self.ended.done():
            self.ended.set_result(None)

    async def drained(self) -> None:
        await self._writable.wait()


async def exchange(port: int, pieces: Iterable[bytes]) -> bytes:
    """Send the pieces, each in a segment of its own, and then the end; what comes back until the other side ends.

    TimeoutError if it never does.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(_PATIENCE):
        transport, answers = await loop.create_connection(_Answers, "127.0.0.1", port)
        try:
            first = True
            for piece in pieces:
                if not first:
                    await _delivered()
                first = False
                if transport.is_closing():
                    break
                transport.write(piece)
                await answers.drained()
            if not transport.is_closing():
                transport.write_eof()
            await answers.ended
        finally:
            transport.abort()
    return bytes(answers.received)


async def _delivered() -> None:
    """Let a server on this loop read what was sent, on its own."""
    for _ in range(3):
        await asyncio.sleep(0)


def statuses(received: bytes) -> tuple[int, ...]:
    """The statuses of the answers that these bytes are; AssertionError if they are anything else.

    Interim answers are left out. The answer to HEAD has no body: it is told by the next one, which begins at once.
    """
    found = []
    while received:
        head, end, rest = received.partition(b"\r\n\r\n")
        assert end, f"an answer that is cut off: {received[:200]!r}"
        line, *lines = head.split(b"\r\n")
        assert line.startswith(b"HTTP/"), f"this is no answer: {line[:200]!r}"
        status = int(line.split()[1])
        fields = [item.partition(b":") for item in lines]
        lengths = [value.strip() for name, _, value in fields if name.lower() == b"content-length"]
        assert len(lengths) <= 1
        received = rest
        if status < 200:
            continue
        found.append(status)
        length = int(lengths[0]) if lengths else 0
        if rest and not rest.startswith(b"HTTP/"):  # else it was HEAD's
            assert len(rest) >= length, "a body that is cut off"
            received = rest[length:]
    return tuple(found)


def split(data: bytes, places: list[int]) -> list[bytes]:
    """The pieces of `data` between these places."""
    return [data[begin:end] for begin, end in pairwise([0, *places, len(data)])]
