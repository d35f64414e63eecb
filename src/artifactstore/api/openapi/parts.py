"""What descriptions are built of: references, schemas, parameters, headers, answers, operations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from artifactstore.api.openapi import refusals
from artifactstore.api.openapi.refusals import Refusal

type Json = dict[str, Any]

JSON = "application/json"
ANY = "*/*"


def ref(kind: str, name: str) -> Json:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def schema(name: str) -> Json:
    """A reference to a schema."""
    return ref("schemas", name)


def headers(*names: str, **renamed: str) -> Json:
    """Header fields of an answer: components of their own name, or `ETag="RevisionETag"`."""
    return {
        name: ref("headers", component) for name, component in {**{each: each for each in names}, **renamed}.items()
    }


def parameters(*names: str) -> list[Json]:
    """Parameters that several operations share."""
    return [ref("parameters", name) for name in names]


def record(description: str, properties: Json, *, optional: Collection[str] = (), example: Json | None = None) -> Json:
    """The schema of an object whose members are all there, but for the optional ones."""
    found: Json = {
        "type": "object",
        "description": description,
        "properties": properties,
        "required": [name for name in properties if name not in optional],
    }
    if example is not None:
        found["examples"] = [example]
    return found


def closed(rules: Json) -> Json:
    """The same record, which has no other members."""
    return {**rules, "additionalProperties": False}


def text(description: str, **rules: Any) -> Json:
    """The schema of a text."""
    return {"type": "string", "description": description, **rules}


def whole(description: str, least: int = 0, **rules: Any) -> Json:
    """The schema of a whole number."""
    return {"type": "integer", "minimum": least, "description": description, **rules}


def flag(description: str) -> Json:
    """The schema of a truth value."""
    return {"type": "boolean", "description": description}


def or_null(inner: Json) -> Json:
    """The schema, or null."""
    if "$ref" in inner:
        return {"anyOf": [inner, {"type": "null"}]}
    return {**inner, "type": [inner["type"], "null"]}


def page(description: str, item: str, following: Json) -> Json:
    """The schema of a page of items."""
    return record(description, {"items": {"type": "array", "items": schema(item)}, "next": following})


def parameter(
    place: str, name: str, description: str, rules: Json, *, example: Any = None, encoded: bool = False
) -> Json:
    """A parameter: `place` is path, query or header."""
    found: Json = {"name": name, "in": place, "description": description, "schema": rules}
    if place == "path":
        found["required"] = True
    if example is not None:
        found["example"] = example
    return found


def query(name: str, description: str, rules: Json, *, example: Any = None) -> Json:
    """A query parameter."""
    return parameter("query", name, description, rules, example=example)


def field(name: str, description: str, rules: Json | None = None, *, example: str | None = None) -> Json:
    """A request's header field."""
    return parameter("header", name, description, rules or {"type": "string"}, example=example)


def answer(description: str, body: Json | None = None, *, media_type: str = JSON, headers: Json | None = None) -> Json:
    """An answer; `body` is the schema of its content, None for an empty one."""
    found: Json = {"description": description}
    if headers:
        found["headers"] = headers
    if body is not None:
        found["content"] = {media_type: {"schema": body}}
    return found


def binary(description: str) -> Json:
    """A request's body: bytes of any kind and any length."""
    return {"description": description, "content": {ANY: {}}}


def document(description: str, rules: Json, *media_types: str) -> Json:
    """A request's body: a JSON document, which must be there."""
    content = {media_type: {"schema": rules} for media_type in media_types or (JSON,)}
    return {"description": description, "required": True, "content": content}


def operation(
    identifier: str,
    summary: str,
    *,
    answers: Mapping[int, Json],
    description: str | None = None,
    parameters: Iterable[Json] = (),
    body: Json | None = None,
    refused: Iterable[Refusal] = (),
) -> Json:
    """An operation: its answers, and what it is refused with besides what every request may be."""
    found: Json = {"operationId": identifier, "summary": summary}
    if description is not None:
        found["description"] = description
    if given := list(parameters):
        found["parameters"] = given
    if body is not None:
        found["requestBody"] = body
    responses = {**refusals.answers([*refused, *refusals.ANY_REQUEST]), **answers}
    found["responses"] = {str(status): responses[status] for status in sorted(responses)}
    return found
