"""The description against the gateway: what it says is what is answered, whatever is asked."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

from artifactstore.api.openapi.document import document
from tests.process import GatewayProcess

EXAMPLES = 20
DESCRIPTION: dict[str, Any] = json.loads(json.dumps(document()))


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


OPERATIONS = [found.ok() for found in schemathesis.openapi.from_dict(closed(DESCRIPTION)).get_all_operations()]
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.positive_data_acceptance,
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
def stored(url: str) -> dict[str, str]:
    """What paths may name: an artifact, and an object, that are there when the test begins."""
    request = urllib.request.Request(f"{url}/v1/files/default/reports%2Ftoday.txt", b"all is well\n", method="PUT")
    with urllib.request.urlopen(request) as answer:
        artifact = json.load(answer)
    request = urllib.request.Request(f"{url}/v1/objects", b"without a name", method="POST")
    with urllib.request.urlopen(request) as answer:
        digest = json.load(answer)["blake3"]
    return {"digest": digest, "id": artifact["id"], "namespace": "default", "name": "reports/today.txt"}


@pytest.mark.parametrize(
    ("operation", "mode"),
    [
        pytest.param(operation, mode, id=f"{operation.label}, {mode.value}")
        for operation in OPERATIONS
        for mode in GenerationMode
        if mode is GenerationMode.POSITIVE or list(operation.iter_parameters())
    ],
)
def test_the_gateway_answers_as_described(
    operation: Any, mode: GenerationMode, url: str, session: requests.Session
) -> None:
    @settings(max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=HealthCheck)
    @given(case=operation.as_strategy(mode))
    def check(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=url, session=session, checks=CHECKS)

    check()
