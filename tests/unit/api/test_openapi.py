"""The description by itself: well-formed, whole, and of one mind with the routes, the errors and the rules."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import OpenAPIV31SpecValidator

from artifactstore.api.http import create_app
from artifactstore.api.openapi import common, page, refusals
from artifactstore.api.openapi.document import document
from artifactstore.domain import names
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import ArtifactStoreError
from artifactstore.store import Store

DESCRIPTION: dict[str, Any] = json.loads(json.dumps(document()))
SCHEMAS: dict[str, Any] = DESCRIPTION["components"]["schemas"]
OPERATIONS = [
    (method, path, operation)
    for path, item in DESCRIPTION["paths"].items()
    for method, operation in item.items()
    if method != "parameters"
]


def references(node: Any) -> set[str]:
    if isinstance(node, list):
        return set().union(*map(references, node))
    if isinstance(node, dict):
        own = {node["$ref"]} if isinstance(node.get("$ref"), str) else set()
        return own.union(*map(references, node.values()))
    return set()


def test_it_is_openapi() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(DESCRIPTION).iter_errors()] == []
    assert DESCRIPTION["openapi"].startswith("3.1.")


def test_every_route_is_described_and_nothing_else(store: Store) -> None:
    served = {
        (route.method.lower(), route.resource.canonical.replace("{address}", "{namespace}/{name}"))
        for route in create_app(store).router.routes()
        if route.resource is not None and route.method != "*"
    }
    assert {(method, path) for method, path, _ in OPERATIONS} == served


def test_every_operation_has_a_name_of_its_own() -> None:
    identifiers = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(set(identifiers)) == len(identifiers)
    assert all(re.fullmatch(r"[a-z][A-Za-z]+", identifier) for identifier in identifiers)


def test_every_reference_leads_somewhere_and_every_component_is_referred_to() -> None:
    named = {
        f"#/components/{kind}/{name}"
        for kind in ("schemas", "parameters", "headers")
        for name in DESCRIPTION["components"][kind]
    }
    assert references(DESCRIPTION) == named


@pytest.mark.parametrize("name", [name for name, schema in SCHEMAS.items() if "examples" in schema])
def test_examples_are_what_their_schemas_allow(name: str) -> None:
    whole = {"$ref": f"#/components/schemas/{name}", "components": DESCRIPTION["components"]}
    validator = jsonschema_rs.validator_for(whole, validate_formats=True)
    for example in SCHEMAS[name]["examples"]:
        validator.validate(example)


def matches(pattern: str, text: str) -> bool:
    """As a schema means it: `$` is the end, and not what stands before a last line break, too."""
    return re.search(pattern.removesuffix("$") + r"\Z", text) is not None


def allows(schema: str, text: str) -> bool:
    rules = SCHEMAS[schema]
    return matches(rules["pattern"], text) and len(text) <= rules.get("maxLength", len(text))


@pytest.mark.parametrize(
    ("schema", "check"),
    [
        ("Namespace", names.check_namespace),
        ("Name", names.check_name),
        ("Word", names.check_kind),
        ("Word", names.check_retention),
        ("Digest", Digest.parse),
    ],
)
@given(data=st.data())
def test_patterns_are_the_rules_of_the_domain(schema: str, check: Any, data: st.DataObject) -> None:
    pieces = st.sampled_from(["a", "Z", "0", ".", "..", "/", "-", "_", " ", "\x00", "\x85", "é", "blake3:", "0" * 64])
    text = data.draw(st.lists(pieces, max_size=70).map("".join) | st.from_regex(SCHEMAS[schema]["pattern"]))
    try:
        check(text)
    except ArtifactStoreError:
        assert not allows(schema, text) or len(text.encode()) > names.MAX_NAME_BYTES
    else:
        assert allows(schema, text)


def test_a_prefix_is_described_as_the_domain_takes_it() -> None:
    for text in ("", "a/", "..", "/", "\x00", "a\x85", "a\n", "é"):
        try:
            names.check_name_prefix(text)
        except ArtifactStoreError:
            assert not matches(common.PREFIX, text)
        else:
            assert matches(common.PREFIX, text)


def test_a_problem_has_the_status_of_its_error() -> None:
    for code, status in (("digest-mismatch", 422), ("bad-request", 400), ("storage-full", 507)):
        properties = refusals.schemas()[refusals.schema_name(code)]["properties"]
        assert properties["type"]["const"] == f"urn:artifact-store:problem:{code}"
        assert properties["status"]["const"] == status


class Page(HTMLParser):
    """The anchors, the links and the elements of a page, and whether they close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: list[str] = []
        self.links: set[str] = set()
        self.elements: set[str] = set()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        values = dict(attrs)
        assert not {"style", "src"} & set(values)
        if name := values.get("id"):
            self.anchors.append(name)
        if link := values.get("href"):
            self.links.add(link)
        if tag not in ("meta", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_tells_of_everything_and_loads_nothing() -> None:
    read = Page(page.html().decode())
    assert read.open == []
    assert len(set(read.anchors)) == len(read.anchors)
    assert {link.removeprefix("#") for link in read.links} - {"/openapi.json"} <= set(read.anchors)
    assert {each["operationId"] for method, _, each in OPERATIONS if method != "head"} <= set(read.anchors)
    assert set(SCHEMAS) <= set(read.anchors)
    assert not read.elements & {"script", "link", "img", "iframe", "form", "base", "object"}
    assert "url(" not in page.html().decode()
