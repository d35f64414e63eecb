"""`/v1/packages` on a socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from artifactstore.domain.manifest import Manifest
from artifactstore.manifests.verification import verify_export
from tests.conftest import Gateway
from tests.http.conftest import Client
from tests.packages import FILES, identity_of_bytes

REPORT = str(identity_of_bytes(b"<report/>").sha256)
JSON = {"Content-Type": "application/json"}
NOBODY = "019a2c3e-7b51-7c04-9d1f-52c6a0b7e811"


def sealing(**changes: Any) -> bytes:
    document = {
        "namespace": "ci",
        "name": "evidence/run",
        "members": [{"name": name, "digest": str(identity_of_bytes(data).blake3)} for name, data in FILES.items()],
        **changes,
    }
    return json.dumps(document).encode()


@pytest.fixture
async def sealed(http: Client) -> dict[str, Any]:
    for data in FILES.values():
        await http("POST", "/v1/objects", data=data)
    answer = await http("POST", "/v1/packages", headers=JSON, data=sealing())
    assert answer.status == 201
    found = await answer.json()
    assert answer.headers["Location"] == f"/v1/packages/{found['id']}"
    assert found["created"] is True
    return found


async def test_the_same_package_is_answered_with_the_one_that_is_there(http: Client, sealed: dict[str, Any]) -> None:
    answer = await http("POST", "/v1/packages", headers=JSON, data=sealing())
    assert (answer.status, await answer.json()) == (200, {**sealed, "created": False})
    assert answer.headers["Location"] == f"/v1/packages/{sealed['id']}"


async def test_the_record_has_the_members(http: Client, sealed: dict[str, Any]) -> None:
    found = await (await http("GET", f"/v1/packages/{sealed['id']}")).json()
    members = found.pop("members")
    assert {**found, "created": True} == sealed
    assert isinstance(members, list)
    assert {item["name"]: item["sha256"] for item in members} == {
        name: str(identity_of_bytes(data).sha256) for name, data in FILES.items()
    }


async def test_pages_go_on_where_the_last_ended(http: Client, sealed: dict[str, Any]) -> None:
    await http("POST", "/v1/packages", headers=JSON, data=sealing(name="second"))
    first = await (await http("GET", "/v1/packages?namespace=ci&limit=1")).json()
    second = await (await http("GET", f"/v1/packages?namespace=ci&limit=1&after={first['next']}")).json()
    assert [item["name"] for page in (first, second) for item in page["items"]] == ["evidence/run", "second"]  # type: ignore[attr-defined]  # a list of records
    end = await (await http("GET", f"/v1/packages?after={second['next']}")).json()
    assert end == {"items": [], "next": second["next"]}


async def test_the_manifest_is_content(http: Client, sealed: dict[str, Any]) -> None:
    path = f"/v1/packages/{sealed['id']}/manifest"
    answer = await http("GET", path)
    assert answer.headers["Content-Type"] == "application/vnd.in-toto+json"
    assert answer.headers["ETag"] == f'"{sealed["manifest"]["blake3"]}"'
    assert Manifest.parse(answer.body).contents.name == "evidence/run"
    part = await http("GET", path, headers={"Range": "bytes=1-6"})
    assert (part.status, part.body) == (206, answer.body[1:7])
    known = await http("GET", path, headers={"If-None-Match": answer.headers["ETag"]})
    assert known.status == 304


@pytest.mark.parametrize("form", ["bagit-zip", "bagit-tar", "oci"])
async def test_an_export_has_its_length_and_its_name(
    http: Client, sealed: dict[str, Any], tmp_path: Path, form: str
) -> None:
    path = f"/v1/packages/{sealed['id']}/export?format={form}"
    answer = await http("GET", path)
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert answer.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''package-")
    file = tmp_path / "copy"
    file.write_bytes(answer.body)
    assert verify_export(file).findings == []
    head = await http("HEAD", path)
    assert (head.status, head.headers["Content-Length"], head.body) == (200, answer.headers["Content-Length"], b"")


async def test_an_export_of_a_damaged_member_is_a_problem_or_breaks_off(
    gateway: Gateway, http: Client, sealed: dict[str, Any]
) -> None:
    digest = identity_of_bytes(b"<report/>").blake3
    copy = gateway.root / "objects" / "blake3" / digest.hex[:2] / digest.hex
    copy.chmod(0o640)
    copy.write_bytes(b"<rep0rt/>")
    path = f"/v1/packages/{sealed['id']}/export?format=bagit-zip"
    with pytest.raises(aiohttp.ClientError):
        await http("GET", path)
    await gateway.store.verify_object(digest)
    answer = await http("GET", path)
    assert (answer.status, await answer.problem()) == (500, "object-damaged")


def member(**said: Any) -> dict[str, Any]:
    return {"members": [{"name": "a", "digest": REPORT}, said]}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"members": []}, "members"),
        ({"members": None}, "members"),
        (member(name="b", digest="sha256:" + "0" * 64), "members[1].name"),
        (member(name="b", artifact=NOBODY), "members[1].name"),
        (member(name="a", digest=REPORT), "members[1].name"),
        (member(name="A", digest=REPORT), "members[1].name"),
        (member(name="a/b", digest=REPORT), "members[1].name"),
        (member(name="/b", digest=REPORT), "members[1].name"),
        (member(digest=REPORT), "members[1].name"),
        (member(name="b"), "members[1]"),
        (member(name="b", digest=REPORT, artifact=NOBODY), "members[1]"),
        (member(name="b", digest="md5:0"), "members[1].digest"),
        (member(name="b", artifact="{" + NOBODY + "}"), "members[1].artifact"),
        (member(name="b", digest=REPORT, size=1), "members[1].size"),
        ({"namespace": "CI"}, "namespace"),
        ({"name": "../run"}, "name"),
        ({"completeness": "perhaps"}, "completeness"),
        ({"completeness_note": "two\nlines"}, "completeness_note"),
        ({"producer": {"version": "1"}}, "producer.name"),
        ({"producer": {"name": "x", "uri": "no uri"}}, "producer.uri"),
        ({"related": [{"relation": "Log", "digest": REPORT}]}, "related[0].relation"),
        ({"supersedes": "the first"}, "supersedes"),
        ({"retention": ""}, "retention"),
        ({"at": "once"}, "at"),
    ],
)
@pytest.mark.usefixtures("sealed")
async def test_what_cannot_be_sealed_names_the_field(http: Client, changes: dict[str, Any], field: str) -> None:
    answer = await http("POST", "/v1/packages", headers=JSON, data=sealing(**changes))
    assert (answer.status, await answer.problem()) == (400, "invalid-package")
    assert (await answer.json())["field"] == field


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"name": "a", "name": "b"}', b"[" * 70 + b"]" * 70, b'{"name": "\xff"}']
)
async def test_what_is_no_document(http: Client, body: bytes) -> None:
    answer = await http("POST", "/v1/packages", headers=JSON, data=body)
    assert (answer.status, await answer.problem()) == (400, "invalid-package")


async def test_a_document_that_is_too_long(http: Client) -> None:
    answer = await http("POST", "/v1/packages", headers=JSON, data=b" " * (16 * 2**20 + 1))
    assert (answer.status, await answer.problem()) == (413, "object-too-large")


async def test_superseding_what_is_not_there_or_superseded(http: Client, sealed: dict[str, Any]) -> None:
    answer = await http("POST", "/v1/packages", headers=JSON, data=sealing(supersedes=NOBODY))
    assert (answer.status, await answer.problem()) == (404, "package-not-found")
    assert (await http("POST", "/v1/packages", headers=JSON, data=sealing(supersedes=sealed["id"]))).status == 201
    answer = await http("POST", "/v1/packages", headers=JSON, data=sealing(supersedes=sealed["id"], label="2"))
    assert (answer.status, await answer.problem()) == (412, "precondition-failed")


async def test_addresses_of_no_package(http: Client) -> None:
    for path in ("", "/manifest", "/export?format=oci"):
        answer = await http("GET", f"/v1/packages/{NOBODY}{path}")
        assert (answer.status, await answer.problem()) == (404, "package-not-found")
        answer = await http("GET", f"/v1/packages/one{path}")
        assert (answer.status, await answer.problem()) == (400, "invalid-input")


@pytest.mark.parametrize("query", ["", "?format=rar", "?format=oci&format=oci", "?format=oci&to=me"])
async def test_a_form_that_there_is_not(http: Client, sealed: dict[str, Any], query: str) -> None:
    answer = await http("GET", f"/v1/packages/{sealed['id']}/export{query}")
    assert (answer.status, await answer.problem()) == (400, "invalid-query")
