"""What arrives on the socket itself: expectations, bodies that break off, requests that are none."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random

import pytest

from tests.conftest import Gateway, GatewayFactory
from tests.http.wire import connect, request, settled, unnamed_files

DATA = random.Random(15).randbytes(300_000)
ADDRESS = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


async def test_expect_asks_for_the_body_of_an_unknown_object(gateway: Gateway) -> None:
    wire = await connect(gateway)
    await wire.send(request("PUT", f"/v1/objects/{ADDRESS}", "Expect: 100-continue", f"Content-Length: {len(DATA)}"))
    assert (await wire.head())[0] == 100
    await wire.send(DATA)
    assert (await wire.answer())[0] == 201
    await wire.close()


async def test_expect_answers_for_a_known_object_without_its_body(gateway: Gateway) -> None:
    await gateway.store.put_object(DATA)
    wire = await connect(gateway)
    await wire.send(request("PUT", f"/v1/objects/{ADDRESS}", "Expect: 100-continue", f"Content-Length: {len(DATA)}"))
    status, headers, body = await wire.answer()
    assert (status, headers["connection"]) == (200, "close")
    assert b'"created": false' in body
    await wire.close()


async def test_expect_wants_the_body_of_a_damaged_object(gateway: Gateway) -> None:
    stored = await gateway.store.put_object(DATA)
    (path,) = gateway.stored()
    path.chmod(0o640)
    path.write_bytes(DATA[:-1] + b"?")
    await gateway.store.verify_object(stored.identity.blake3)
    wire = await connect(gateway)
    await wire.send(request("PUT", f"/v1/objects/{ADDRESS}", "Expect: 100-continue", f"Content-Length: {len(DATA)}"))
    assert (await wire.head())[0] == 100
    await wire.send(DATA)
    assert (await wire.answer())[0] == 200
    assert path.read_bytes() == DATA
    await wire.close()


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("PUT", "/v1/objects/nonsense", [], 400),
        ("PUT", f"/v1/objects/{ADDRESS}", ["Content-Encoding: gzip"], 415),
        ("POST", "/v1/objects", ["Repr-Digest: sha-256=:x:"], 400),
        ("PUT", "/v1/files/default/../x", [], 400),
        ("PUT", "/v1/files/default/x", ["Artifact-Kind: NO"], 400),
        ("PUT", "/v1/files/default/x", ["If-Match: *"], 412),
        ("PUT", "/v1/nowhere", [], 404),
    ],
)
async def test_expect_refuses_before_the_body(
    gateway: Gateway, method: str, path: str, headers: list[str], status: int
) -> None:
    wire = await connect(gateway)
    await wire.send(request(method, path, "Expect: 100-continue", "Content-Length: 1000000", *headers))
    found, answer_headers, _ = await wire.answer()
    assert found == status
    assert answer_headers["content-type"].startswith("application/problem+json")
    await wire.close()


async def test_expect_refuses_what_is_too_large(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(max_object_bytes=10)
    wire = await connect(gateway)
    await wire.send(request("POST", "/v1/objects", "Expect: 100-continue", "Content-Length: 11"))
    assert (await wire.answer())[0] == 413
    await wire.close()


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("POST", "/v1/objects"), ("POST", "/v1/objects/x/verify")])
async def test_an_unknown_expectation_is_a_problem_on_every_address(gateway: Gateway, method: str, path: str) -> None:
    wire = await connect(gateway)
    await wire.send(request(method, path, "Content-Length: 0", "Expect: the-impossible"))
    status, headers, body = await wire.answer()
    assert (status, headers["content-type"]) == (417, "application/problem+json")
    assert json.loads(body)["type"] == "urn:artifact-store:problem:expectation-failed"
    assert headers["x-content-type-options"] == "nosniff"
    assert await wire.closed()
    await wire.close()


@pytest.mark.parametrize("path", ["/v1/objects", "/v1/files/default/a"])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_client_that_leaves_in_mid_body_leaves_nothing(gateway: Gateway, path: str, chunked: bool) -> None:
    wire = await connect(gateway)
    method = "POST" if path == "/v1/objects" else "PUT"
    framing = "Transfer-Encoding: chunked" if chunked else "Content-Length: 400000"
    await wire.send(request(method, path, framing))
    await wire.send(f"{len(DATA):x}\r\n".encode() + DATA + b"\r\n" if chunked else DATA)
    while not unnamed_files(gateway.root):  # the upload has begun
        await asyncio.sleep(0.005)
    await wire.close()
    await settled(gateway)
    assert await gateway.store.registry.head() == 0
    assert gateway.stored() == []
    assert gateway.staged() == []


async def test_a_body_that_ends_early_is_refused(gateway: Gateway) -> None:
    wire = await connect(gateway)
    await wire.send(request("POST", "/v1/objects", "Content-Length: 400000"))
    await wire.send(DATA)
    wire.writer.write_eof()
    assert b" 201 " not in await wire.reader.read()
    await settled(gateway)
    assert await gateway.store.registry.head() == 0
    await wire.close()


async def test_a_body_that_stands_still_is_given_up(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(body_timeout=0.2)
    wire = await connect(gateway)
    await wire.send(request("POST", "/v1/objects", "Content-Length: 400000"))
    await wire.send(DATA)
    status, headers, body = await wire.answer()
    assert (status, headers["connection"]) == (408, "close")
    assert b"request-timeout" in body
    assert headers["content-type"].startswith("application/problem+json")
    await settled(gateway)
    await wire.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /v1/objects HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n",
    ],
)
async def test_what_is_no_request_gets_a_problem_and_a_close(gateway: Gateway, garbage: bytes) -> None:
    wire = await connect(gateway)
    await wire.send(garbage)
    status, headers, body = await wire.answer()
    assert 400 <= status < 500
    assert headers["content-type"].startswith("application/problem+json"), body
    assert b"bad-request" in body
    assert (headers["server"], headers["x-content-type-options"]) == ("artifact-store", "nosniff")
    assert await wire.closed()
    await wire.close()


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", 431, b":header-too-large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a" * 200_000 + b": x\r\n\r\n", 431, b":header-too-large"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, b":uri-too-long"),
    ],
)
async def test_a_head_over_its_limits_is_told_so(gateway: Gateway, head: bytes, status: int, code: bytes) -> None:
    wire = await connect(gateway)
    await wire.send(head)
    found, _, body = await wire.answer()
    assert found == status
    assert code in body
    assert await wire.closed()
    await wire.close()


async def test_a_version_below_1_0_is_400(gateway: Gateway) -> None:
    wire = await connect(gateway)
    await wire.send(b"GET /\r\n\r\n")
    status, _, body = await wire.answer()
    assert (status, b":bad-request" in body) == (400, True)
    assert await wire.closed()
    await wire.close()


@pytest.mark.parametrize("framing", ["Transfer-Encoding: chunked", "Content-Length: 70000"])
async def test_a_refusal_that_leaves_a_large_body_closes(gateway: Gateway, framing: str) -> None:
    wire = await connect(gateway)
    await wire.send(request("PUT", "/v1/objects/nonsense", framing))
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (400, "close")
    await wire.close()


@pytest.mark.parametrize("path", ["/v1/objects/nonsense", "/v1/nowhere"])
async def test_a_refusal_of_a_small_body_keeps_the_connection(gateway: Gateway, path: str) -> None:
    wire = await connect(gateway)
    await wire.send(request("PUT", path, "Content-Length: 3") + "one" + request("GET", "/health/live"))
    status, headers, _ = await wire.answer()
    assert status in (400, 404)
    assert headers.get("connection") != "close"
    assert (await wire.answer())[0] == 200
    await wire.close()


@pytest.mark.parametrize(
    ("coding", "status"),
    [
        ("gzip, chunked", 415),
        ("identity, chunked", 415),
        ("gzip\r\nTransfer-Encoding: chunked", 400),  # by the parser
        ("gzip", 400),
    ],
)
async def test_a_transfer_coding_but_chunked_is_refused(gateway: Gateway, coding: str, status: int) -> None:
    wire = await connect(gateway)
    await wire.send(request("POST", "/v1/objects", f"Transfer-Encoding: {coding}") + "3\r\none\r\n0\r\n\r\n")
    found, _, _ = await wire.answer()
    assert found == status
    assert await wire.closed()
    assert gateway.stored() == []
    await wire.close()


async def test_a_broken_chunk_is_refused_and_stores_nothing(gateway: Gateway) -> None:
    wire = await connect(gateway)
    await wire.send(request("POST", "/v1/objects", "Transfer-Encoding: chunked"))
    await wire.send(b"5\r\nhello\r\nZZ\r\n")
    status, _, _ = await wire.answer()
    assert status == 400
    await settled(gateway)
    assert await gateway.store.registry.head() == 0
    await wire.close()


async def test_pipelined_uploads_are_each_answered(gateway: Gateway) -> None:
    wire = await connect(gateway)
    one = request("POST", "/v1/objects", "Content-Length: 3") + "one"
    two = request("POST", "/v1/objects", "Transfer-Encoding: chunked") + "3\r\ntwo\r\n0\r\n\r\n"
    await wire.send(one + request("GET", "/health/live") + two)
    assert [(await wire.answer())[0] for _ in range(3)] == [201, 200, 201]
    await wire.close()
