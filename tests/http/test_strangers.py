"""What strangers name and store: nothing leaves the root, forges a header, runs in a browser or is decompressed."""

from __future__ import annotations

import gzip
import json

import pytest

from tests.conftest import Gateway
from tests.http.conftest import Client
from tests.http.wire import connect, request

BOMB = gzip.compress(bytes(16 * 2**20))
FORGED = "\r\nX-Forged: yes"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity, gzip", "GZIP"])
@pytest.mark.parametrize(
    ("method", "path", "media_type"),
    [
        ("POST", "/v1/objects", "application/octet-stream"),
        ("PUT", "/v1/files/default/a", "text/plain"),
        ("POST", "/v1/artifacts", "application/json"),
        ("POST", "/v1/packages", "application/json"),
    ],
)
async def test_a_coded_body_is_refused_and_not_undone(
    gateway: Gateway, http: Client, method: str, path: str, media_type: str, coding: str
) -> None:
    answer = await http(method, path, data=BOMB, headers={"Content-Encoding": coding, "Content-Type": media_type})
    assert answer.status == 415
    assert await answer.problem() == "unsupported-encoding"
    assert gateway.stored() == []


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fetc%2fpasswd",
        "a/../../b",
        "%2e%2e/a",
        "%2fetc/passwd",
        "a%00b",
        "a%0d%0aX-Forged:%20yes",
        "a%0ab",
        "a%7fb",
        "a%c2%85b",
        "%c0%ae%c0%ae/a",
        "a//b",
        ".",
    ],
)
async def test_a_name_that_leaves_or_forges_is_refused(gateway: Gateway, http: Client, name: str) -> None:
    answer = await http("PUT", f"/v1/files/default/{name}", data=b"x")
    assert answer.status == 400
    assert "X-Forged" not in answer.headers
    assert gateway.stored() == []


@pytest.mark.parametrize("name", ['a";x="b', "a%22;filename=evil.exe", "a;b", "..%5c..%5cevil", "%e2%80%aetxt.exe"])
async def test_an_odd_name_is_encoded_where_it_is_shown(http: Client, name: str) -> None:
    assert (await http("PUT", f"/v1/files/default/{name.replace(chr(34), '%22')}", data=b"x")).status == 201
    shown = (await http("GET", f"/v1/files/default/{name.replace(chr(34), '%22')}")).headers["Content-Disposition"]
    assert shown.startswith("attachment; filename*=UTF-8''")
    assert not set(shown.removeprefix("attachment; ")) & set('";\\ \r\n')


@pytest.mark.parametrize("field", ["media_type", "kind", "retention", "name", "label"])
async def test_text_that_would_forge_a_header_is_refused_in_json(gateway: Gateway, http: Client, field: str) -> None:
    stored = await gateway.store.put_object(b"x")
    record: dict[str, object] = {"namespace": "default", "name": "a", "digest": str(stored.identity.blake3)}
    if field == "label":
        record["labels"] = {"a": "b" + FORGED}
    else:
        record[field] = "text/plain" + FORGED
    answer = await http(
        "POST", "/v1/artifacts", data=json.dumps(record).encode(), headers={"Content-Type": "application/json"}
    )
    assert answer.status == 400
    assert "X-Forged" not in answer.headers


@pytest.mark.parametrize("value", ["text/html\x00", "text/html\x0b", "text/html\rX: y", "a b", "text/html; x=\x7f"])
async def test_a_media_type_that_would_forge_a_header_is_refused(gateway: Gateway, value: str) -> None:
    wire = await connect(gateway)
    await wire.send(request("PUT", "/v1/files/default/a", f"Content-Type: {value}", "Content-Length: 1") + "x")
    assert (await wire.head())[0] == 400
    assert gateway.stored() == []
    await wire.close()


@pytest.mark.parametrize("media_type", ["text/html", "image/svg+xml", "application/xhtml+xml", "text/javascript"])
async def test_stored_pages_are_kept_from_running(http: Client, media_type: str) -> None:
    """What a browser makes of these fields is seen by `make hostile`."""
    put = await http("PUT", "/v1/files/default/a", data=b"<script>", headers={"Content-Type": media_type})
    document = await put.json()
    for path in ("/v1/files/default/a", f"/v1/artifacts/{document['id']}/content", f"/v1/objects/{document['blake3']}"):
        for range_field in ({}, {"Range": "bytes=0-3"}, {"Range": "bytes=0-0,2-2"}):
            headers = (await http("GET", path, headers=range_field)).headers
            assert headers["Content-Disposition"].startswith("attachment")
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Content-Security-Policy"] == "sandbox; default-src 'none'"
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
