"""`/v1/tokens`: issued, listed, revoked."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

from aiohttp import hdrs, web

from artifactstore.api import queries
from artifactstore.api.documents import read_json
from artifactstore.api.fields import parse_id
from artifactstore.api.keys import store_of
from artifactstore.domain.bounded_json import Node
from artifactstore.domain.documents import token_document
from artifactstore.domain.errors import InvalidInputError, InvalidMetadataError
from artifactstore.domain.times import parse_time
from artifactstore.domain.token import MAX_NAMESPACES, Scope

_MAX_TEXT = 1024  # of a member, before its own rules are looked at


async def post(request: web.Request) -> web.Response:
    """Put a new token in force. Its text is in this answer and nowhere else."""
    store = store_of(request)
    store.caller.require(Scope.ADMIN)  # before the body is asked for
    members = (await read_json(request, error=InvalidMetadataError)).members(
        ("name", "scopes", "namespaces"), ("expires_at",)
    )
    until = members.get("expires_at")
    issued = await store.issue_token(
        _text(members["name"]),
        scopes=[_text(node) for node in members["scopes"].items(least=1, most=len(Scope))],
        namespaces=[_text(node) for node in members["namespaces"].items(least=1, most=MAX_NAMESPACES)],
        expires_at=None if until is None or until.value is None else until.checked(_time),
    )
    return web.json_response(
        {**token_document(issued.token), "token": issued.text},
        status=HTTPStatus.CREATED,
        headers={hdrs.CACHE_CONTROL: "no-store"},
    )


def _time(text: str) -> datetime:
    return parse_time(text, field="expires_at")


def _text(node: Node) -> str:
    return node.text(most_bytes=_MAX_TEXT)


async def listing(request: web.Request) -> web.Response:
    """The tokens after `after`, in the order of their issue; `next` is where the following page begins."""
    values = queries.parameters(request, ("after", "limit"))
    page = await store_of(request).tokens(
        after=queries.number(values, "after", 0, least=0, most=2**53 - 1), limit=queries.page_size(values)
    )
    return web.json_response({"items": [token_document(item) for item in page.items], "next": page.next})


async def delete(request: web.Request) -> web.Response:
    """Put a token out of force; its record, which stays."""
    token_id = parse_id(request.match_info["id"], "a token's id", InvalidInputError)
    return web.json_response(token_document(await store_of(request).revoke_token(token_id)))
