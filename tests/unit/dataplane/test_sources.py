from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from artifactstore.dataplane.sources import READ_BYTES, read_file, stream_of
from artifactstore.dataplane.spi import Buffer
from tests.syscalls import descriptors_under, waits_in_open

DATA = os.urandom(2 * READ_BYTES + 17)


async def test_bytes_are_one_buffer_of_known_size() -> None:
    stream, size = stream_of(DATA)
    assert size == len(DATA)
    assert [buffer async for buffer in stream] == [DATA]


@pytest.mark.parametrize("data", [b"", b"a", DATA])
async def test_a_path_is_read_in_bounded_pieces(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    stream, size = stream_of(path)
    assert size == (len(data) or None), "what says it is empty may be a file of /proc"
    pieces = [bytes(piece) async for piece in stream]
    assert b"".join(pieces) == data
    assert all(0 < len(piece) <= READ_BYTES for piece in pieces)
    assert descriptors_under(tmp_path) == []


async def test_a_path_that_is_given_up_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    stream, _ = stream_of(path)
    assert isinstance(stream, AsyncIterator)
    async with aclosing(stream) as pieces:  # type: ignore[type-var]  # a generator
        async for _ in pieces:
            break
    assert descriptors_under(tmp_path) == []


async def test_what_is_not_a_file_has_no_known_size(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert stream_of(tmp_path / "fifo")[1] is None


async def test_a_pipe_that_nobody_writes_is_waited_for_and_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    stream, _ = stream_of(tmp_path / "fifo")
    reading = asyncio.ensure_future(anext(aiter(stream)))
    while not waits_in_open(os.getpid()):
        await asyncio.sleep(0.001)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    writer = os.open(tmp_path / "fifo", os.O_WRONLY)  # the thread opens it after all, and closes it again
    while len(descriptors_under(tmp_path)) > 1:
        await asyncio.sleep(0.001)
    os.close(writer)


async def test_a_file_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    stream, size = stream_of(tmp_path / "missing")
    assert size is None
    with pytest.raises(FileNotFoundError):
        async for _ in stream:
            pass


async def test_a_stream_is_taken_as_it_is() -> None:
    async def stream() -> AsyncIterator[Buffer]:
        yield b"a"

    given = stream()
    assert stream_of(given) == (given, None)
    assert [buffer async for buffer in given] == [b"a"]


async def test_an_open_file_is_read_from_where_it_stands() -> None:
    file = io.BytesIO(DATA)
    file.seek(100)
    assert b"".join([piece async for piece in read_file(file)]) == DATA[100:]
    assert not file.closed
