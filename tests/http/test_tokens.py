"""Tokens on real sockets: every route under every kind of token, and nothing told of what may not be read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from uuid_utils.compat import uuid7

from artifactstore.api.http import create_app
from artifactstore.domain.digest import Digest
from artifactstore.domain.token import Scope
from artifactstore.hashing import dual_digest
from artifactstore.spi import StoredObject
from tests.conftest import Gateway, GatewayFactory
from tests.http.conftest import Answer, Client
from tests.http.wire import connect, request

SECRET = b"the foreign namespace's bytes"
FOREIGN = Digest.blake3(dual_digest(SECRET).blake3)
FOREIGN_SHA256 = Digest.parse("sha256:" + hashlib.sha256(SECRET).hexdigest())
NOWHERE = Digest.blake3(dual_digest(b"bytes that nobody has").blake3)

OPEN = {("GET", path) for path in ("/", "/health", "/health/ready", "/health/live", "/openapi.json", "/docs")}
#: Every other route: an address in the namespace `mine`, the scope that it takes, and whether in every namespace.
ROUTES: dict[tuple[str, str], tuple[str, Scope, bool]] = {
    ("GET", "/metrics"): ("/metrics", Scope.READ, True),
    ("POST", "/v1/objects"): ("/v1/objects", Scope.WRITE, False),
    ("PUT", "/v1/objects/{digest}"): ("/v1/objects/{object}", Scope.WRITE, False),
    ("GET", "/v1/objects/{digest}"): ("/v1/objects/{object}", Scope.READ, False),
    ("DELETE", "/v1/objects/{digest}"): ("/v1/objects/{nowhere}", Scope.DELETE, True),
    ("POST", "/v1/objects/{digest}/verify"): ("/v1/objects/{object}/verify", Scope.READ, False),
    ("PUT", "/v1/files/{address}"): ("/v1/files/mine/new", Scope.WRITE, False),
    ("GET", "/v1/files/{address}"): ("/v1/files/mine/name", Scope.READ, False),
    ("DELETE", "/v1/files/{address}"): ("/v1/files/mine/other", Scope.DELETE, False),
    ("GET", "/v1/artifacts"): ("/v1/artifacts?namespace=mine", Scope.READ, False),
    ("POST", "/v1/artifacts"): ("/v1/artifacts", Scope.WRITE, False),
    ("GET", "/v1/artifacts/{id}"): ("/v1/artifacts/{id}", Scope.READ, False),
    ("PATCH", "/v1/artifacts/{id}"): ("/v1/artifacts/{id}", Scope.WRITE, False),
    ("GET", "/v1/artifacts/{id}/content"): ("/v1/artifacts/{id}/content", Scope.READ, False),
    ("GET", "/v1/artifacts/{id}/retrievals"): ("/v1/artifacts/{id}/retrievals", Scope.READ, False),
    ("GET", "/v1/artifacts/{id}/provenance"): ("/v1/artifacts/{id}/provenance", Scope.READ, False),
    ("GET", "/v1/artifacts/{id}/derived"): ("/v1/artifacts/{id}/derived", Scope.READ, False),
    ("GET", "/v1/artifacts/{id}/attestations"): ("/v1/artifacts/{id}/attestations", Scope.READ, False),
    ("POST", "/v1/artifacts/{id}/attestations"): ("/v1/artifacts/{id}/attestations", Scope.WRITE, False),
    ("POST", "/v1/packages"): ("/v1/packages", Scope.WRITE, False),
    ("GET", "/v1/packages"): ("/v1/packages?namespace=mine", Scope.READ, False),
    ("GET", "/v1/packages/{id}"): ("/v1/packages/{package}", Scope.READ, False),
    ("GET", "/v1/packages/{id}/manifest"): ("/v1/packages/{package}/manifest", Scope.READ, False),
    ("GET", "/v1/packages/{id}/export"): ("/v1/packages/{package}/export?format=oci", Scope.READ, False),
    ("GET", "/v1/events"): ("/v1/events", Scope.ADMIN, True),
    ("GET", "/v1/tokens"): ("/v1/tokens", Scope.ADMIN, True),
    ("POST", "/v1/tokens"): ("/v1/tokens", Scope.ADMIN, True),
    ("DELETE", "/v1/tokens/{id}"): ("/v1/tokens/{token}", Scope.ADMIN, True),
}


@pytest.fixture
async def guarded(start_gateway: GatewayFactory) -> Gateway:
    return await start_gateway(tokens="required")


@pytest.fixture
async def http(guarded: Gateway) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, guarded.url)


async def token(gateway: Gateway, *scopes: str, within: str = "mine", until: datetime | None = None) -> str:
    issued = await gateway.store.issue_token("ci", scopes=scopes, namespaces=[within], expires_at=until)
    return issued.text


def bearer(text: str, **headers: str) -> dict[str, Any]:
    return {"headers": {"Authorization": f"Bearer {text}", **headers}}


@pytest.fixture
async def places(guarded: Gateway) -> dict[str, str]:
    store = guarded.store
    artifact, _ = await store.put_file("mine", "name", b"mine")
    await store.put_file("mine", "other", b"mine, too")
    stored: StoredObject = await store.put_object(b"bare", namespace="mine")
    from artifactstore.domain.package import MemberSource

    package, _ = await store.seal_package("mine", "sealed", [MemberSource(artifact.id)])
    spare = await store.issue_token("spare", scopes=["read"], namespaces=["mine"])
    return {
        "id": str(artifact.id),
        "object": str(stored.identity.blake3),
        "package": str(package.id),
        "token": str(spare.token.id),
        "nowhere": str(NOWHERE),
    }


def test_every_route_has_its_row(guarded: Gateway) -> None:
    served = {
        (route.method, route.resource.canonical)
        for route in create_app(guarded.store).router.routes()
        if route.resource is not None and route.method not in ("*", "HEAD")
    }
    assert served == OPEN | set(ROUTES)


async def test_open_routes_need_none(http: Client) -> None:
    for method, path in sorted(OPEN):
        assert (await http(method, path)).status == 200, path


@pytest.mark.parametrize(("method", "route"), [pytest.param(*each, id=" ".join(each)) for each in ROUTES])
async def test_every_route_under_every_token(
    guarded: Gateway, http: Client, places: dict[str, str], method: str, route: str
) -> None:
    template, scope, everywhere = ROUTES[method, route]
    path = template.format(**places)

    async def refused(status: int, code: str, arguments: dict[str, Any]) -> None:
        answer = await http(method, path, **arguments)
        assert (answer.status, await answer.problem()) == (status, code), arguments
        assert answer.headers.get("WWW-Authenticate") == ("Bearer" if status == 401 else None)

    good = await token(guarded, scope, within="*" if everywhere else "mine")
    revoked = await token(guarded, scope, within="*")
    await http(method, path, **bearer(revoked, **{"Artifact-Namespace": "mine"}))  # known, and in memory
    await guarded.store.revoke_token(UUID(hex=revoked.split("_")[1]))
    await refused(401, "unauthenticated", {})
    for wrong in ("nonsense", f"ast_{uuid7().hex}_{'a' * 43}", good[:-1] + ("A" if good[-1] != "A" else "B"), revoked):
        await refused(401, "unauthenticated", bearer(wrong))
    await refused(401, "unauthenticated", {"headers": {"Authorization": f"Basic {good}"}})
    for other in set(Scope) - {scope, Scope.ADMIN}:
        if (method, route, other) == ("POST", "/v1/packages", Scope.READ):
            continue
        arguments = bearer(await token(guarded, other, within="*"), **{"Artifact-Namespace": "mine"})
        if method in ("POST", "PATCH") and "objects" not in route and route not in ("/v1/tokens",):
            continue  # what the body names decides: each has a test of its own
        await refused(403, "forbidden", arguments)
    answer = await http(method, path, **bearer(good, **{"Artifact-Namespace": "mine"}))
    assert answer.status not in (401, 403), answer.body
    elsewhere = await http(method, path, **bearer(await token(guarded, scope, within="yours")))
    allowed = {400, 404, 415} if "{" in template or "?" not in template else set()
    assert elsewhere.status in {403, *allowed} or (method, route) == ("PUT", "/v1/objects/{digest}"), elsewhere.body


async def test_an_expired_token_opens_nothing(guarded: Gateway, http: Client) -> None:
    import asyncio

    text = await token(guarded, "read", until=datetime.now(UTC) + timedelta(milliseconds=300))
    assert (await http("GET", "/v1/files/mine/name", **bearer(text))).status in (404, 401)
    await asyncio.sleep(0.35)
    assert await (await http("GET", "/v1/files/mine/name", **bearer(text))).problem() == "unauthenticated"


# --- no oracle ----------------------------------------------------------------------------------------------------


def told(answer: Answer, subject: str) -> tuple[int, dict[str, str], bytes]:
    """A whole answer but for what differs between any two."""
    headers = {name: value for name, value in answer.headers.items() if name.lower() not in ("date", "x-request-id")}
    body = answer.body.replace(subject.encode(), b"SUBJECT")
    body = re.sub(rb"[0-9a-f]{8}-[0-9a-f-]{27}", b"ID", body)
    headers = {name: value.replace(subject, "SUBJECT") for name, value in headers.items()}
    return answer.status, headers, body


@pytest.mark.parametrize(
    ("method", "template", "document"),
    [
        ("GET", "/v1/objects/{}", None),
        ("HEAD", "/v1/objects/{}", None),
        ("DELETE", "/v1/objects/{}", None),
        ("POST", "/v1/objects/{}/verify", None),
        ("GET", "/v1/artifacts?digest={}", None),
        ("PUT", "/v1/objects/{}", b"other bytes"),
        ("POST", "/v1/artifacts", {"namespace": "mine", "name": "n", "digest": "{}"}),
        ("POST", "/v1/packages", {"namespace": "mine", "name": "n", "members": [{"name": "m", "digest": "{}"}]}),
    ],
)
async def test_a_foreign_object_is_as_one_that_is_not_there(
    guarded: Gateway, http: Client, method: str, template: str, document: Any
) -> None:
    await guarded.store.put_file("theirs", "name", SECRET)
    text = await token(guarded, "read", "write", "delete")
    import json

    answers = []
    for digest in (FOREIGN, NOWHERE):
        arguments = bearer(text, **{"Artifact-Namespace": "mine"})
        if isinstance(document, bytes):
            arguments["data"] = document
        elif document is not None:
            arguments["data"] = json.dumps(document).replace("{}", str(digest)).encode()
            arguments["headers"]["Content-Type"] = "application/json"
        answers.append(told(await http(method, template.format(digest), **arguments), str(digest)))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("suffix", ["", "/content", "/retrievals", "/provenance", "/derived", "/attestations"])
async def test_a_foreign_artifact_is_as_one_that_is_not_there(guarded: Gateway, http: Client, suffix: str) -> None:
    artifact, _ = await guarded.store.put_file("theirs", "name", SECRET)
    text = await token(guarded, "read", "write")
    foreign, nowhere = [
        told(await http("GET", f"/v1/artifacts/{each}{suffix}", **bearer(text)), str(each))
        for each in (artifact.id, uuid7())
    ]
    assert foreign == nowhere
    assert foreign[0] == 404


async def test_a_foreign_duplicate_is_asked_for_and_behaves_as_new(guarded: Gateway, http: Client) -> None:
    await guarded.store.put_object(SECRET, namespace="theirs")
    text = await token(guarded, "read", "write")
    fields = (f"Authorization: Bearer {text}", "Artifact-Namespace: mine", f"Content-Length: {len(SECRET)}")
    for expected in ((100, 201), (200,)):  # at first its bytes are wanted; then it is theirs as well
        wire = await connect(guarded)
        await wire.send(request("PUT", f"/v1/objects/{FOREIGN_SHA256}", *fields, "Expect: 100-continue"))
        statuses = [(await wire.head())[0]]
        if statuses == [100]:
            await wire.send(SECRET)
            statuses.append((await wire.head())[0])
        await wire.close()
        assert tuple(statuses) == expected
    assert (await http("GET", f"/v1/objects/{FOREIGN}", **bearer(text))).body == SECRET


async def test_what_a_limited_holder_does_has_its_name(guarded: Gateway, http: Client) -> None:
    text = await token(guarded, "write")
    answer = await http("PUT", "/v1/files/mine/name", data=b"x", **bearer(text))
    assert answer.status == 201
    assert (await guarded.store.events())[-1].actor == "token:ci"
    log = str([event.document() for event in await guarded.store.events()])
    assert text.rsplit("_", 1)[1] not in log
