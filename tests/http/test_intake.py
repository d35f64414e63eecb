"""Large bodies of known length, which are received past aiohttp's parser."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator

import pytest
from blake3 import blake3

from artifactstore.api.intake import LEAST_BYTES
from artifactstore.dataplane.blocks import BLOCK_BYTES
from tests.conftest import Gateway, GatewayFactory
from tests.http.wire import Wire, connect, request, settled

DATA = os.urandom(3 * BLOCK_BYTES + 4096 + 77)
ADDRESS = f"blake3:{blake3(DATA).hexdigest()}"


def post(size: int = len(DATA), *headers: str) -> str:
    return request("POST", "/v1/objects", f"Content-Length: {size}", *headers)


@pytest.fixture
async def wire(gateway: Gateway) -> AsyncIterator[Wire]:
    connection = await connect(gateway)
    yield connection
    await connection.close()


async def assert_nothing_is_stored(gateway: Gateway) -> None:
    await settled(gateway)
    assert await gateway.store.registry.head() == 0
    assert gateway.stored() == []
    assert gateway.staged() == []


async def stored(gateway: Gateway) -> list[bytes]:
    await settled(gateway)
    return [path.read_bytes() for path in gateway.stored()]


@pytest.mark.parametrize("together", [0, 1, 100_000, 600_000, len(DATA)])
async def test_what_came_with_the_head_is_a_part_of_the_body(gateway: Gateway, wire: Wire, together: int) -> None:
    await wire.send(post().encode() + DATA[:together])
    await wire.pause()
    await wire.send(DATA[together:])
    status, headers, body = await wire.answer()
    assert status == 201, body
    assert json.loads(body)["blake3"] == ADDRESS
    assert headers["connection"] == "close"  # nobody knows any more where a next request would begin
    assert await wire.closed()
    assert await stored(gateway) == [DATA]


async def test_a_body_that_comes_in_small_pieces(gateway: Gateway, wire: Wire) -> None:
    await wire.send(post())
    for start in range(0, len(DATA), 70_001):
        await wire.send(DATA[start : start + 70_001])
        await wire.pause()
    assert (await wire.head())[0] == 201
    assert await stored(gateway) == [DATA]


@pytest.mark.parametrize("size", [LEAST_BYTES - 1, LEAST_BYTES, 2 * BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
async def test_a_body_of_any_length_is_whole(gateway: Gateway, wire: Wire, size: int) -> None:
    await wire.send(post(size))
    await wire.send(DATA[:size])
    _, headers, body = await wire.answer()
    assert json.loads(body)["blake3"] == f"blake3:{blake3(DATA[:size]).hexdigest()}"
    assert ("connection" in headers) == (size >= LEAST_BYTES)
    assert await stored(gateway) == [DATA[:size]]


async def test_a_body_that_waits_to_be_asked_for(gateway: Gateway, wire: Wire) -> None:
    await wire.send(post(len(DATA), "Expect: 100-continue"))
    assert (await wire.head())[0] == 100
    await wire.send(DATA)
    assert (await wire.head())[0] == 201
    assert await stored(gateway) == [DATA]


async def test_what_follows_the_body_is_no_part_of_it_and_no_request(gateway: Gateway, wire: Wire) -> None:
    await wire.send(post())
    await wire.send(DATA + post(0).encode())
    assert (await wire.head())[0] == 201
    assert await stored(gateway) == [DATA]
    assert await gateway.store.registry.head() == 1


@pytest.mark.parametrize("sent", [0, 1, BLOCK_BYTES, BLOCK_BYTES + 1, len(DATA) - 1])
@pytest.mark.parametrize("half", [True, False])
async def test_a_client_that_leaves_leaves_nothing(gateway: Gateway, wire: Wire, sent: int, half: bool) -> None:
    await wire.send(post())
    await wire.send(DATA[:sent])
    await wire.pause()
    if half:
        wire.writer.write_eof()
        assert b" 201 " not in await wire.reader.read()
    else:
        await wire.close()
    await assert_nothing_is_stored(gateway)


async def test_a_body_that_stands_still_is_given_up(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(body_timeout=0.2)
    wire = await connect(gateway)
    await wire.send(post())
    await wire.send(DATA[: BLOCK_BYTES + 5])
    status, headers, body = await wire.answer()
    assert (status, headers["connection"]) == (408, "close")
    assert b"request-timeout" in body
    await assert_nothing_is_stored(gateway)
    await wire.close()


async def test_a_slow_body_is_not_one_that_stands_still(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(body_timeout=0.4)
    wire = await connect(gateway)
    await wire.send(post())
    for start in range(0, len(DATA), 100_000):  # in all, longer than a pause may be
        await wire.send(DATA[start : start + 100_000])
        await asyncio.sleep(0.04)
    assert (await wire.head())[0] == 201
    await wire.close()


async def test_a_refusal_reaches_a_client_that_is_still_sending(
    gateway: Gateway, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "writev", full)
    size = 64 * len(DATA)
    await wire.send(post(size))

    async def send() -> None:
        for _ in range(64):
            await wire.send(DATA)

    sending = asyncio.create_task(send())
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (507, "close")
    await sending
    await assert_nothing_is_stored(gateway)


async def test_a_body_with_another_digest_is_refused(gateway: Gateway, wire: Wire) -> None:
    await wire.send(request("PUT", f"/v1/objects/blake3:{'0' * 64}", f"Content-Length: {len(DATA)}"))
    await wire.send(DATA)
    assert (await wire.head())[0] == 422
    await assert_nothing_is_stored(gateway)


async def test_a_server_that_stops_does_not_wait_for_a_silent_client(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway()
    wire = await connect(gateway)
    await wire.send(post())
    await wire.send(DATA[: BLOCK_BYTES + 5])
    for _ in range(20):
        await wire.pause()
    assert gateway.store.release is not None
    await gateway.store.close()  # breaks the upload off, as the server does when its grace is over
    assert (await wire.head())[0] >= 500
    assert gateway.stored() == []
    await wire.close()
