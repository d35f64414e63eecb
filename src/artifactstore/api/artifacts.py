"""`/v1/artifacts`: records, searched and one by one."""

from __future__ import annotations

from http import HTTPStatus
from uuid import UUID

from aiohttp import hdrs, web

from artifactstore.api import files, queries
from artifactstore.api.conditional import parse_tags
from artifactstore.api.fields import joined
from artifactstore.api.keys import store_of
from artifactstore.domain.documents import artifact_document, retrievals_document
from artifactstore.domain.errors import InvalidInputError

_SEARCH = ("namespace", "name", "name_prefix", "limit", "cursor")


def _artifact_id(request: web.Request) -> UUID:
    text = request.match_info["id"]
    try:
        parsed = UUID(text)
    except ValueError:
        parsed = None
    if parsed is None or str(parsed) != text.lower():  # UUID() takes braces and urn: too
        raise InvalidInputError("an artifact's id is a UUID, 8-4-4-4-12 hexadecimal digits", field="id")
    return parsed


async def search(request: web.Request) -> web.Response:
    """A page of artifacts."""
    values = queries.parameters(request, _SEARCH)
    page = await store_of(request).artifacts(
        namespace=values.get("namespace"),
        name=values.get("name"),
        name_prefix=values.get("name_prefix"),
        limit=queries.page_size(values),
        cursor=values.get("cursor"),
    )
    answer = web.json_response({"items": [artifact_document(item) for item in page.items], "next": page.next})
    if page.next is not None:
        following = request.rel_url.update_query({"cursor": page.next})
        answer.headers[hdrs.LINK] = f'<{following}>; rel="next"'
    return answer


async def get(request: web.Request) -> web.Response:
    """One record, of a deleted artifact too. Its entity tag is its revision."""
    artifact = await store_of(request).artifact(_artifact_id(request))
    headers = {hdrs.ETAG: f'"{artifact.revision}"'}
    known = parse_tags(joined(request, hdrs.IF_NONE_MATCH) or "", weak=True)
    if known == "*" or str(artifact.revision) in known:
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.json_response(artifact_document(artifact), headers=headers)


async def content(request: web.Request) -> web.StreamResponse:
    """The bytes of one version."""
    artifact = await store_of(request).reader.version(_artifact_id(request))
    return await files.send_artifact(request, artifact)


async def retrievals(request: web.Request) -> web.Response:
    """Who read the artifact."""
    found = await store_of(request).retrievals(_artifact_id(request))
    return web.json_response({"items": [retrievals_document(item) for item in found]})
