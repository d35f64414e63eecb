"""`/v1/artifacts`: search, records of stored bytes, labels, lineage, statements; and what is refused of each."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any
from urllib.parse import quote

import pytest

from tests.http.conftest import Answer, Client

DATA = b"what was generated\n"
SHA256 = hashlib.sha256(DATA).hexdigest()
JSON = {"Content-Type": "application/json"}
PATCH = {"Content-Type": "application/merge-patch+json"}


async def put(http: Client, name: str, data: bytes = DATA, **headers: str) -> dict[str, Any]:
    fields = {key.replace("_", "-"): value for key, value in headers.items()}
    return await (await http("PUT", f"/v1/files/default/{name}", data=data, headers=fields)).json()


async def record(http: Client, document: object, **headers: str) -> Answer:
    fields = JSON | {key.replace("_", "-"): value for key, value in headers.items()}
    return await http("POST", "/v1/artifacts", data=json.dumps(document).encode(), headers=fields)


async def refused(answer: Answer, status: int, code: str, field: str | None) -> None:
    assert (answer.status, await answer.problem(), (await answer.json()).get("field")) == (status, code, field)


# --- search -----------------------------------------------------------------------------------------------------------


async def test_links_keep_every_label(http: Client) -> None:
    for number in range(5):
        headers = {"Artifact-Label": "os=linux%20%26%20co"}
        await http("PUT", f"/v1/files/default/{number}", data=b"x", headers=headers)
    await put(http, "other", Artifact_Label="os=other")
    path, seen = f"/v1/artifacts?label=os&label={quote('os=linux & co')}&limit=2&created_after=2020-01-01T00:00:00Z", []
    while path:
        answer = await http("GET", path)
        assert answer.status == 200, answer.body
        items: Any = (await answer.json())["items"]
        seen += [item["name"] for item in items]
        path = answer.headers.get("Link", "").partition("<")[2].partition(">")[0]
    assert seen == list("01234")


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("kind=A", "invalid-metadata", "kind"),
        ("media_type=text", "invalid-metadata", "media_type"),
        ("label=%3Dx", "invalid-metadata", "labels"),
        ("&".join(f"label=a{n}" for n in range(65)), "invalid-query", "labels"),
        ("digest=x", "invalid-digest", "digest"),
        ("size_min=-1", "invalid-query", "size_min"),
        ("size_max=9007199254740992", "invalid-query", "size_max"),
        ("size_min=1&size_min=2", "invalid-query", "size_min"),
        ("created_after=yesterday", "invalid-query", "created_after"),
        ("created_before=2026-01-01T00:00:00+01:00", "invalid-query", "created_before"),  # its + is a space
    ],
)
async def test_a_bad_term_is_400(http: Client, query: str, code: str, field: str) -> None:
    await refused(await http("GET", f"/v1/artifacts?{query}"), 400, code, field)


# --- records of stored bytes ------------------------------------------------------------------------------------------


async def test_stored_bytes_are_recorded(http: Client) -> None:
    stored = await (await http("POST", "/v1/objects", data=DATA)).json()
    document = {"namespace": "ci", "name": "a", "digest": stored["sha256"], "kind": None, "labels": {"x": ""}}
    answer = await record(http, {**document, "provenance": {"by": "ci", "n": 1.5}, "media_type": "text/plain"})
    made = await answer.json()
    assert (answer.status, answer.headers["ETag"]) == (201, '"1"')
    assert answer.headers["Location"] == f"/v1/artifacts/{made['id']}"
    assert (made["blake3"], made["labels"], made["media_type"]) == (stored["blake3"], {"x": ""}, "text/plain")
    assert (made["provenance"], made["provenance_text"]) == ({"by": "ci", "n": 1.5}, '{"by":"ci","n":1.5}')
    assert await (await http("GET", answer.headers["Location"])).json() == made
    text = '{"n": 1.50}'
    again = await (await record(http, {**document, "provenance": text}, If_Match=f'"{stored["blake3"]}"')).json()
    assert (again["version"], again["provenance_text"]) == (2, text)
    await refused(await record(http, document, If_None_Match="*"), 412, "precondition-failed", None)


WHOLE: dict[str, object] = {"namespace": "ci", "name": "a", "digest": f"sha256:{SHA256}"}


@pytest.mark.parametrize(
    ("document", "status", "code", "field"),
    [
        (WHOLE, 404, "object-not-found", None),
        ({}, 400, "invalid-input", "namespace"),
        ([], 400, "invalid-input", None),
        ({**WHOLE, "version": 1}, 400, "invalid-input", "version"),
        ({**WHOLE, "namespace": "A"}, 400, "invalid-name", "namespace"),
        ({**WHOLE, "name": "a//b"}, 400, "invalid-name", "name"),
        ({**WHOLE, "name": 1}, 400, "invalid-input", "name"),
        ({**WHOLE, "digest": "x"}, 400, "invalid-digest", "digest"),
        ({**WHOLE, "kind": "k" * 65}, 400, "invalid-metadata", "kind"),
        ({**WHOLE, "labels": {"a": 1}}, 400, "invalid-input", "labels.a"),
        ({**WHOLE, "labels": {"": "x"}}, 400, "invalid-metadata", "labels"),
        ({**WHOLE, "labels": {f"l{n}": "" for n in range(65)}}, 400, "invalid-metadata", "labels"),
        ({**WHOLE, "labels": []}, 400, "invalid-input", "labels"),
        ({**WHOLE, "provenance": "x"}, 400, "invalid-metadata", "provenance"),
        ({**WHOLE, "provenance": {"inputs": ["x"]}}, 400, "invalid-metadata", "provenance.inputs[0]"),
        ({**WHOLE, "provenance": 1}, 400, "invalid-input", "provenance"),
    ],
)
async def test_what_is_not_recorded(http: Client, document: object, status: int, code: str, field: str | None) -> None:
    await refused(await record(http, document), status, code, field)
    assert (await (await http("GET", "/v1/events")).json())["items"] == []


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", JSON, 400, "invalid-input"),
        (b"{", JSON, 400, "invalid-input"),
        (b"\xff", JSON, 400, "invalid-input"),
        (b'{"a": 1, "a": 2}', JSON, 400, "invalid-input"),
        (b"[" * 65 + b"]" * 65, JSON, 400, "invalid-input"),
        (b" " * (2**20 + 1), JSON, 413, "object-too-large"),
        (b"{}", {}, 415, "unsupported-media-type"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
        (b"{}", PATCH, 415, "unsupported-media-type"),
        (b"{}", {**JSON, "Content-Encoding": "gzip"}, 415, "unsupported-encoding"),
        (b"{}", {**JSON, "Repr-Digest": f"sha-256=:{'A' * 43}=:"}, 422, "digest-mismatch"),
    ],
)
async def test_a_body_that_is_no_document(
    http: Client, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    await refused(await http("POST", "/v1/artifacts", data=body, headers=headers), status, code, None)


# --- labels -----------------------------------------------------------------------------------------------------------


async def test_labels_change_under_if_match(http: Client) -> None:
    made = await put(http, "a", Artifact_Label="a=1")
    path = f"/v1/artifacts/{made['id']}"

    async def patch(labels: object, **headers: str) -> Answer:
        fields = PATCH | {key.replace("_", "-"): value for key, value in headers.items()}
        return await http("PATCH", path, data=json.dumps({"labels": labels}).encode(), headers=fields)

    answer = await patch({"b": "2"}, If_Match='W/"1", "1"')
    assert (answer.status, answer.headers["ETag"]) == (200, '"2"')
    assert (await answer.json())["labels"] == {"a": "1", "b": "2"}
    for tags in ('"1"', 'W/"2"', '"02"', '"x"', '"' + "9" * 5000 + '"'):
        await refused(await patch({"b": "3"}, If_Match=tags), 412, "precondition-failed", None)
    assert (await (await patch({"a": None}, If_Match="*")).json())["labels"] == {"b": "2"}
    last = await patch({"a": None}, Content_Type="application/json")
    assert (last.status, last.headers["ETag"]) == (200, '"3"')
    same = await http("GET", path, headers={"If-None-Match": '"3"'})
    assert (same.status, same.headers["ETag"]) == (304, '"3"')
    for labels, code, field in (
        (None, "invalid-input", "labels"),
        ({"a": 1}, "invalid-input", "labels.a"),
        ({"a b": "1"}, "invalid-metadata", "labels"),
    ):
        await refused(await patch(labels), 400, code, field)
    other = await http("PATCH", path, data=b'{"kind": "log"}', headers=PATCH)
    await refused(other, 400, "invalid-input", "kind")
    missing = await http("PATCH", f"/v1/artifacts/{uuid.uuid4()}", data=b"{}", headers=PATCH)
    await refused(missing, 404, "artifact-not-found", None)


# --- lineage and statements -------------------------------------------------------------------------------------------


async def test_lineage_is_told_as_a_document(http: Client) -> None:
    source = await put(http, "source")
    made = await put(http, "made", b"made", Artifact_Provenance=json.dumps({"inputs": [source["sha256"]]}))
    up: Any = await (await http("GET", f"/v1/artifacts/{made['id']}/provenance?depth=32")).json()
    down: Any = await (await http("GET", f"/v1/artifacts/{source['id']}/derived")).json()
    edge = {"artifact": made["id"], "input": source["sha256"], "level": 1}
    assert up["edges"] == down["edges"] == [edge]
    assert [item["name"] for item in up["artifacts"]] == ["made", "source"]
    assert [item["name"] for item in down["artifacts"]] == ["source", "made"]
    for path in ("provenance", "derived"):
        for query in ("depth=0", "depth=33", "depth=x"):
            await refused(
                await http("GET", f"/v1/artifacts/{made['id']}/{path}?{query}"), 400, "invalid-query", "depth"
            )
        missing = await http("GET", f"/v1/artifacts/{uuid.uuid4()}/{path}")
        await refused(missing, 404, "artifact-not-found", None)


def statement(sha256: str = SHA256) -> bytes:
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {"sha256": sha256}}],
            "predicateType": "https://example.org/v1",
        }
    ).encode()


async def test_a_statement_is_attached(http: Client) -> None:
    path = f"/v1/artifacts/{(await put(http, 'a'))['id']}/attestations"
    assert await (await http("GET", path)).json() == {"items": []}
    first = await http("POST", path, data=statement())
    second = await http("POST", path, data=statement(), headers={"Expect": "100-continue"})
    assert (first.status, second.status) == (201, 200)
    attached = await first.json()
    assert (await second.json()) == {**attached, "created": False}
    assert (await http("GET", first.headers["Location"])).body == statement()
    del attached["created"]
    assert await (await http("GET", path)).json() == {"items": [attached]}
    for body, status, code, field in (
        (statement("0" * 64), 400, "invalid-statement", "subject"),
        (b"{}", 400, "invalid-statement", "_type"),
        (b"x", 400, "invalid-statement", None),
        (b" " * (2**20 + 1), 413, "object-too-large", None),
    ):
        await refused(await http("POST", path, data=body), status, code, field)
    missing = await http("POST", f"/v1/artifacts/{uuid.uuid4()}/attestations", data=statement())
    await refused(missing, 404, "artifact-not-found", None)
