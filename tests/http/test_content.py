from __future__ import annotations

import email
import random
from typing import Any
from urllib.parse import quote

import pytest
from blake3 import blake3

from artifactstore.domain.caller import Caller
from tests.conftest import Gateway
from tests.http.conftest import Client

DATA = random.Random(7).randbytes(700_001)
PATH = "/v1/files/default/data.bin"
TAG = f'"blake3:{blake3(DATA).hexdigest()}"'


@pytest.fixture(autouse=True)
async def stored(http: Client) -> None:
    answer = await http("PUT", PATH, data=DATA, headers={"Content-Type": "text/html; charset=utf-8"})
    assert answer.status == 201


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-", 5, len(DATA)),
        ("bytes=-1", len(DATA) - 1, len(DATA)),
        ("bytes=-9999999", 0, len(DATA)),
        ("bytes=262143-262145", 262143, 262146),
        ("bytes=100-99999999999", 100, len(DATA)),
        ("bytes=, 1-2 ,", 1, 3),
        ("BYTES=1-2", 1, 3),
        ("bytes=1-2, 9999999-", 1, 3),
    ],
)
async def test_one_range(http: Client, header: str, start: int, stop: int) -> None:
    answer = await http("GET", PATH, headers={"Range": header})
    assert (answer.status, answer.body) == (206, DATA[start:stop])
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"
    assert answer.headers["ETag"] == TAG


@pytest.mark.parametrize(
    "header",
    ["bytes", "bytes=", "bytes=x-y", "bytes=5-4", "bytes=--5", "lines=1-2", "bytes=0-,0-", "bytes=1-2,x", "bytes=+1-2"],
)
async def test_a_range_that_means_nothing_is_ignored(http: Client, header: str) -> None:
    answer = await http("GET", PATH, headers={"Range": header})
    assert (answer.status, answer.body) == (200, DATA)


@pytest.mark.parametrize("header", ["bytes=700001-", "bytes=-0", "bytes=99999999-,88888888-"])
async def test_a_range_beyond_the_end_is_416(http: Client, header: str) -> None:
    answer = await http("GET", PATH, headers={"Range": header})
    assert (answer.status, await answer.problem()) == (416, "range-not-satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{len(DATA)}"


async def test_several_ranges_are_multipart(http: Client) -> None:
    answer = await http("GET", PATH, headers={"Range": "bytes=0-9, 300000-599999, -3"})
    assert answer.status == 206
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    kind = answer.headers["Content-Type"]
    assert kind.startswith("multipart/byteranges; boundary=")
    boundary = kind.partition("=")[2].encode()
    parts = answer.body.split(b"\r\n--" + boundary)
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    found = []
    for part in parts[1:-1]:
        head, _, body = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        headers = email.message_from_bytes(head)
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        found.append((headers["Content-Range"], body))
    size = len(DATA)
    assert found == [
        (f"bytes 0-9/{size}", DATA[:10]),
        (f"bytes 300000-599999/{size}", DATA[300000:600000]),
        (f"bytes {size - 3}-{size - 1}/{size}", DATA[-3:]),
    ]


async def test_head_has_the_headers_and_no_body(http: Client) -> None:
    answer = await http("HEAD", PATH, headers={"Range": "bytes=0-9"})
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''data.bin"


@pytest.mark.parametrize("value", [TAG, "*", f'"x", W/{TAG}', f"W/{TAG}"])
async def test_if_none_match_is_304(http: Client, value: str) -> None:
    for method in ("GET", "HEAD"):
        answer = await http(method, PATH, headers={"If-None-Match": value})
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", TAG)


async def test_another_tag_is_sent_the_content(http: Client) -> None:
    assert (await http("GET", PATH, headers={"If-None-Match": '"other"'})).status == 200


async def test_if_match(http: Client) -> None:
    assert (await http("GET", PATH, headers={"If-Match": TAG})).status == 200
    assert (await http("GET", PATH, headers={"If-Match": "*"})).status == 200
    for value in ('"other"', f"W/{TAG}"):
        answer = await http("GET", PATH, headers={"If-Match": value})
        assert (answer.status, await answer.problem()) == (412, "precondition-failed")


@pytest.mark.parametrize(
    ("value", "status"), [(TAG, 206), (f"W/{TAG}", 200), ('"other"', 200), ("Sat, 01 Jan 2050 00:00:00 GMT", 200)]
)
async def test_if_range_compares_strong_tags(http: Client, value: str, status: int) -> None:
    answer = await http("GET", PATH, headers={"Range": "bytes=0-9", "If-Range": value})
    assert (answer.status, answer.body) == (status, DATA[:10] if status == 206 else DATA)


async def test_a_copy_cut_short_under_a_reader_breaks_the_connection(gateway: Gateway, http: Client) -> None:
    (path,) = gateway.stored()
    record = await gateway.store.record((await gateway.store.file("default", "data.bin")).identity.blake3)
    content = await gateway.store.open_record(record)
    path.chmod(0o640)
    with path.open("r+b") as file:
        file.truncate(300_000)
    received = 0
    with pytest.raises(Exception, match="end"):
        async for chunk in content.chunks():
            received += len(chunk)
    await content.close()
    assert received <= 300_000
    cut = await http("GET", PATH)
    assert (cut.status, await cut.problem()) == (500, "object-damaged")


async def test_only_bytes_that_were_sent_count_as_retrievals(gateway: Gateway, http: Client) -> None:
    await http("HEAD", PATH)
    await http("GET", PATH, headers={"If-None-Match": TAG})
    await http("GET", PATH)
    await http("GET", PATH, headers={"Range": "bytes=0-99"})
    artifact = await gateway.store.file("default", "data.bin")
    answer = await (await http("GET", f"/v1/artifacts/{artifact.id}/retrievals")).json()
    items = answer["items"]
    assert isinstance(items, list)
    assert sum(item["count"] for item in items) == 2
    assert sum(item["size_bytes"] for item in items) == len(DATA) + 100
    assert {item["actor"] for item in items} == {"anonymous"}


async def test_retrievals_go_on_where_the_page_before_ended(gateway: Gateway, http: Client) -> None:
    artifact = await gateway.store.file("default", "data.bin")
    for actor in ("carol", "alice", "bob with a + and a %20"):
        reading = gateway.store.acting_as(Caller.named(actor))
        async with await reading.open_artifact(artifact.id) as content:
            assert sum([len(chunk) async for chunk in content.chunks()]) == len(DATA)
    path = f"/v1/artifacts/{artifact.id}/retrievals"
    whole: Any = await (await http("GET", path)).json()
    actors = [item["actor"] for item in whole["items"]]
    assert (len(actors), whole["next"]) == (3, None)
    found: list[Any] = []
    following: str | None = ""
    while following is not None:
        page: Any = await (await http("GET", f"{path}?limit=2{following and '&after=' + quote(following)}")).json()
        assert len(page["items"]) <= 2
        found += page["items"]
        following = page["next"]
    assert found == whole["items"]
