"""`/`, `/health*`, `/v1/artifacts`, `/v1/events`."""

from __future__ import annotations

import uuid

import pytest

import artifactstore
from artifactstore.hashing import active_kernel
from tests.conftest import Gateway
from tests.http.conftest import Client


async def test_the_service_names_itself(http: Client) -> None:
    answer = await http("GET", "/")
    assert await answer.json() == {
        "service": "artifact-store",
        "status": "ok",
        "version": artifactstore.__version__,
        "kernel": active_kernel(),
    }
    assert answer.headers["Server"] == "artifact-store"


async def test_health(http: Client) -> None:
    await http("POST", "/v1/objects", data=b"x")
    for path in ("/health", "/health/ready"):
        state = await (await http("GET", path)).json()
        assert state["status"] == "ok"
        assert state["views"] == {"head": 1, "current": True}
    assert await (await http("GET", "/health/live")).json() == {"status": "ok"}


async def test_health_tells_of_a_backend_that_fails(gateway: Gateway, http: Client) -> None:
    (gateway.root / "objects").rename(gateway.root / "moved")
    answer = await http("GET", "/health")
    assert answer.status == 503
    assert (await http("GET", "/health/live")).status == 200


async def test_pages_cover_a_search_without_gap_or_repeat(http: Client) -> None:
    for index in range(25):
        await http("PUT", f"/v1/files/default/p/{index:02}", data=b"%d" % index)
    await http("PUT", "/v1/files/default/q", data=b"q")
    await http("PUT", "/v1/files/other/p/1", data=b"o")
    seen: list[str] = []
    path = "/v1/artifacts?namespace=default&name_prefix=p%2F&limit=10"
    pages = 0
    while path:
        answer = await http("GET", path)
        document = await answer.json()
        items = document["items"]
        assert isinstance(items, list)
        seen += [item["name"] for item in items]
        link = answer.headers.get("Link", "")
        assert bool(link) == (document["next"] is not None)
        path = link.partition("<")[2].partition(">")[0]
        pages += 1
    assert seen == [f"p/{index:02}" for index in range(25)]
    assert pages == 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("limit=1&limit=2", "limit"),
        ("colour=red", "colour"),
        ("cursor=%00", "cursor"),
        ("cursor=AAAA", "cursor"),
        ("name=%ff", "query"),
        ("name=100%", "query"),
        ("n%zz=a", "query"),
    ],
)
async def test_a_bad_search_is_400(http: Client, query: str, field: str) -> None:
    answer = await http("GET", f"/v1/artifacts?{query}")
    assert (answer.status, await answer.problem()) == (400, "invalid-query")
    assert (await answer.json())["field"] == field


async def test_a_cursor_belongs_to_its_query(http: Client) -> None:
    for index in range(3):
        await http("PUT", f"/v1/files/default/{index}", data=b"x")
    cursor = (await (await http("GET", "/v1/artifacts?namespace=default&limit=1")).json())["next"]
    answer = await http("GET", f"/v1/artifacts?namespace=other&limit=1&cursor={cursor}")
    assert (answer.status, await answer.problem()) == (400, "invalid-query")


async def test_an_unknown_artifact(http: Client) -> None:
    missing = uuid.uuid4()
    for path in ("", "/content", "/retrievals"):
        answer = await http("GET", f"/v1/artifacts/{missing}{path}")
        assert (answer.status, await answer.problem()) == (404, "artifact-not-found")
        bad = await http("GET", f"/v1/artifacts/nonsense{path}")
        assert (bad.status, await bad.problem()) == (400, "invalid-input")


async def test_events_are_paged_in_order(http: Client) -> None:
    for index in range(5):
        await http("POST", "/v1/objects", data=b"%d" % index)
    first = await (await http("GET", "/v1/events?limit=3")).json()
    items = first["items"]
    assert isinstance(items, list)
    assert [item["seq"] for item in items] == [1, 2, 3]
    assert first["next"] == 3
    assert items[0]["actor"] == "anonymous"
    assert items[0]["type"] == "object.stored"
    rest = await (await http("GET", "/v1/events?after=3")).json()
    rest_items = rest["items"]
    assert isinstance(rest_items, list)
    assert [item["seq"] for item in rest_items] == [4, 5]
    end = await (await http("GET", "/v1/events?after=5")).json()
    assert end == {"items": [], "next": 5}
    for query in ("after=-1", "after=x", "limit=0", "what=1", "after=99999999999999999999"):
        bad = await http("GET", f"/v1/events?{query}")
        assert (bad.status, await bad.problem()) == (400, "invalid-query")


@pytest.mark.parametrize("path", ["/", "/health", "/health/ready", "/health/live", "/v1/events", "/v1/nowhere"])
async def test_head_is_answered_as_get_without_the_body(http: Client, path: str) -> None:
    get, head = await http("GET", path), await http("HEAD", path)
    assert (head.status, head.body) == (get.status, b"")
    assert head.headers["X-Content-Type-Options"] == get.headers["X-Content-Type-Options"] == "nosniff"
