from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from blake3 import blake3

from tests.conftest import Gateway
from tests.http.conftest import Client

DATA = b"the report\n"
TAG = f'"blake3:{blake3(DATA).hexdigest()}"'


async def test_a_file_is_recorded_as_given(gateway: Gateway, http: Client) -> None:
    answer = await http(
        "PUT",
        "/v1/files/ci.builds/reports/2026/today.txt",
        data=DATA,
        headers=[
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Artifact-Kind", "report"),
            ("Artifact-Label", "team=qa%20%26%20r%C3%A9lease"),
            ("Artifact-Label", "stage=final"),
            ("Artifact-Retention", "one-year"),
            ("Artifact-Provenance", '{"builder": 1e400, "b":2,  "b":3}'),
        ],
    )
    assert answer.status == 201
    record = await answer.json()
    assert record["created"] is True
    assert record["version"] == 1
    assert record["labels"] == {"stage": "final", "team": "qa & rélease"}
    assert (record["kind"], record["retention"]) == ("report", "one-year")
    assert (record["namespace"], record["name"]) == ("ci.builds", "reports/2026/today.txt")
    assert record["media_type"] == "text/plain; charset=utf-8"
    assert answer.headers["ETag"] == TAG
    assert answer.headers["Location"] == f"/v1/artifacts/{record['id']}"
    stored = await gateway.store.file("ci.builds", "reports/2026/today.txt")
    assert stored.metadata.provenance == '{"builder": 1e400, "b":2,  "b":3}', "opaque, byte for byte"
    again = await (await http("GET", str(answer.headers["Location"]))).json()
    assert again == {key: value for key, value in record.items() if key != "created"}
    content = await http("GET", f"/v1/artifacts/{record['id']}/content")
    assert (content.body, content.headers["Content-Type"]) == (DATA, "text/plain; charset=utf-8")


async def test_each_put_is_a_version(gateway: Gateway, http: Client) -> None:
    for version, body in enumerate((b"one", b"two", b"one"), start=1):
        record = await (await http("PUT", "/v1/files/default/a", data=body)).json()
        assert (record["version"], record["created"]) == (version, version < 3)
    assert (await http("GET", "/v1/files/default/a")).body == b"one"
    assert len(gateway.stored()) == 2
    listed = await (await http("GET", "/v1/artifacts?namespace=default&name=a")).json()
    items = listed["items"]
    assert isinstance(items, list)
    assert [item["version"] for item in items] == [1, 2, 3]


async def test_create_only(http: Client) -> None:
    only = {"If-None-Match": "*"}
    assert (await http("PUT", "/v1/files/default/a", data=DATA, headers=only)).status == 201
    refused = await http("PUT", "/v1/files/default/a", data=b"other", headers=only)
    assert (refused.status, await refused.problem()) == (412, "precondition-failed")
    assert (await http("GET", "/v1/files/default/a")).body == DATA
    assert (await http("DELETE", "/v1/files/default/a")).status == 204
    again = await http("PUT", "/v1/files/default/a", data=DATA, headers=only)
    assert (again.status, (await again.json())["version"]) == (201, 2)


async def test_if_match_guards_an_overwrite_and_a_deletion(http: Client) -> None:
    missing = await http("PUT", "/v1/files/default/a", data=DATA, headers={"If-Match": "*"})
    assert missing.status == 412
    await http("PUT", "/v1/files/default/a", data=DATA)
    wrong = {"If-Match": '"blake3:' + "0" * 64 + '", W/' + TAG}
    assert (await http("PUT", "/v1/files/default/a", data=b"new", headers=wrong)).status == 412
    assert (await http("DELETE", "/v1/files/default/a", headers=wrong)).status == 412
    assert (await http("PUT", "/v1/files/default/a", data=b"new", headers={"If-Match": TAG})).status == 201
    assert (await http("DELETE", "/v1/files/default/a", headers={"If-Match": "*"})).status == 204


async def test_a_tombstoned_name_is_gone_and_goes_on_numbering(http: Client) -> None:
    first = await (await http("PUT", "/v1/files/default/a", data=DATA)).json()
    assert (await http("DELETE", "/v1/files/default/a")).status == 204
    for method in ("GET", "HEAD", "DELETE"):
        assert (await http(method, "/v1/files/default/a")).status == 404
    assert (await http("GET", f"/v1/artifacts/{first['id']}/content")).status == 404
    record = await (await http("GET", f"/v1/artifacts/{first['id']}")).json()
    assert record["deleted"] is True
    assert (await (await http("GET", "/v1/artifacts?namespace=default")).json())["items"] == []
    second = await (await http("PUT", "/v1/files/default/a", data=DATA)).json()
    assert second["version"] == 2


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "ü/ñ.txt",
        "100%",
        "a?b#c",
        "a%2Fb",
        "x" * 1024,
        "a\\b",
        "~tilde",
        "日本語/レポート.pdf",
        "a//b".replace("//", "/"),
    ],
)
async def test_names_survive_percent_encoding_once(http: Client, name: str) -> None:
    path = f"/v1/files/default/{quote(name, safe='/')}"
    record = await (await http("PUT", path, data=DATA)).json()
    assert record["name"] == name
    assert (await http("GET", path)).body == DATA


async def test_an_encoded_slash_is_a_slash(http: Client) -> None:
    await http("PUT", "/v1/files/default/a%2Fb", data=DATA)
    assert (await http("GET", "/v1/files/default/a/b")).body == DATA
    double = await (await http("PUT", "/v1/files/default/a%252Fb", data=DATA)).json()
    assert double["name"] == "a%2Fb"


@pytest.mark.parametrize(
    "path",
    [
        "default/",
        "default//a",
        "default/a//b",
        "default/a/",
        "default/./a",
        "default/a/..",
        "default/%2e%2e/a",
        "default/%2Fa",
        "default/a%00b",
        "default/a%0Ab",
        "default/a%7F",
        "default/a%C2%85",
        "default/%zz",
        "default/%",
        "default/%ff",
        "default/" + "x" * 1025,
        "default",
        "",
        "UPPER/a",
        ".dot/a",
        "n" * 65 + "/a",
        "na%20me/a",
    ],
)
async def test_a_bad_name_is_400(gateway: Gateway, http: Client, path: str) -> None:
    for method in ("PUT", "GET", "DELETE"):
        answer = await http(method, f"/v1/files/{path}", data=DATA if method == "PUT" else None)
        assert (answer.status, await answer.problem()) == (400, "invalid-name")
    assert await gateway.store.registry.head() == 0


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("Artifact-Kind", "Report"),
        ("Artifact-Kind", ""),
        ("Artifact-Kind", "k" * 65),
        ("Artifact-Label", "novalue"),
        ("Artifact-Label", "=x"),
        ("Artifact-Label", "key=%ff"),
        ("Artifact-Label", "key=100%"),
        ("Artifact-Label", "k%zz=v"),
        ("Artifact-Provenance", "%7B%7"),
        ("Artifact-Label", "key=" + "x" * 257),
        ("Artifact-Label", "key=a%0Ab"),
        ("Artifact-Retention", "a b"),
        ("Artifact-Provenance", "{"),
        ("Artifact-Provenance", "[1]"),
        ("Artifact-Provenance", "sha256:12"),
        ("Artifact-Provenance", '{"a": NaN}'),
        ("Content-Type", "nonsense"),
        ("Content-Type", "text/plain; charset"),
    ],
)
async def test_bad_metadata_is_400(gateway: Gateway, http: Client, header: str, value: str) -> None:
    answer = await http("PUT", "/v1/files/default/a", data=DATA, headers={header: value})
    assert (answer.status, await answer.problem()) == (400, "invalid-metadata")
    assert "field" in await answer.json()
    assert gateway.stored() == []


async def test_a_label_twice_and_too_many_labels_are_400(http: Client) -> None:
    for labels in (["a=1", "a=2"], [f"k{index}=v" for index in range(65)]):
        answer = await http(
            "PUT", "/v1/files/default/a", data=DATA, headers=[("Artifact-Label", label) for label in labels]
        )
        assert (answer.status, await answer.problem()) == (400, "invalid-metadata")


async def test_provenance_up_to_its_limit_fits_into_its_header(http: Client) -> None:
    text = json.dumps({"steps": "x" * 65_523})
    assert len(text) == 65_536
    answer = await http("PUT", "/v1/files/default/a", data=b"x", headers={"Artifact-Provenance": text})
    assert (answer.status, (await answer.json())["provenance"]) == (201, {"steps": "x" * 65_523})
    longer = json.dumps({"steps": "x" * 65_524})
    answer = await http("PUT", "/v1/files/default/a", data=b"x", headers={"Artifact-Provenance": longer})
    assert (answer.status, await answer.problem()) == (400, "invalid-metadata")


@pytest.mark.parametrize("header", ["Artifact-Kind", "Artifact-Retention", "Artifact-Provenance", "Artifact-Namespace"])
async def test_a_field_that_stands_twice_is_400(gateway: Gateway, http: Client, header: str) -> None:
    method, path = ("POST", "/v1/objects") if header == "Artifact-Namespace" else ("PUT", "/v1/files/default/a")
    value = "{}" if header == "Artifact-Provenance" else "a"
    answer = await http(method, path, data=DATA, headers=[(header, value), (header, value)])
    assert (answer.status, (await answer.json())["field"]) == (400, header)
    assert gateway.stored() == []


async def test_a_tag_that_must_not_match_is_looked_at(http: Client) -> None:
    unwanted = {"If-None-Match": f'"x", {TAG}'}
    assert (await http("PUT", "/v1/files/default/a", data=DATA, headers=unwanted)).status == 201
    for method, body in (("PUT", b"new"), ("DELETE", None)):
        refused = await http(method, "/v1/files/default/a", data=body, headers=unwanted)
        assert (refused.status, await refused.problem()) == (412, "precondition-failed")
    assert (await http("DELETE", "/v1/files/default/a", headers={"If-None-Match": "*"})).status == 412
    other = {"If-None-Match": '"x"'}
    assert (await http("PUT", "/v1/files/default/a", data=b"new", headers=other)).status == 201
    assert (await http("DELETE", "/v1/files/default/a", headers=unwanted)).status == 204


async def test_a_record_that_is_known_is_304(http: Client) -> None:
    created = await http("PUT", "/v1/files/default/a", data=DATA)
    path = str(created.headers["Location"])
    tag = (await http("GET", path)).headers["ETag"]
    for value in (tag, f'"x", W/{tag}', "*"):
        answer = await http("GET", path, headers={"If-None-Match": value})
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)
    assert (await http("GET", path, headers={"If-None-Match": '"0"'})).status == 200
