"""The whole description, put together from its resources."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache

import artifactstore
from artifactstore.api.fields import EVERY_ANSWER, REQUEST_ID
from artifactstore.api.openapi import (
    artifacts,
    common,
    events,
    files,
    objects,
    packages,
    refusals,
    service,
    statements,
    tokens,
)
from artifactstore.api.openapi.parts import Json, headers
from artifactstore.domain import errors

RESOURCES = (service, objects, files, artifacts, statements, packages, events, tokens)

_ABOUT = """A generic artifact registry and storage gateway: content-addressed, durable, provable.

Answers are JSON unless they are content. Errors are problem documents (RFC 9457): `type` is stable, `detail` says what
to do, `field` names what is at fault. HEAD is answered wherever GET is, without the body."""

_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "`Authorization: Bearer TOKEN`, where the gateway requires tokens (docs/operations.md).",
}

#: What is answered without a token.
_OPEN = ("/", "/health", "/health/ready", "/health/live", "/openapi.json", "/docs")

#: What HEAD has not: ranges are of GET alone (RFC 9110, 14.2).
_OF_RANGES = ("206", "416")
_RANGE_FIELDS = ("#/components/parameters/Range", "#/components/parameters/If-Range")


@cache
def document() -> Json:
    """The description, as JSON values. It is made once: do not change it."""
    paths = {
        path: _with_heads(resource.TAG["name"], _guarded(path, item))
        for resource in RESOURCES
        for path, item in resource.PATHS.items()
    }
    found: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "artifact-store",
            "version": artifactstore.__version__,
            "summary": "A generic artifact registry and storage gateway",
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}],
        "tags": [resource.TAG for resource in RESOURCES],
        "paths": paths,
        "components": {
            "schemas": {**common.SCHEMAS, **{k: v for resource in RESOURCES for k, v in resource.SCHEMAS.items()}},
            "parameters": common.PARAMETERS,
            "headers": common.HEADERS,
            "responses": {
                "NoSuchAddress": refusals.answers([errors.NotFoundError])[404],
                "NoSuchMethod": {**refusals.answers(["method-not-allowed"])[405], "headers": headers("Allow")},
            },
            "securitySchemes": {"bearer": _BEARER},
        },
    }
    _complete(found)
    return found


def _guarded(path: str, item: Json) -> Json:
    """The path's operations, each with what it answers to who has no token, or has one that does not grant it."""
    found = deepcopy(item)
    for method, operation in found.items():
        if method == "parameters":
            continue
        if path in _OPEN:
            operation["security"] = []
            continue
        told = refusals.answers([errors.UnauthenticatedError, errors.ForbiddenError])
        responses = {**operation["responses"], **{str(status): each for status, each in told.items()}}
        responses["401"]["headers"] = headers("WWW-Authenticate")
        operation["responses"] = {status: responses[status] for status in sorted(responses)}
    return found


def _with_heads(tag: str, item: Json) -> Json:
    """The path's operations with their tag, and a HEAD beside a GET."""
    found = deepcopy(item)
    if "get" in found:
        found["head"] = _head(found["get"])
    for method, operation in found.items():
        if method != "parameters":
            operation["tags"] = [tag]
    return found


def _head(get: Json) -> Json:
    """The same without content, and without ranges."""
    head = deepcopy(get)
    identifier = get["operationId"]
    noun = identifier.removeprefix("get")
    head["operationId"] = f"head{noun[0].upper()}{noun[1:]}"
    head["parameters"] = [item for item in head.get("parameters", ()) if item.get("$ref") not in _RANGE_FIELDS]
    head["responses"] = {status: item for status, item in head["responses"].items() if status not in _OF_RANGES}
    for answer in head["responses"].values():
        answer.pop("content", None)
    return head


def _complete(found: Json) -> None:
    """Give every answer what every answer has, and the problems that are referred to their schemas."""
    answers = [
        answer
        for item in found["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
        for answer in operation["responses"].values()
    ]
    for answer in [*answers, *found["components"]["responses"].values()]:
        answer["headers"] = {**answer.get("headers", {}), **headers(*EVERY_ANSWER, REQUEST_ID)}
    text = json.dumps(found)
    schemas = found["components"]["schemas"]
    schemas |= {name: schema for name, schema in refusals.schemas().items() if f'/schemas/{name}"' in text}
