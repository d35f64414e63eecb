"""Chunked bodies of many small chunks, long extensions, large trailers: what is not data is bounded."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactstore.api.limits import FramingTooLargeError, Limits
from tests.conftest import Gateway, GatewayFactory
from tests.fuzz.targets.framing import served
from tests.http.wire import Wire, connect, request, settled

HEAD = request("POST", "/v1/objects", "Transfer-Encoding: chunked").encode()
LAST = b"0\r\n\r\n"
#: Bytes that come in one buffer with a head, at most, are not counted: this is more.
FLOOD = 2**19


@pytest.fixture
async def gateway(start_gateway: GatewayFactory) -> Gateway:
    return await start_gateway(max_framing_bytes=2**16, max_head_bytes=2**14)


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%b\r\n%b\r\n" % (len(data), extension, data)


async def refused(gateway: Gateway, wire: Wire, code: bytes = b":framing-too-large", status: int = 400) -> None:
    """The answer is there, is the last, and nothing is stored."""
    answered, headers, body = await wire.answer()
    assert (answered, headers["connection"]) == (status, "close")
    assert code in body
    assert await wire.closed()
    await settled(gateway)
    assert await gateway.store.registry.head() == 0
    await wire.close()


async def test_a_body_of_chunks_of_one_byte_is_refused_with_an_answer(gateway: Gateway) -> None:
    """Though the client goes on sending before it reads: else the end of the connection would take the answer."""
    wire = await connect(gateway)
    await wire.send(HEAD)
    await wire.send(chunk(b"a") * (2 * FLOOD // 6) + LAST)
    wire.writer.write_eof()
    await refused(gateway, wire)


async def test_so_is_one_that_no_address_takes(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    """Its answer is sent before; what is read to be dropped is bounded as well, and is no error of ours."""
    with caplog.at_level(logging.WARNING):
        wire = await connect(gateway)
        await wire.send(request("POST", "/nothing", "Transfer-Encoding: chunked"))
        assert (await wire.answer())[0] == 404
        with suppress(ConnectionError, RuntimeError):  # as uvloop says it
            while not wire.reader.at_eof():
                await wire.send(chunk(b"a") * 10_000)
                await wire.pause()
        wire.writer.transport.abort()
        await settled(gateway)
    assert caplog.records == []


@pytest.mark.parametrize(
    "flood",
    [
        b";" + b"x" * 100,
        b";x=" + b"y" * FLOOD,
    ],
)
async def test_extensions_are_framing(gateway: Gateway, flood: bytes) -> None:
    wire = await connect(gateway)
    await wire.send(HEAD)
    await wire.send(chunk(b"a", flood) * (2 * FLOOD // len(flood)) + LAST)
    wire.writer.write_eof()
    await refused(gateway, wire)


async def test_trailers_are_no_larger_than_a_head(gateway: Gateway) -> None:
    """However much data came before: the parser keeps them in memory."""
    wire = await connect(gateway)
    await wire.send(HEAD)
    await wire.send(chunk(os.urandom(2 * FLOOD)) + b"0\r\n")
    await wire.send((b"X: " + b"y" * 10_000 + b"\r\n") * 60 + b"\r\n")
    wire.writer.write_eof()
    await refused(gateway, wire)


@pytest.mark.parametrize("size", [5, 80, 4_096])
async def test_a_client_of_small_pieces_is_served(gateway: Gateway, size: int) -> None:
    """As long as its pieces are as large as what each is framed by, there is no limit to them."""
    data = os.urandom(size) * (FLOOD // size)
    wire = await connect(gateway)
    await wire.send(HEAD)
    for start in range(0, len(data), 100 * size):
        await wire.send(
            b"".join(chunk(data[at : at + size]) for at in range(start, start + 100 * size, size) if data[at:])
        )
    await wire.send(LAST)
    status, _, body = await wire.answer()
    assert status == 201
    assert hashlib.sha256(data).hexdigest().encode() in body
    await wire.close()


async def test_so_is_one_of_single_bytes_that_are_not_many(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway()
    wire = await connect(gateway)
    await wire.send(HEAD)
    await wire.send(chunk(b"a") * 50_000 + LAST)
    assert (await wire.answer())[0] == 201
    await wire.send(request("GET", "/health/live"))
    assert (await wire.answer())[0] == 200
    await wire.close()


async def test_what_is_not_parsed_yet_is_not_taken_for_framing(start_gateway: GatewayFactory) -> None:
    """Many small chunks pause the parser, while a large one behind them has come with them."""
    gateway = await start_gateway(max_framing_bytes=20_000, max_head_bytes=16_384)
    wire = await connect(gateway)
    await wire.send(HEAD)
    await wire.pause()
    await wire.send(chunk(b"a") * 5_000 + chunk(os.urandom(16 * 2**20)) + LAST)
    assert (await wire.answer())[0] == 201
    await wire.close()


# --- every body, in every piece -------------------------------------------------------------------------------------

ALLOWED = 64
AT_ONCE = 48
LIMITS = Limits(max_framing_bytes=ALLOWED, max_head_bytes=AT_ONCE)

CHUNKS = st.lists(
    st.tuples(st.integers(1, 40), st.one_of(st.just(b""), st.integers(1, 60).map(lambda size: b";" + b"x" * size))),
    max_size=40,
)


@settings(deadline=None)
@given(chunks=CHUNKS, step=st.integers(1, 30), trailer=st.integers(0, 80))
def test_a_body_is_refused_when_its_framing_is_too_large_and_only_then(
    chunks: list[tuple[int, bytes]], step: int, trailer: int
) -> None:
    """In pieces of one size, of which the first is the head alone; the rule is followed at the end of each."""
    parts = [(chunk(b"d" * size, extension), size) for size, extension in chunks]
    body = (
        b"".join(part for part, _ in parts) + b"0\r\n" + (b"T: " + b"t" * trailer + b"\r\n") * bool(trailer) + b"\r\n"
    )
    data_at = [False] * len(body)
    place = 0
    for (part, size), (_, extension) in zip(parts, chunks, strict=True):
        begin = place + len(b"%x%b\r\n" % (size, extension))
        data_at[begin : begin + size] = [True] * size
        place += len(part)

    too_large, data, at_once = False, 0, 0
    for begin in range(0, len(body), step):
        end = min(begin + step, len(body))
        new = sum(data_at[begin:end])
        data += new
        at_once = 0 if new else at_once + end - begin
        too_large |= end < len(body) and (end - data > data + ALLOWED or at_once > AT_ONCE)

    pieces = [HEAD, *(body[at : at + step] for at in range(0, len(body), step))]
    bodies, errors = asyncio.run(served(pieces, LIMITS))
    assert [type(error) for error in errors] == [FramingTooLargeError] * too_large
    assert [found[3] for found in bodies] == [] if too_large else [b"d" * data]
