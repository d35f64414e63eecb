"""`/v1/artifacts`: records, searched, made and one by one."""

from __future__ import annotations

import json
from http import HTTPStatus
from uuid import UUID

from aiohttp import hdrs, web

from artifactstore.api import files, queries, uploads
from artifactstore.api.conditional import parse_tags
from artifactstore.api.documents import JSON_TYPES, read_json
from artifactstore.api.fields import joined, parse_id
from artifactstore.api.idempotency import KeyedRequest, once
from artifactstore.api.keys import store_of
from artifactstore.domain import names
from artifactstore.domain.artifact import Artifact, ArtifactMetadata
from artifactstore.domain.bounded_json import Node
from artifactstore.domain.digest import Digest
from artifactstore.domain.documents import artifact_document, lineage_document, retrievals_document
from artifactstore.domain.errors import InvalidInputError
from artifactstore.domain.times import parse_time
from artifactstore.registry.lineage import MAX_DEPTH

_LABEL = "label"
_SEARCH = (
    *("namespace", "name", "name_prefix", "kind", "media_type", "digest"),
    *("size_min", "size_max", "created_after", "created_before", "limit", "cursor"),
)
_REQUIRED = ("namespace", "name", "digest")
_OPTIONAL = ("kind", "media_type", "labels", "provenance", "retention")
_MAX_SIZE = 2**53 - 1
_MAX_TEXT = 4096  # of a member, before its own rules are looked at
#: RFC 7396; a body that says that it is plain JSON is read as one, too.
MERGE_PATCH = "application/merge-patch+json"


def artifact_id(request: web.Request) -> UUID:
    """The id in the address; InvalidInputError."""
    return parse_id(request.match_info["id"], "an artifact's id", InvalidInputError)


async def search(request: web.Request) -> web.Response:
    """A page of artifacts."""
    values = queries.parameters(request, _SEARCH, repeatable=(_LABEL,))
    times = {
        name: None if (text := values.get(name)) is None else parse_time(text, field=name)
        for name in ("created_after", "created_before")
    }
    page = await store_of(request).artifacts(
        namespace=values.get("namespace"),
        name=values.get("name"),
        name_prefix=values.get("name_prefix"),
        kind=values.get("kind"),
        labels=[_wanted_label(text) for text in request.query.getall(_LABEL, ())],
        media_type=values.get("media_type"),
        digest=None if (digest := values.get("digest")) is None else Digest.parse(digest),
        size_min=queries.number(values, "size_min", None, least=0, most=_MAX_SIZE),
        size_max=queries.number(values, "size_max", None, least=0, most=_MAX_SIZE),
        created_after=times["created_after"],
        created_before=times["created_before"],
        limit=queries.page_size(values),
        cursor=values.get("cursor"),
    )
    answer = web.json_response({"items": [artifact_document(item) for item in page.items], "next": page.next})
    if page.next is not None:
        following = request.rel_url.update_query({"cursor": page.next})
        answer.headers[hdrs.LINK] = f'<{following}>; rel="next"'
    return answer


def _wanted_label(text: str) -> tuple[str, str | None]:
    """`key=value`, or `key` alone for any value."""
    key, equals, value = text.partition("=")
    return key, value if equals else None


async def post(request: web.Request, keyed: KeyedRequest | None) -> web.Response:
    """Record bytes that are stored already as the next version of a name."""
    members = (await read_json(request, keyed=keyed)).members(_REQUIRED, _OPTIONAL)
    namespace, name, digest = (members[key].text(most_bytes=_MAX_TEXT) for key in _REQUIRED)
    names.check_namespace(namespace)
    names.check_name(name)
    create_only, if_match = await uploads.preconditions(request, namespace, name)
    artifact = await store_of(request).record_artifact(
        namespace,
        name,
        Digest.parse(digest),
        metadata=_metadata(members),
        create_only=create_only,
        if_match=if_match,
        once=once(keyed, _recorded),
    )
    return _recorded(artifact)


def _recorded(artifact: Artifact) -> web.Response:
    return _record(artifact, HTTPStatus.CREATED, {hdrs.LOCATION: f"/v1/artifacts/{artifact.id}"})


def _metadata(members: dict[str, Node]) -> ArtifactMetadata:
    """What a document says of an artifact, checked; a member that is null says nothing."""
    given = {key: node for key, node in members.items() if node.value is not None}

    def text(name: str) -> str | None:
        return given[name].text(most_bytes=_MAX_TEXT) if name in given else None

    return ArtifactMetadata(
        kind=text("kind"),
        media_type=text("media_type") or names.DEFAULT_MEDIA_TYPE,
        labels={key: _text(node) for key, node in given["labels"].members().items()} if "labels" in given else {},
        provenance=_provenance(given["provenance"]) if "provenance" in given else None,
        retention=text("retention"),
    ).checked()


def _provenance(node: Node) -> str:
    """An object, which is kept as JSON says it; or text, a digest or an object's, which is kept as it is."""
    if isinstance(node.value, dict):
        return json.dumps(node.value, ensure_ascii=False, separators=(",", ":"))
    return node.text(most_bytes=names.MAX_PROVENANCE_BYTES)


def _text(node: Node) -> str:
    if not isinstance(node.value, str):
        raise node.fault("a label's value is a string")
    return node.value


async def get(request: web.Request) -> web.Response:
    """One record, of a deleted artifact too. Its entity tag is its revision."""
    artifact = await store_of(request).artifact(artifact_id(request))
    known = parse_tags(joined(request, hdrs.IF_NONE_MATCH) or "", weak=True)
    if known == "*" or str(artifact.revision) in known:
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers={hdrs.ETAG: _tag(artifact)})
    return _record(artifact)


async def patch(request: web.Request) -> web.Response:
    """Change labels, by a merge patch of the record."""
    identifier = artifact_id(request)
    members = (await read_json(request, (MERGE_PATCH, *JSON_TYPES))).members((), ("labels",))
    labels = members["labels"].members() if "labels" in members else {}
    changes = {key: None if node.value is None else _text(node) for key, node in labels.items()}
    artifact = await store_of(request).relabel(identifier, changes, if_match=_revisions(request))
    return _record(artifact)


def _revisions(request: web.Request) -> frozenset[int] | None:
    """If-Match as revisions; None: any. A tag that is none can match nothing and is left out."""
    value = joined(request, hdrs.IF_MATCH)
    tags = "*" if value is None else parse_tags(value, weak=False)
    if tags == "*":
        return None
    return frozenset(int(tag) for tag in tags if tag.isascii() and tag.isdigit() and len(tag) < 17 and tag[0] != "0")


def _record(artifact: Artifact, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(
        artifact_document(artifact), status=status, headers={hdrs.ETAG: _tag(artifact), **(headers or {})}
    )


def _tag(artifact: Artifact) -> str:
    return f'"{artifact.revision}"'


async def content(request: web.Request) -> web.StreamResponse:
    """The bytes of one version."""
    artifact = await store_of(request).version_to_read(artifact_id(request))
    return await files.send_artifact(request, artifact)


async def retrievals(request: web.Request) -> web.Response:
    """A page of who read the artifact; `next` is where the following one begins: the last one's minute and actor."""
    values = queries.parameters(request, ("after", "limit"))
    limit, after = queries.page_size(values), values.get("after")
    minute, _, actor = (after or "").partition(" ")
    found = await store_of(request).retrievals(
        artifact_id(request), after=None if after is None else (minute, actor), limit=limit
    )
    following = f"{found[-1].minute} {found[-1].actor}" if len(found) == limit else None
    return web.json_response({"items": [retrievals_document(item) for item in found], "next": following})


async def provenance(request: web.Request) -> web.Response:
    """What the artifact was made from."""
    found = await store_of(request).sources(artifact_id(request), depth=_depth(request))
    return web.json_response(lineage_document(found))


async def derived(request: web.Request) -> web.Response:
    """What was made from the artifact."""
    found = await store_of(request).derived(artifact_id(request), depth=_depth(request))
    return web.json_response(lineage_document(found))


def _depth(request: web.Request) -> int:
    return queries.number(queries.parameters(request, ("depth",)), "depth", 1, least=1, most=MAX_DEPTH)
