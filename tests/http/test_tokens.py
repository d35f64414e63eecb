"""Tokens over HTTP: every route asks for one, and what a token may not see is answered as what is not there."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import aiohttp
import pytest
from aiohttp import web

from artifactstore.api.http import create_app
from artifactstore.api.server import GatewayRunner
from artifactstore.bootstrap import open_local
from artifactstore.domain.digest import Digest
from artifactstore.domain.package import MemberSource
from artifactstore.hashing import dual_digest
from artifactstore.store import Store
from tests.conftest import Gateway, settings_for
from tests.http.conftest import Answer, Client
from tests.http.wire import connect, request

MINE, FOREIGN = b"of namespace a", b"of namespace b"
OPEN = ("/", "/health", "/health/ready", "/health/live", "/openapi.json", "/docs")
ABSENT = "019a2c3e-0000-7000-8000-52c6a0b7e811"


def blake3(data: bytes) -> str:
    return str(Digest.blake3(dual_digest(data).blake3))


@dataclass
class World:
    """A gateway that requires tokens, what is stored, and the addresses of it."""

    http: Client
    gateway: Gateway
    store: Store  # the owner's
    mine: dict[str, str]
    foreign: dict[str, str]

    async def token(self, *scopes: str, namespaces: tuple[str, ...] = ("a",), name: str = "ci") -> str:
        issued = await self.store.issue_token(name, scopes=frozenset(scopes), namespaces=frozenset(namespaces))
        return issued.text

    async def ask(self, token: str | None, method: str, path: str, **arguments: object) -> Answer:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        return await self.http(method, path, headers={**headers, **arguments.pop("headers", {})}, **arguments)  # type: ignore[dict-item]


async def filled(store: Store, namespace: str, content: bytes) -> dict[str, str]:
    artifact, _ = await store.put_file(namespace, "file", content)
    package, _ = await store.seal_package(namespace, "package", [MemberSource(artifact.id)])
    return {
        "digest": blake3(content),
        "address": f"{namespace}/file",
        "artifact": str(artifact.id),
        "package": str(package.id),
        "namespace": namespace,
    }


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as running:
        settings = settings_for(tmp_path / "root")
        store = await running.enter_async_context(open_local(settings))
        app = create_app(store, require_tokens=True)
        runner = GatewayRunner(app)
        await runner.setup()
        running.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        gateway = Gateway(f"http://127.0.0.1:{runner.addresses[0][1]}", settings.root, store, app)
        session = await running.enter_async_context(aiohttp.ClientSession())
        mine, foreign = await filled(store, "a", MINE), await filled(store, "b", FOREIGN)
        yield World(Client(session, gateway.url), gateway, store, mine, foreign)


SEALING = {"namespace": "{namespace}", "name": "another", "members": [{"name": "m", "digest": "{digest}"}]}
RECORDING = {"namespace": "{namespace}", "name": "again", "digest": "{digest}"}
STATEMENT = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "m", "digest": {"blake3": "{hex}"}}],
    "predicateType": "https://example.org/test/v1",
    "predicate": {},
}


@dataclass(frozen=True)
class Route:
    """A request that succeeds with a scope in namespace `a`. `elsewhere`: what it is about `b`, with a token of `a`."""

    path: str
    scopes: tuple[str, ...]
    status: int
    elsewhere: int | None
    body: object = None
    headers: tuple[tuple[str, str], ...] = ()
    everywhere: bool = False  # the scope is needed in `*`


R, W, D, A = "read", "write", "delete", "admin"
ROUTES = {
    "POST /v1/objects": Route("/v1/objects", (W,), 201, 403, b"x", (("Artifact-Namespace", "{namespace}"),)),
    "PUT /v1/objects/{digest}": Route(
        "/v1/objects/{digest}", (W,), 201, 403, MINE, (("Artifact-Namespace", "{namespace}"),)
    ),
    "GET /v1/objects/{digest}": Route("/v1/objects/{digest}", (R,), 200, 404),
    "HEAD /v1/objects/{digest}": Route("/v1/objects/{digest}", (R,), 200, 404),
    "DELETE /v1/objects/{digest}": Route("/v1/objects/{digest}", (D,), 409, 409, everywhere=True),
    "POST /v1/objects/{digest}/verify": Route("/v1/objects/{digest}/verify", (R,), 200, 404),
    "PUT /v1/files/{address}": Route("/v1/files/{address}", (W,), 201, 403, b"y"),
    "GET /v1/files/{address}": Route("/v1/files/{address}", (R,), 200, 403),
    "HEAD /v1/files/{address}": Route("/v1/files/{address}", (R,), 200, 403),
    "DELETE /v1/files/{address}": Route("/v1/files/{address}", (D,), 204, 403),
    "GET /v1/artifacts": Route("/v1/artifacts?namespace={namespace}", (R,), 200, 403),
    "HEAD /v1/artifacts": Route("/v1/artifacts?namespace={namespace}", (R,), 200, 403),
    "POST /v1/artifacts": Route("/v1/artifacts", (R, W), 201, 403, RECORDING),
    "GET /v1/artifacts/{id}": Route("/v1/artifacts/{artifact}", (R,), 200, 404),
    "HEAD /v1/artifacts/{id}": Route("/v1/artifacts/{artifact}", (R,), 200, 404),
    "PATCH /v1/artifacts/{id}": Route("/v1/artifacts/{artifact}", (W,), 200, 404, {"labels": {"k": "v"}}),
    "GET /v1/artifacts/{id}/content": Route("/v1/artifacts/{artifact}/content", (R,), 200, 404),
    "HEAD /v1/artifacts/{id}/content": Route("/v1/artifacts/{artifact}/content", (R,), 200, 404),
    "GET /v1/artifacts/{id}/retrievals": Route("/v1/artifacts/{artifact}/retrievals", (R,), 200, 404),
    "HEAD /v1/artifacts/{id}/retrievals": Route("/v1/artifacts/{artifact}/retrievals", (R,), 200, 404),
    "GET /v1/artifacts/{id}/provenance": Route("/v1/artifacts/{artifact}/provenance", (R,), 200, 404),
    "HEAD /v1/artifacts/{id}/provenance": Route("/v1/artifacts/{artifact}/provenance", (R,), 200, 404),
    "GET /v1/artifacts/{id}/derived": Route("/v1/artifacts/{artifact}/derived", (R,), 200, 404),
    "HEAD /v1/artifacts/{id}/derived": Route("/v1/artifacts/{artifact}/derived", (R,), 200, 404),
    "GET /v1/artifacts/{id}/attestations": Route("/v1/artifacts/{artifact}/attestations", (R,), 200, 404),
    "HEAD /v1/artifacts/{id}/attestations": Route("/v1/artifacts/{artifact}/attestations", (R,), 200, 404),
    "POST /v1/artifacts/{id}/attestations": Route("/v1/artifacts/{artifact}/attestations", (W,), 201, 404, STATEMENT),
    "POST /v1/packages": Route("/v1/packages", (R, W), 201, 403, SEALING),
    "GET /v1/packages": Route("/v1/packages?namespace={namespace}", (R,), 200, 403),
    "HEAD /v1/packages": Route("/v1/packages?namespace={namespace}", (R,), 200, 403),
    "GET /v1/packages/{id}": Route("/v1/packages/{package}", (R,), 200, 404),
    "HEAD /v1/packages/{id}": Route("/v1/packages/{package}", (R,), 200, 404),
    "GET /v1/packages/{id}/manifest": Route("/v1/packages/{package}/manifest", (R,), 200, 404),
    "HEAD /v1/packages/{id}/manifest": Route("/v1/packages/{package}/manifest", (R,), 200, 404),
    "GET /v1/packages/{id}/export": Route("/v1/packages/{package}/export?format=oci", (R,), 200, 404),
    "HEAD /v1/packages/{id}/export": Route("/v1/packages/{package}/export?format=oci", (R,), 200, 404),
    "GET /v1/events": Route("/v1/events", (A,), 200, None, everywhere=True),
    "HEAD /v1/events": Route("/v1/events", (A,), 200, None, everywhere=True),
    "GET /v1/tokens": Route("/v1/tokens", (A,), 200, None, everywhere=True),
    "HEAD /v1/tokens": Route("/v1/tokens", (A,), 200, None, everywhere=True),
    "POST /v1/tokens": Route(
        "/v1/tokens", (A,), 201, None, {"name": "n", "scopes": ["read"], "namespaces": ["a"]}, everywhere=True
    ),
    "DELETE /v1/tokens/{id}": Route(f"/v1/tokens/{ABSENT}", (A,), 404, None, everywhere=True),
    "GET /metrics": Route("/metrics", (R,), 200, None, everywhere=True),
    "HEAD /metrics": Route("/metrics", (R,), 200, None, everywhere=True),
}


def asked(route: Route, about: dict[str, str]) -> tuple[str, dict[str, object]]:
    """The path and the rest of the request, with the names of what it is about in place."""
    facts = {**about, "hex": about["digest"].partition(":")[2]}

    def put(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: facts[match[1]], text)

    arguments: dict[str, object] = {"headers": {name: put(value) for name, value in route.headers}}
    if isinstance(route.body, bytes):
        arguments["data"] = route.body
    elif route.body is not None:
        arguments["json"] = json.loads(put(json.dumps(route.body)))
    return put(route.path), arguments


async def test_every_route_has_an_entry_here(store: Store) -> None:
    served = {
        f"{route.method} {re.sub(':[^}]*', '', route.resource.canonical)}"
        for route in create_app(store).router.routes()
        if route.resource is not None and route.method != "*" and route.resource.canonical not in OPEN
    }
    assert served == set(ROUTES)


@pytest.mark.parametrize("name", ROUTES)
async def test_a_route_asks_for_the_right_token(world: World, name: str) -> None:
    route, method = ROUTES[name], name.partition(" ")[0]
    path, arguments = asked(route, world.mine)

    async def refused(token: str | None, code: str) -> Answer:
        answer = await world.ask(token, method, path, **arguments)
        assert answer.status == {"unauthenticated": 401, "forbidden": 403}[code], answer.body
        assert method == "HEAD" or await answer.problem() == code
        return answer

    before = await world.store.registry.head()
    assert (await refused(None, "unauthenticated")).headers["WWW-Authenticate"] == "Bearer"
    await refused("ast_nonsense", "unauthenticated")
    unknown = f"ast_{'0' * 32}_{'A' * 43}"
    await refused(unknown, "unauthenticated")
    forged = await world.token(*route.scopes, namespaces=("*",))
    await refused(forged[:-1] + ("A" if forged[-1] != "A" else "B"), "unauthenticated")
    basic = {**arguments, "headers": {**arguments["headers"], "Authorization": f"Basic {forged}"}}  # type: ignore[dict-item]
    assert (await world.ask(None, method, path, **basic)).status == 401
    before += 1
    assert await world.store.registry.head() == before

    wide = ("*",) if route.everywhere else ("a",)
    for lacking in route.scopes:
        others = {R, W, D, "retention"} - {lacking}
        await refused(await world.token(*others, namespaces=wide), "forbidden")
    if route.everywhere:
        await refused(await world.token(*route.scopes, namespaces=("a", "b")), "forbidden")

    revoked = await world.token(*route.scopes, namespaces=wide)
    assert (await world.ask(revoked, "GET", "/v1/artifacts/" + ABSENT)).status in (403, 404)  # it is known now
    await world.store.revoke_token(UUID(hex=revoked.split("_")[1]))
    await refused(revoked, "unauthenticated")

    right = await world.token(*route.scopes, namespaces=wide)
    if route.elsewhere is not None and not route.everywhere:
        foreign_path, foreign_arguments = asked(route, world.foreign)
        answer = await world.ask(right, method, foreign_path, **foreign_arguments)
        assert answer.status == route.elsewhere, answer.body
        assert b'"items": [{' not in answer.body
    answer = await world.ask(right, method, path, **arguments)
    assert answer.status == route.status, answer.body


async def test_an_expired_token_is_none(world: World) -> None:
    issued = await world.store.issue_token(
        "brief",
        scopes=frozenset({"read"}),
        namespaces=frozenset({"a"}),
        expires_at=datetime.now(UTC) + timedelta(seconds=2),
    )
    assert (await world.ask(issued.text, "GET", "/v1/artifacts")).status == 200
    while (answer := await world.ask(issued.text, "GET", "/v1/artifacts")).status == 200:
        await asyncio.sleep(0.05)
    assert (answer.status, await answer.problem()) == (401, "unauthenticated")


@pytest.mark.parametrize("path", sorted(OPEN))
async def test_what_is_open_asks_for_none(world: World, path: str) -> None:
    assert (await world.ask(None, "GET", path)).status == 200


async def test_no_address_tells_an_unknown_caller_whether_it_is_one(world: World) -> None:
    assert (await world.ask(None, "GET", "/v2/nothing")).status == 401
    assert (await world.ask(await world.token("read"), "GET", "/v2/nothing")).status == 404


# --- no oracle --------------------------------------------------------------------------------------------------------


def told(answer: Answer, *named: str) -> tuple[object, ...]:
    """All of an answer but its time and its request's id, and without what the request itself named."""
    headers = {k: v for k, v in answer.headers.items() if k.lower() not in ("date", "x-request-id")}
    body = re.sub(rb'"request_id": "[^"]*"', b"", answer.body).decode()
    text = f"{sorted(headers.items())} {body}"
    for each in named:
        text = text.replace(each, "IT")
    return answer.status, text


@pytest.mark.parametrize("name", [name for name, route in ROUTES.items() if route.elsewhere is not None])
async def test_what_may_not_be_seen_is_answered_as_what_is_not_there(world: World, name: str) -> None:
    route, method = ROUTES[name], name.partition(" ")[0]
    absent = {
        "digest": blake3(b"nowhere"),
        "address": "c/file",
        "artifact": ABSENT,
        "package": "019a2c3e-0000-7000-8000-52c6a0b7e812",
        "namespace": "c",
    }
    for scopes in ((R,), (W,), (D,), (R, W, D)):
        token = await world.token(*scopes)
        answers = []
        for about in (world.foreign, absent):
            path, arguments = asked(route, about)
            answer = await world.ask(token, method, path, **arguments)
            answers.append(told(answer, *(about[key] for key in ("digest", "artifact", "package")), about["address"]))
        first, second = (
            (status, re.sub(r"the namespace [bc]\b|namespace=[bc]\b", "NS", str(text))) for status, text in answers
        )
        assert first == second


@pytest.mark.parametrize("expect", [False, True])
@pytest.mark.parametrize("method", ["PUT", "POST", "file"])
async def test_a_duplicate_of_what_may_not_be_seen_is_new(world: World, method: str, expect: bool) -> None:
    token = await world.token("read", "write")

    async def upload(data: bytes, name: str) -> tuple[bool, int, bool]:
        path = {"PUT": f"/v1/objects/{blake3(data)}", "POST": "/v1/objects", "file": f"/v1/files/a/{name}"}[method]
        wire = await connect(world.gateway)
        fields = [f"Authorization: Bearer {token}", "Artifact-Namespace: a", f"Content-Length: {len(data)}"]
        verb = "PUT" if method == "file" else method
        await wire.send(request(verb, path, *fields, *(["Expect: 100-continue"] if expect else [])))
        asked_for = False
        if expect:
            status, _ = await wire.head()
            asked_for = status == 100
            assert asked_for
        await wire.send(data)
        status, _, body = await wire.answer()
        await wire.close()
        return asked_for, status, json.loads(body)["created"]

    seen_by_nobody = await upload(b"never before", "one")
    assert await upload(FOREIGN, "two") == seen_by_nobody == (expect, 201, True)
    assert (await world.ask(token, "GET", f"/v1/objects/{blake3(FOREIGN)}")).body == FOREIGN
    if method == "POST":
        again = await world.ask(token, "POST", "/v1/objects", data=FOREIGN, headers={"Artifact-Namespace": "a"})
        assert again.status == 200


async def test_a_member_that_may_not_be_seen_is_missing(world: World) -> None:
    token = await world.token("read", "write")
    answers = []
    for source in (
        {"digest": blake3(FOREIGN)},
        {"digest": blake3(b"nowhere")},
        {"artifact": world.foreign["artifact"]},
        {"artifact": ABSENT},
    ):
        sealing = {"namespace": "a", "name": "n", "members": [{"name": "m", **source}]}
        answer = await world.ask(token, "POST", "/v1/packages", json=sealing)
        assert answer.status == 400
        answers.append(told(answer, *source.values()))
    assert answers[0] == answers[1]
    assert answers[2] == answers[3]
    recording = {"namespace": "a", "name": "n", "digest": blake3(FOREIGN)}
    assert (await world.ask(token, "POST", "/v1/artifacts", json=recording)).status == 404


async def test_lineage_and_search_tell_of_nothing_that_may_not_be_seen(world: World) -> None:
    provenance = json.dumps({"inputs": [{"artifact": world.mine["artifact"]}]})
    metadata = {"Artifact-Provenance": provenance}
    owner = await world.token("admin", namespaces=("*",))
    made = await world.ask(owner, "PUT", "/v1/files/b/derived", data=b"derived", headers=metadata)
    assert made.status == 201
    path = f"/v1/artifacts/{world.mine['artifact']}/derived"
    assert b"b" in (await world.ask(owner, "GET", path)).body
    seen = await (await world.ask(await world.token("read"), "GET", path)).json()
    assert str((await made.json())["id"]) not in json.dumps(seen)
    found = await (await world.ask(await world.token("read"), "GET", f"/v1/artifacts?digest={blake3(FOREIGN)}")).json()
    assert found["items"] == []


async def test_what_others_attach_to_the_same_bytes_is_theirs(world: World) -> None:
    token = await world.token("read", "write")
    mine = await (await world.ask(token, "PUT", "/v1/files/a/same", data=FOREIGN)).json()
    statement = json.dumps(STATEMENT).replace("{hex}", blake3(FOREIGN).partition(":")[2]).encode()
    await world.store.attest(UUID(world.foreign["artifact"]), statement)
    path = f"/v1/artifacts/{mine['id']}/attestations"
    assert (await (await world.ask(token, "GET", path)).json())["items"] == []
    attached = await world.ask(token, "POST", path, data=statement, headers={"Content-Type": "application/json"})
    assert attached.status == 201
    assert len((await (await world.ask(token, "GET", path)).json())["items"]) == 1  # type: ignore[arg-type]


async def test_content_in_memory_is_not_for_everybody(world: World) -> None:
    owner, other = await world.token("read", namespaces=("*",)), await world.token("read")
    for path in (
        f"/v1/objects/{world.foreign['digest']}",
        "/v1/files/b/file",
        f"/v1/artifacts/{world.foreign['artifact']}/content",
    ):
        assert (await world.ask(owner, "GET", path)).body == FOREIGN
        assert (await world.ask(other, "GET", path)).status in (403, 404)


async def test_a_tombstone_ends_what_a_name_gave(world: World) -> None:
    token = await world.token("read", "delete")
    assert (await world.ask(token, "GET", f"/v1/objects/{blake3(MINE)}")).status == 200
    assert (await world.ask(token, "DELETE", "/v1/files/a/file")).status == 204
    assert (await world.ask(token, "GET", f"/v1/objects/{blake3(MINE)}")).status == 404


async def test_tokens_of_one_name_do_not_share_keys(world: World) -> None:
    a, b = await world.token("write"), await world.token("write", namespaces=("b",))
    key = {"Idempotency-Key": "k"}
    first = await world.ask(a, "PUT", "/v1/files/a/keyed", data=b"1", headers=key)
    again = await world.ask(a, "PUT", "/v1/files/a/keyed", data=b"1", headers=key)
    assert (first.status, again.status, again.headers["Idempotency-Replayed"]) == (201, 201, "true")
    other = await world.ask(b, "PUT", "/v1/files/b/keyed", data=b"2", headers=key)
    assert (other.status, other.headers.get("Idempotency-Replayed")) == (201, None)


async def test_the_actor_is_the_token_and_no_secret_is_in_the_log(world: World) -> None:
    owner = await world.token("admin", namespaces=("*",), name="boss")
    body = {"name": "ci", "scopes": ["write"], "namespaces": ["a"]}
    issued = await (await world.ask(owner, "POST", "/v1/tokens", json=body)).json()
    secret = str(issued["token"])
    assert (await world.ask(secret, "PUT", "/v1/files/a/by-token", data=b"z")).status == 201
    assert (await world.ask(owner, "DELETE", f"/v1/tokens/{issued['id']}")).status == 200
    events = await world.store.events(limit=1000)
    assert [event.actor for event in events[-4:] if event.type in ("artifact.created", "token.revoked")]
    assert {event.actor for event in events if event.type == "token.revoked"} == {"token:boss"}
    assert "token:ci" in {event.actor for event in events}
    text = json.dumps([event.document() for event in events])
    assert secret.split("_", 2)[2] not in text
    assert owner.split("_", 2)[2] not in text
