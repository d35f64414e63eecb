from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import AsyncIterator

import aiohttp
import pytest
from blake3 import blake3

from tests.conftest import Gateway, GatewayFactory
from tests.http.conftest import Client

DATA = bytes(range(256)) * 5000  # 1.28 MB: several buffers, several HTTP chunks


def addresses(data: bytes) -> tuple[str, str]:
    return f"blake3:{blake3(data).hexdigest()}", f"sha256:{hashlib.sha256(data).hexdigest()}"


async def in_pieces(data: bytes, size: int = 10_000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def event_types(gateway: Gateway, events: dict[str, object]) -> list[str]:
    items = events["items"]
    assert isinstance(items, list)
    return [item["type"] for item in items]


async def test_a_post_is_stored_under_both_digests(gateway: Gateway, http: Client) -> None:
    by_blake3, by_sha256 = addresses(DATA)
    answer = await http("POST", "/v1/objects", data=DATA)
    assert answer.status == 201
    assert await answer.json() == {"blake3": by_blake3, "sha256": by_sha256, "size_bytes": len(DATA), "created": True}
    assert answer.headers["Location"] == f"/v1/objects/{by_blake3}"
    for address in (by_blake3, by_sha256):
        content = await http("GET", f"/v1/objects/{address}")
        assert (content.status, content.body) == (200, DATA)
        assert content.headers["ETag"] == f'"{by_blake3}"'
        assert content.headers["Content-Type"] == "application/octet-stream"
        sha256 = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
        assert content.headers["Repr-Digest"] == f"sha-256=:{sha256}:"
        assert content.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in content.headers["Content-Security-Policy"]


async def test_a_chunked_body_is_stored_like_any_other(gateway: Gateway, http: Client) -> None:
    answer = await http("POST", "/v1/objects", data=in_pieces(DATA))
    assert answer.status == 201
    assert (await answer.json())["blake3"] == addresses(DATA)[0]


async def test_an_empty_body_is_an_object(http: Client) -> None:
    answer = await http("POST", "/v1/objects", data=b"")
    assert answer.status == 201
    content = await http("GET", f"/v1/objects/{addresses(b'')[1]}")
    assert (content.status, content.body, content.headers["Content-Length"]) == (200, b"", "0")


async def test_storing_what_is_stored_changes_nothing(gateway: Gateway, http: Client) -> None:
    assert (await http("POST", "/v1/objects", data=DATA)).status == 201
    files = {path: path.stat().st_ino for path in gateway.stored()}
    head = await gateway.store.registry.head()
    again = await http("PUT", f"/v1/objects/{addresses(DATA)[0]}", data=DATA)
    assert (again.status, (await again.json())["created"]) == (200, False)
    assert {path: path.stat().st_ino for path in gateway.stored()} == files
    assert await gateway.store.registry.head() == head


async def test_another_namespace_claims_a_known_object(gateway: Gateway, http: Client) -> None:
    await http("POST", "/v1/objects", data=DATA)
    again = await http("POST", "/v1/objects", data=DATA, headers={"Artifact-Namespace": "other"})
    assert again.status == 200
    events = await (await http("GET", "/v1/events")).json()
    assert event_types(gateway, events) == ["object.stored", "object.claimed"]


@pytest.mark.parametrize("algorithm", [0, 1])
async def test_a_put_must_match_its_address(gateway: Gateway, http: Client, algorithm: int) -> None:
    wrong = addresses(b"something else")[algorithm]
    answer = await http("PUT", f"/v1/objects/{wrong}", data=DATA)
    assert (answer.status, await answer.problem()) == (422, "digest-mismatch")
    assert gateway.stored() == []
    assert gateway.staged() == []
    assert await gateway.store.registry.head() == 0
    right = await http("PUT", f"/v1/objects/{addresses(DATA)[algorithm]}", data=DATA)
    assert right.status == 201


@pytest.mark.parametrize("field", ["Repr-Digest", "Content-Digest"])
async def test_announced_digests_are_checked(gateway: Gateway, http: Client, field: str) -> None:
    right = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    wrong = base64.b64encode(hashlib.sha256(b"").digest()).decode()
    for path in ("/v1/objects", "/v1/files/default/a"):
        method = "POST" if path == "/v1/objects" else "PUT"
        bad = await http(method, path, data=DATA, headers={field: f"md5=:AAAA:, sha-256=:{wrong}:"})
        assert (bad.status, await bad.problem()) == (422, "digest-mismatch")
        broken = await http(method, path, data=DATA, headers={field: "sha-256=:AAAA:"})
        assert (broken.status, await broken.problem()) == (400, "invalid-digest")
        assert gateway.stored() == []
    unknown = await http("POST", "/v1/objects", data=DATA, headers={field: "sha-512=:zzzz:"})
    assert unknown.status == 201
    good = await http("POST", "/v1/objects", data=DATA, headers={field: f"sha-256=:{right}:;x=1"})
    assert good.status == 200


@pytest.mark.parametrize(
    "address", ["blake3:zz", "md5:" + "0" * 32, "blake3:" + "0" * 63, "0" * 64, "blake3:" + "0" * 65]
)
async def test_a_bad_digest_is_400(http: Client, address: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = await http(method, f"/v1/objects/{address}")
        assert (answer.status, await answer.problem()) == (400, "invalid-digest")


async def test_an_unknown_object_is_404(http: Client) -> None:
    address = "sha256:" + "0" * 64
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/verify")):
        answer = await http(method, f"/v1/objects/{address}{path}")
        assert (answer.status, await answer.problem()) == (404, "object-not-found")


@pytest.mark.parametrize("coding", ["gzip", "br, identity", "aes128gcm"])
async def test_a_content_coding_is_415(gateway: Gateway, http: Client, coding: str) -> None:
    answer = await http("POST", "/v1/objects", data=DATA, headers={"Content-Encoding": coding})
    assert (answer.status, await answer.problem()) == (415, "unsupported-encoding")
    assert gateway.stored() == []


async def test_the_limit_holds_for_known_and_unknown_lengths(start_gateway: GatewayFactory) -> None:
    gateway = await start_gateway(max_object_bytes=100_000)
    async with aiohttp.ClientSession() as session:
        http = Client(session, gateway.url)
        assert (await http("POST", "/v1/objects", data=b"x" * 100_000)).status == 201
        known = await http("POST", "/v1/objects", data=b"y" * 100_001)
        unknown = await http("PUT", "/v1/files/default/a", data=in_pieces(b"y" * 100_001))
        for answer in (known, unknown):
            assert (answer.status, await answer.problem()) == (413, "object-too-large")
    assert len(gateway.stored()) == 1
    assert gateway.staged() == []


async def test_delete_is_refused_while_an_artifact_refers_to_it(gateway: Gateway, http: Client) -> None:
    await http("PUT", "/v1/files/default/a", data=DATA)
    address = f"/v1/objects/{addresses(DATA)[1]}"
    refused = await http("DELETE", address)
    assert (refused.status, await refused.problem()) == (409, "object-in-use")
    assert (await http("DELETE", "/v1/files/default/a")).status == 204
    assert (await http("DELETE", address)).status == 204
    assert gateway.stored() == []
    assert (await http("GET", address)).status == 404
    assert (await http("DELETE", address)).status == 404
    again = await http("POST", "/v1/objects", data=DATA)
    assert again.status == 201
    assert (await http("GET", address)).body == DATA
    assert await gateway.store.registry.verify_views() is None


async def test_damage_is_found_told_and_mended(gateway: Gateway, http: Client) -> None:
    await http("POST", "/v1/objects", data=DATA)
    address = f"/v1/objects/{addresses(DATA)[0]}"
    sound = await (await http("POST", f"{address}/verify")).json()
    assert (sound["verified"], sound["reason"]) == (True, None)
    (path,) = gateway.stored()
    path.chmod(0o640)
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"\x00" if DATA[1000] else b"\x01")
    found = await (await http("POST", f"{address}/verify")).json()
    assert (found["verified"], found["reason"]) == (False, "digest-mismatch")
    assert found["actual_blake3"] == f"blake3:{blake3(path.read_bytes()).hexdigest()}"
    for method in ("GET", "HEAD"):
        refused = await http(method, address)
        assert refused.status == 500
    assert await (await http("GET", address)).problem() == "object-damaged"
    assert (await http("POST", f"{address}/verify")).status == 200  # again: no second event
    mended = await http("POST", "/v1/objects", data=DATA)
    assert (mended.status, (await mended.json())["created"]) == (200, False)
    assert (await http("GET", address)).body == DATA
    events = await (await http("GET", "/v1/events")).json()
    assert event_types(gateway, events) == ["object.stored", "object.damaged", "object.mended"]


async def test_a_copy_that_is_gone_is_damage_and_is_mended(gateway: Gateway, http: Client) -> None:
    await http("POST", "/v1/objects", data=DATA)
    address = f"/v1/objects/{addresses(DATA)[0]}"
    gateway.stored()[0].unlink()
    gone = await http("GET", address)
    assert (gone.status, await gone.problem()) == (500, "object-damaged")
    assert (await http("PUT", address, data=DATA)).status == 200
    assert (await http("GET", address)).body == DATA


async def test_a_copy_cut_short_is_replaced_even_when_nobody_noticed(gateway: Gateway, http: Client) -> None:
    await http("POST", "/v1/objects", data=DATA)
    (path,) = gateway.stored()
    path.chmod(0o640)
    os.truncate(path, 5)
    assert (await http("POST", "/v1/objects", data=DATA)).status == 200
    assert (await http("GET", f"/v1/objects/{addresses(DATA)[0]}")).body == DATA


async def test_what_is_not_there_is_a_problem_document(http: Client) -> None:
    missing = await http("GET", "/v1/nothing")
    assert (missing.status, await missing.problem()) == (404, "not-found")
    wrong = await http("PATCH", "/v1/objects")
    assert (wrong.status, await wrong.problem()) == (405, "method-not-allowed")
    assert "POST" in wrong.headers["Allow"]
