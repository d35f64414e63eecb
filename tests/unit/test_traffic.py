from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactstore.domain.errors import InvalidInputError, RemoteError
from artifactstore.traffic import Answer, Job, Load, Peer, RandomBody, drive, transfer
from tests.conftest import Gateway


def answers(pieces: Sequence[bytes]) -> list[Answer]:
    """What `transfer` and `drive` make of a server that sends these pieces and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()

    async def main() -> list[Answer]:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            peer = Peer("127.0.0.1", server.sockets[0].getsockname()[1])
            request = peer.request("GET", "/")
            found = [await asyncio.to_thread(transfer, peer, request)]

            def job() -> Job:
                found.append((yield request))

            load = await drive(peer, [job()], 1)
            assert len(load.latencies) == 1
        return found

    return asyncio.run(main())


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges) if begin < end]


@settings(max_examples=40, deadline=None)
@given(
    body=st.binary(max_size=300),
    field=st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH"]),
    places=st.lists(st.integers(0, 2000), max_size=6),
)
def test_an_answer_is_the_same_wherever_it_is_cut(body: bytes, field: bytes, places: list[int]) -> None:
    sent = b"HTTP/1.1 200 OK\r\nX-Name: a value \r\n%b: %d\r\n\r\n%b" % (field, len(body), body)
    for answer in answers(cut(sent, places)):
        assert (answer.status, bytes(answer.body), answer.size) == (200, body, len(body))
        assert answer.header("x-name") == "a value"
        assert answer.header("X-Other") is None


def test_answers_without_a_body_end_with_their_head() -> None:
    for answer in answers([b"HTTP/1.1 204 No Content\r\n\r\n"]):
        assert (answer.status, answer.size) == (204, 0)


def test_a_large_body_is_counted_and_only_its_beginning_kept() -> None:
    body = bytes(3 * 2**20)
    for answer in answers([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body]):
        assert answer.size == len(body)
        assert 0 < len(answer.body) < len(body)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n1234",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"a" * 70_000,
    ],
)
def test_what_is_no_whole_answer_is_an_error(sent: bytes) -> None:
    with pytest.raises(RemoteError):
        answers([sent] if sent else [])


def test_no_server_is_an_error() -> None:
    nobody = Peer("127.0.0.1", 1)
    with pytest.raises(RemoteError, match="refused"):
        transfer(nobody, nobody.request("GET", "/"))
    with pytest.raises(RemoteError, match="refused"):
        asyncio.run(drive(nobody, [], 2))


@pytest.mark.parametrize("url", ["", "localhost", "ftp://host/", "http://", "http://host/path", "http://host:x/"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError):
        Peer.parse(url)


def test_an_address_has_a_host_a_port_and_perhaps_tls() -> None:
    assert Peer.parse("http://host:8000/") == Peer("host", 8000)
    secure = Peer.parse("https://host")
    assert (secure.host, secure.port, secure.tls is None) == ("host", 443, False)


@given(size=st.integers(0, 9 * 2**20))
@settings(max_examples=25, deadline=None)
def test_a_random_body_has_its_size(size: int) -> None:
    assert sum(map(len, RandomBody(size))) == size


def test_no_two_random_bodies_are_the_same_and_each_is_the_same_twice() -> None:
    first, second = RandomBody(5000), RandomBody(5000)
    assert b"".join(first) == b"".join(first)
    assert b"".join(first) != b"".join(second)


async def test_a_body_arrives_whole(gateway: Gateway) -> None:
    body = RandomBody(6 * 2**20 + 1)
    sha256 = hashlib.sha256()
    for piece in body:
        sha256.update(piece)
    peer = Peer.parse(gateway.url)
    path = f"/v1/objects/sha256:{sha256.hexdigest()}"
    stored = await asyncio.to_thread(transfer, peer, peer.request("PUT", path, length=body.size), body)
    assert stored.expect(201).status == 201
    read = await asyncio.to_thread(transfer, peer, peer.request("GET", path))
    assert read.expect(200).size == body.size


async def test_a_job_may_take_several_requests_and_connections_share_the_jobs(gateway: Gateway) -> None:
    peer = Peer.parse(gateway.url)
    seen: list[int] = []

    def job(number: int) -> Job:
        stored = (yield peer.request("POST", "/v1/objects", b"body %d" % number)).expect(201)
        read = (yield peer.request("GET", stored.header("Location") or "")).expect(200)
        assert bytes(read.body) == b"body %d" % number
        seen.append(number)

    load = await drive(peer, map(job, range(20)), 3)
    assert sorted(seen) == list(range(20))
    assert len(load.latencies) == 20
    assert load.per_second > 0


async def test_an_unexpected_answer_ends_the_drive(gateway: Gateway) -> None:
    peer = Peer.parse(gateway.url)

    def job() -> Job:
        (yield peer.request("GET", f"/v1/objects/blake3:{'0' * 64}")).expect(200)

    with pytest.raises(RemoteError, match="404"):
        await drive(peer, [job() for _ in range(5)], 2)


def test_percentiles_are_latencies_that_were() -> None:
    load = Load(2.0, [0.3, 0.1, 0.2, 0.4])
    assert (load.percentile(0.5), load.percentile(0.99), load.per_second) == (0.3, 0.4, 2.0)
    assert Load().percentile(0.5) == 0.0
