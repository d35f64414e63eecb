"""The description against the gateway: what it says is what is answered, whatever is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

from artifactstore.api.openapi.document import document
from tests.http.conftest import Client
from tests.process import GatewayProcess

EXAMPLES = 10
#: What a value may break that a schema cannot say: it is well-formed for the schema, and refused all the same.
BEYOND_A_SCHEMA = {
    *("cursor", "name", "labels", "Artifact-Label", "provenance", "Repr-Digest", "Content-Digest"),
    *("members", "producer", "related", "label", "completeness_note"),  # of a package
}
BEYOND_A_SCHEMA |= {"media_type", "created_after", "created_before", "expires_at"}


def closed(node: Any) -> Any:
    """The description with every record closed: a member that it does not name is a failure of the test."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: closed(value) for key, value in node.items()}
    if found.get("type") == "object" and "properties" in found:
        found.setdefault("additionalProperties", False)
    return found


def accepts_what_the_schema_allows(_context: Any, response: Any, case: Any) -> None:
    """400 tells of a value that cannot be meant, so that it answers no well-formed request."""
    if response.status_code == 400 and case.meta.generation.mode is GenerationMode.POSITIVE and response.content:
        problem = response.json()
        if problem["type"].endswith(":invalid-statement"):  # what a statement is, is in-toto's to say
            return
        assert re.split(r"[.\[]", problem.get("field", ""))[0] in BEYOND_A_SCHEMA, problem


#: What is taken only when it is right about the object in the address.
NOT_BY_CHANCE = {"PUT /v1/objects/{digest}", "POST /v1/artifacts/{id}/attestations"}

CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    accepts_what_the_schema_allows,
]
CONFIGURATION = schemathesis.Config.from_dict(
    {"checks": {"negative_data_rejection": {"expected-statuses": [400, 404, 409, 412, 414, 415, 416, 417, 422, 431]}}}
)
OPERATIONS: list[Any] = [
    found.ok()  # type: ignore[union-attr]  # an Err has no ok(): a description that is wrong stops the collection
    for found in schemathesis.openapi.from_dict(
        closed(json.loads(json.dumps(document()))), config=CONFIGURATION
    ).get_all_operations()
]
MODES = [
    pytest.param(operation, mode, id=f"{operation.label}, {mode.value}")
    for operation in OPERATIONS
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or list(operation.iter_parameters())  # what takes nothing cannot be given wrong
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    process = GatewayProcess(tmp_path_factory.mktemp("described") / "root")
    yield process.url
    process.stop()


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        yield opened


@pytest.fixture
def stored(url: str, session: requests.Session) -> dict[str, str]:
    """What addresses may name: an artifact, and an object of no artifact, that are there when the test begins."""
    artifact = session.put(f"{url}/v1/files/default/reports%2Ftoday.txt", b"all is well\n").json()
    free = session.post(f"{url}/v1/objects", b"of no artifact").json()
    sealing: Any = {"namespace": "default", "name": "run", "members": [{"artifact": artifact["id"]}]}
    package = session.post(f"{url}/v1/packages", json=sealing).json()
    wanted: Any = {"name": "reader", "scopes": ["read"], "namespaces": ["default"]}
    token = session.post(f"{url}/v1/tokens", json=wanted).json()
    return {
        "token": token["id"],
        "id": artifact["id"],
        "package": package["id"],
        "namespace": "default",
        "name": artifact["name"],
        "digest": free["sha256"],
    }


def explore(operation: Any, mode: GenerationMode, url: str, session: requests.Session, **known: Any) -> set[int]:
    """Ask for generated things, the same each time, check the answers, and tell which statuses there were."""
    seen = set()

    @settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=HealthCheck)
    @given(case=operation.as_strategy(mode, **known))
    def ask(case: Any) -> None:
        seen.add(case.call_and_validate(base_url=url, session=session, checks=CHECKS).status_code)

    ask()
    return seen


@pytest.mark.usefixtures("stored")  # so that no page is empty
@pytest.mark.parametrize(("operation", "mode"), MODES)
def test_answers_are_as_described(operation: Any, mode: GenerationMode, url: str, session: requests.Session) -> None:
    assert explore(operation, mode, url, session)


@pytest.mark.parametrize("operation", [pytest.param(each, id=each.label) for each in OPERATIONS if "{" in each.path])
def test_answers_about_what_is_there_are_as_described(
    operation: Any, url: str, session: requests.Session, stored: dict[str, str]
) -> None:
    address = {name: value for name, value in stored.items() if f"{{{name}}}" in operation.path}
    if operation.path.startswith("/v1/packages/"):
        address["id"] = stored["package"]
    if operation.path.startswith("/v1/tokens/"):
        address["id"] = stored["token"]
    seen = explore(operation, GenerationMode.POSITIVE, url, session, path_parameters=address)
    assert any(200 <= status < 300 for status in seen) or operation.label in NOT_BY_CHANCE, seen


async def test_the_description_is_served(http: Client) -> None:
    answer = await http("GET", "/openapi.json")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert await answer.json() == document()


async def test_the_page_may_load_nothing(http: Client) -> None:
    answer = await http("GET", "/docs")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
