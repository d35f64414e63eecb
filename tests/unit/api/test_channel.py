from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from artifactstore.api.channel import Channel, first, pair


class End:
    """One end of a channel, and what came there."""

    def __init__(self, end: socket.socket) -> None:
        self.documents: list[dict[str, Any]] = []
        self.connections: list[tuple[socket.socket, bytes]] = []
        self.lost = asyncio.Event()
        self.channel = Channel(end, documents=self.documents.append, connections=self._take, lost=self.lost.set)

    def _take(self, connection: socket.socket, received: bytes) -> None:
        self.connections.append((connection, received))


@pytest.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    ours, theirs = map(End, pair())
    yield ours, theirs
    for end in (ours, theirs):
        end.channel.close()
        for connection, _ in end.connections:
            connection.close()


def descriptors_open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def until(condition: Any) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_documents_arrive_whole_and_in_order(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    wanted = [{"number": number, "text": "ä" * number} for number in range(300)]
    for document in wanted:
        ours.channel.tell(document)
    await until(lambda: len(theirs.documents) == len(wanted))
    assert theirs.documents == wanted


@pytest.mark.parametrize("size", [0, 1, 32 * 1024, 32 * 1024 + 1, 2**20])
async def test_a_connection_arrives_with_what_was_received_of_it(ends: tuple[End, End], size: int) -> None:
    ours, theirs = ends
    client, server = socket.socketpair()
    with client, server:
        received = os.urandom(size)
        ours.channel.give(os.dup(server.fileno()), received)
        await until(lambda: theirs.connections)
        connection, came = theirs.connections[0]
        assert came == received
        connection.sendall(b"answer")
        assert client.recv(100) == b"answer"


async def test_what_the_other_end_does_not_take_yet_is_kept(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    client, server = socket.socketpair()
    descriptors = descriptors_open()
    with client, server:
        for number in range(500):  # more than the socket takes
            ours.channel.tell({"number": number, "text": "x" * 10_000})
            ours.channel.give(os.dup(server.fileno()), str(number).encode())
        assert ours.channel._waiting
        await until(lambda: len(theirs.connections) == 500)
        assert [received for _, received in theirs.connections] == [str(number).encode() for number in range(500)]
        assert [document["number"] for document in theirs.documents] == list(range(500))
        for connection, _ in theirs.connections:
            connection.close()
        theirs.connections.clear()
    assert descriptors_open() == descriptors - 2


async def test_the_end_of_the_other_is_told_once_and_what_is_sent_then_is_dropped(ends: tuple[End, End]) -> None:
    ours, theirs = ends
    theirs.channel.tell({"last": True})
    theirs.channel.close()
    await until(ours.lost.is_set)
    assert ours.documents == [{"last": True}]
    client, server = socket.socketpair()
    with client, server:
        descriptors = descriptors_open()
        ours.channel.tell({"for": "nobody"})
        ours.channel.give(os.dup(server.fileno()), b"")
        assert descriptors_open() == descriptors


async def test_finishing_sends_what_waits() -> None:
    ours, theirs = pair()
    channel = Channel(ours, documents=lambda _: None, connections=lambda _, __: None, lost=lambda: None)
    for number in range(500):
        channel.tell({"number": number, "text": "x" * 10_000})
    with theirs:
        finishing = asyncio.get_running_loop().run_in_executor(None, _read_all, theirs)
        channel.finish()
        assert await finishing == 500


def _read_all(end: socket.socket) -> int:
    end.setblocking(True)
    return sum(1 for _ in iter(lambda: end.recv(20_000), b""))


def test_the_first_document_is_waited_for() -> None:
    ours, theirs = pair()
    with theirs:
        ours.send(b'D{"a":1}')
        assert first(theirs) == {"a": 1}
        ours.close()
        with pytest.raises(EOFError):
            first(theirs)
