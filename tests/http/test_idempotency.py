"""`Idempotency-Key` on a socket: the same request gets the same answer, and nothing is done twice."""

from __future__ import annotations

import asyncio
import hashlib
import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from artifactstore.api.idempotency import RUNNING
from artifactstore.domain.artifact import ArtifactMetadata
from tests.conftest import Gateway, GatewayFactory
from tests.http.conftest import Answer, Client
from tests.http.wire import connect, request, settled, unnamed_files

FILE = "/v1/files/ci/report"
JSON = {"Content-Type": "application/json"}
OCTETS = "Content-Type: application/octet-stream"  # as the other client says by itself
LARGE = 3 * 2**20  # received past the parser, the first time


def keyed(key: str = "k1", **fields: str) -> dict[str, str]:
    return {"Idempotency-Key": key, **{name.replace("_", "-"): value for name, value in fields.items()}}


def same(first: Answer, again: Answer) -> None:
    """The second answer is the first one, given again."""
    assert (again.status, again.body) == (first.status, first.body)
    for name in ("Content-Type", "Location", "ETag"):
        assert again.headers.get(name) == first.headers.get(name)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"


async def head(gateway: Gateway) -> int:
    return await gateway.store.registry.head()


@pytest.mark.parametrize("size", [0, 5, 100_000, LARGE])
async def test_a_file_is_made_once(gateway: Gateway, http: Client, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    first = await http("PUT", FILE, data=data, headers=keyed())
    assert first.status == 201
    before, stored = await head(gateway), gateway.stored()
    again = await http("PUT", FILE, data=data, headers=keyed())
    same(first, again)
    assert (await head(gateway), gateway.stored()) == (before, stored)
    await settled(gateway)
    other = await http("PUT", FILE, data=data, headers=keyed("k2"))
    assert (await other.json())["version"] == 2


async def statement(gateway: Gateway) -> tuple[str, bytes]:
    artifact, _ = await gateway.store.put_file("ci", "subject", b"bytes")
    document = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "subject", "digest": {"sha256": artifact.identity.sha256.hex}}],
        "predicateType": "https://example.org/seen",
        "predicate": {},
    }
    return f"/v1/artifacts/{artifact.id}/attestations", json.dumps(document).encode()


async def recording(gateway: Gateway) -> tuple[str, bytes]:
    stored = await gateway.store.put_object(b"bytes")
    document = {"namespace": "ci", "name": "known", "digest": str(stored.identity.blake3)}
    return "/v1/artifacts", json.dumps(document).encode()


async def sealing(gateway: Gateway) -> tuple[str, bytes]:
    stored = await gateway.store.put_object(b"bytes")
    members = [{"name": "a", "digest": str(stored.identity.blake3)}]
    return "/v1/packages", json.dumps({"namespace": "ci", "name": "run", "members": members}).encode()


async def storing(gateway: Gateway) -> tuple[str, bytes]:
    return "/v1/objects", b"new bytes"


async def storing_again(gateway: Gateway) -> tuple[str, bytes]:
    await gateway.store.put_object(b"bytes")
    return "/v1/objects", b"bytes"


async def verifying(gateway: Gateway) -> tuple[str, bytes]:
    stored = await gateway.store.put_object(b"bytes")
    return f"/v1/objects/{stored.identity.sha256}/verify", b""


@pytest.mark.parametrize("prepare", [statement, recording, sealing, storing, storing_again, verifying])
async def test_every_post_is_answered_once(http: Client, gateway: Gateway, prepare: Callable[..., Any]) -> None:
    path, body = await prepare(gateway)
    first = await http("POST", path, data=body, headers=keyed(**JSON))
    assert first.status in (200, 201), first.body
    before = await head(gateway)
    same(first, await http("POST", path, data=body, headers=keyed(**JSON)))
    assert await head(gateway) == before
    reused = await http("POST", path, data=body + b" ", headers=keyed(**JSON))
    assert (reused.status, await reused.problem()) == (422, "idempotency-key-reused")


async def test_a_verification_is_not_made_again_under_its_key(gateway: Gateway, http: Client) -> None:
    stored = await gateway.store.put_object(b"bytes")
    path = f"/v1/objects/{stored.identity.blake3}/verify"
    first = await http("POST", path, headers=keyed())
    gateway.stored()[0].chmod(0o600)
    gateway.stored()[0].write_bytes(b"BYTES")
    same(first, await http("POST", path, headers=keyed()))
    new = await (await http("POST", path, headers=keyed("k2"))).json()
    assert (new["verified"], new["reason"]) == (False, "digest-mismatch")


@pytest.mark.parametrize(
    ("method", "path", "data", "fields"),
    [
        ("PUT", FILE, b"other", {}),
        ("PUT", FILE, b"bytes and more", {}),
        ("PUT", FILE, b"byte", {}),
        ("PUT", "/v1/files/ci/another", b"bytes", {}),
        ("PUT", "/v1/files/other/report", b"bytes", {}),
        ("PUT", FILE + "?a=b", b"bytes", {}),
        ("POST", "/v1/objects", b"bytes", {}),
        ("PUT", FILE, b"bytes", {"Content-Type": "text/plain"}),
        ("PUT", FILE, b"bytes", {"Artifact-Kind": "log"}),
        ("PUT", FILE, b"bytes", {"Artifact-Label": "a=b"}),
        ("PUT", FILE, b"bytes", {"Artifact-Retention": "long"}),
        ("PUT", FILE, b"bytes", {"Artifact-Provenance": "{}"}),
        ("PUT", FILE, b"bytes", {"If-None-Match": "*"}),
        ("PUT", FILE, b"bytes", {"If-Match": "*"}),
    ],
)
async def test_another_request_under_the_key_is_refused(
    gateway: Gateway, http: Client, method: str, path: str, data: bytes, fields: dict[str, str]
) -> None:
    first = await http("PUT", FILE, data=b"bytes", headers=keyed())
    assert first.status == 201
    before, stored = await head(gateway), gateway.stored()
    for body in (data, stream(data)):
        other = await http(method, path, data=body, headers={**keyed(), **fields})
        assert (other.status, await other.problem()) == (422, "idempotency-key-reused")
    assert (await head(gateway), gateway.stored()) == (before, stored)
    same(first, await http("PUT", FILE, data=b"bytes", headers=keyed()))


async def stream(data: bytes) -> Any:
    for begin in range(0, len(data), 2):
        yield data[begin : begin + 2]
        await asyncio.sleep(0)


async def test_how_a_body_is_framed_is_no_part_of_it(http: Client) -> None:
    first = await http("PUT", FILE, data=stream(b"bytes"), headers=keyed())
    same(first, await http("PUT", FILE, data=b"bytes", headers=keyed()))
    same(first, await http("PUT", FILE, data=stream(b"bytes"), headers=keyed('"k1"')))


async def test_a_condition_that_held_is_not_asked_again(http: Client) -> None:
    first = await http("PUT", FILE, data=b"bytes", headers=keyed(If_None_Match="*"))
    assert first.status == 201
    same(first, await http("PUT", FILE, data=b"bytes", headers=keyed(If_None_Match="*")))
    assert (await http("PUT", FILE, data=b"bytes", headers={"If-None-Match": "*"})).status == 412


async def test_a_refused_request_uses_no_key_up(gateway: Gateway, http: Client) -> None:
    await http("PUT", FILE, data=b"first")
    refused = await http("PUT", FILE, data=b"bytes", headers=keyed(If_None_Match="*"))
    assert refused.status == 412
    digest = "sha-256=:" + b64encode(hashlib.sha256(b"other").digest()).decode() + ":"
    assert (await http("PUT", FILE, data=b"bytes", headers=keyed(Repr_Digest=digest))).status == 422
    assert (await http("POST", "/v1/artifacts", data=b"{", headers=keyed(**JSON))).status == 400
    made = await http("PUT", FILE, data=b"bytes", headers=keyed())
    assert (await made.json())["version"] == 2


async def test_an_announced_digest_is_checked_every_time(http: Client) -> None:
    await http("PUT", FILE, data=b"bytes", headers=keyed())
    digest = "sha-256=:" + b64encode(hashlib.sha256(b"other").digest()).decode() + ":"
    wrong = await http("PUT", FILE, data=b"bytes", headers=keyed(Repr_Digest=digest))
    assert (wrong.status, await wrong.problem()) == (422, "digest-mismatch")


@pytest.mark.parametrize("value", ["", "a b", '"a', "a" * 256, "é"])
async def test_a_malformed_key_is_refused(gateway: Gateway, value: str) -> None:
    wire = await connect(gateway)
    await wire.send(request("PUT", FILE, f"Idempotency-Key: {value}", "Content-Length: 1") + "x")
    status, _, body = await wire.answer()
    document = json.loads(body)
    assert (status, document["field"]) == (400, "Idempotency-Key")
    await wire.close()


async def test_two_keys_are_refused(gateway: Gateway) -> None:
    wire = await connect(gateway)
    await wire.send(request("PUT", FILE, "Idempotency-Key: a", "Idempotency-Key: b", "Content-Length: 1") + "x")
    status, _, _ = await wire.answer()
    assert status == 400
    assert await head(gateway) == 0
    await wire.close()


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_request_that_is_running_is_told_from_one_that_is_over(
    gateway: Gateway, http: Client, size: int
) -> None:
    wire = await connect(gateway)
    head_lines = request("PUT", FILE, "Idempotency-Key: k1", OCTETS, f"Content-Length: {size}")
    await wire.send(head_lines + "x")
    await gateway_has(gateway, 1)
    second = await http("PUT", FILE, data=b"x" * size, headers=keyed())
    assert (second.status, await second.problem()) == (409, "request-in-progress")
    assert second.headers["Retry-After"] == "1"
    await wire.send(b"x" * (size - 1))
    status, _, body = await wire.answer()
    assert status == 201
    third = await http("PUT", FILE, data=b"x" * size, headers=keyed())
    assert (third.status, third.body) == (201, body)
    await wire.close()


async def test_a_client_that_leaves_gives_the_key_up(gateway: Gateway, http: Client) -> None:
    wire = await connect(gateway)
    await wire.send(request("PUT", FILE, "Idempotency-Key: k1", OCTETS, f"Content-Length: {LARGE}") + "x")
    await gateway_has(gateway, 1)
    await wire.close()
    await gateway_has(gateway, 0)
    assert (await http("PUT", FILE, data=b"x", headers=keyed())).status == 201


async def gateway_has(gateway: Gateway, running: int) -> None:
    """Wait until so many requests with keys are running."""
    for _ in range(2000):
        if len(gateway.app[RUNNING]) == running:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(gateway.app[RUNNING])


async def test_an_answer_that_never_arrived_is_given_again(gateway: Gateway, http: Client) -> None:
    wire = await connect(gateway)
    await wire.send(request("PUT", FILE, "Idempotency-Key: k1", OCTETS, "Content-Length: 5") + "bytes")
    await wire.head()  # the event is committed; the rest of the answer is not waited for
    wire.writer.transport.abort()
    again = await http("PUT", FILE, data=b"bytes", headers=keyed())
    assert (again.status, again.headers["Idempotency-Replayed"]) == (201, "true")
    assert (await again.json())["version"] == 1
    assert (await gateway.store.artifacts(namespace="ci", name="report")).items[0].version == 1


async def test_what_differs_is_refused_before_the_body_is_sent(gateway: Gateway, http: Client) -> None:
    await http("PUT", FILE, data=b"x" * 10, headers=keyed())
    for path, size in ((FILE, 11), ("/v1/files/ci/another", 10)):
        wire = await connect(gateway)
        await wire.send(
            request("PUT", path, "Idempotency-Key: k1", OCTETS, f"Content-Length: {size}", "Expect: 100-continue")
        )
        status, headers, _ = await wire.answer()
        assert (status, headers["connection"]) == (422, "close")
        await wire.close()
    wire = await connect(gateway)
    await wire.send(
        request(
            "PUT",
            FILE,
            "Idempotency-Key: k1",
            "Content-Length: 10",
            "Expect: 100-continue",
            OCTETS,
        )
    )
    assert (await wire.head())[0] == 100
    await wire.send(b"x" * 10)
    status, headers, _ = await wire.answer()
    assert (status, headers["idempotency-replayed"]) == (201, "true")
    await wire.close()


async def test_a_chunked_body_that_is_too_long_is_not_read_to_its_end(gateway: Gateway, http: Client) -> None:
    await http("PUT", FILE, data=b"x" * 10, headers=keyed())
    wire = await connect(gateway)
    fields = ("Idempotency-Key: k1", "Transfer-Encoding: chunked", OCTETS)
    await wire.send(request("PUT", FILE, *fields) + "b\r\n" + "x" * 11 + "\r\n")
    status, headers, _ = await wire.answer()
    assert (status, headers["connection"]) == (422, "close")
    assert unnamed_files(gateway.root) == []
    await wire.close()


async def test_answers_outlive_the_gateway_and_are_forgotten_in_time(
    start_gateway: GatewayFactory, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    async with aiohttp.ClientSession() as session:
        gateway = await start_gateway(root)
        first = await Client(session, gateway.url)("PUT", FILE, data=b"bytes", headers=keyed())
        await gateway.store.registry.rebuild()
        await gateway.store.close()
        gateway = await start_gateway(root)
        same(first, await Client(session, gateway.url)("PUT", FILE, data=b"bytes", headers=keyed()))
        await gateway.store.close()
        gateway = await start_gateway(root, answers_kept=0.001)
        late = await Client(session, gateway.url)("PUT", FILE, data=b"bytes", headers=keyed())
        assert (await late.json())["version"] == 2


async def test_the_key_means_nothing_where_it_has_no_meaning(gateway: Gateway, http: Client) -> None:
    artifact, _ = await gateway.store.put_file("ci", "a", b"1", metadata=ArtifactMetadata())
    path = f"/v1/artifacts/{artifact.id}"
    for revision in ('"2"', '"3"'):
        body = json.dumps({"labels": {"n": revision}}).encode()
        changed = await http("PATCH", path, data=body, headers=keyed(**JSON))
        assert changed.headers["ETag"] == revision
