"""`/v1/packages`: sealed, listed, read, and streamed out as one file."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from uuid import UUID

from aiohttp import hdrs, web

from artifactstore.api import content, queries
from artifactstore.api.documents import read_json
from artifactstore.api.fields import parse_id
from artifactstore.api.idempotency import KeyedRequest, once
from artifactstore.api.keys import store_of
from artifactstore.domain import manifest as manifests
from artifactstore.domain import names
from artifactstore.domain.artifact import Package
from artifactstore.domain.bounded_json import Node
from artifactstore.domain.digest import Digest
from artifactstore.domain.documents import member_document, package_document
from artifactstore.domain.errors import ArtifactStoreError, InvalidInputError, InvalidPackageError, InvalidQueryError
from artifactstore.domain.package import (
    MAX_LABEL_BYTES,
    MAX_MEMBERS,
    MAX_TEXT_BYTES,
    Completeness,
    MemberSource,
    PackageDescription,
)
from artifactstore.manifests.exports import ExportFormat

#: More than 10,000 members with the longest names take.
MAX_SEALING_BYTES = 16 * 2**20

_DESCRIPTION = ("label", "completeness", "completeness_note", "producer", "related", "retention")


def _package_id(request: web.Request) -> UUID:
    return parse_id(request.match_info["id"], "a package's id", InvalidInputError)


async def post(request: web.Request, keyed: KeyedRequest | None) -> web.Response:
    """Seal what is stored."""
    root = await read_json(request, error=InvalidPackageError, most_bytes=MAX_SEALING_BYTES, keyed=keyed)
    document = root.members(("namespace", "name", "members"), (*_DESCRIPTION, "supersedes"))
    supersedes = document.get("supersedes")
    sealed = await store_of(request).seal_package(
        document["namespace"].checked(names.check_namespace),
        document["name"].checked(names.check_name),
        [_member(node) for node in document["members"].items(least=1, most=MAX_MEMBERS)],
        description=_description(document),
        supersedes=None if supersedes is None else _id(supersedes),
        once=once(keyed, _sealed),
    )
    return _sealed(sealed)


def _sealed(sealed: tuple[Package, bool]) -> web.Response:
    package, created = sealed
    return web.json_response(
        {**package_document(package), "created": created},
        status=HTTPStatus.CREATED if created else HTTPStatus.OK,
        headers={hdrs.LOCATION: f"/v1/packages/{package.id}"},
    )


def _member(node: Node) -> MemberSource:
    members = node.members((), ("name", "digest", "artifact", "media_type"))
    if ("digest" in members) is ("artifact" in members):
        raise node.fault("a member has either a digest or an artifact")
    source = members["digest"].checked(Digest.parse) if "digest" in members else _id(members["artifact"])
    name = members["name"].text(most_bytes=names.MAX_NAME_BYTES) if "name" in members else None
    media_type = members["media_type"].checked(names.check_media_type) if "media_type" in members else None
    return MemberSource(source, name, media_type)


def _id(node: Node) -> UUID:
    return node.checked(lambda text: parse_id(text, "an id", InvalidPackageError))


def _description(document: dict[str, Node]) -> PackageDescription:
    def text(name: str, most_bytes: int) -> str | None:
        return document[name].text(most_bytes=most_bytes) if name in document else None

    completeness = document.get("completeness")
    return PackageDescription(
        label=text("label", MAX_LABEL_BYTES),
        completeness=Completeness.UNKNOWN if completeness is None else _completeness(completeness),
        completeness_note=text("completeness_note", MAX_TEXT_BYTES),
        producer=manifests.read_producer(document["producer"]) if "producer" in document else None,
        related=manifests.read_related(document["related"]) if "related" in document else (),
        retention=document["retention"].checked(names.check_retention) if "retention" in document else None,
    )


def _completeness(node: Node) -> Completeness:
    return Completeness(node.constant(*Completeness))


async def listing(request: web.Request) -> web.Response:
    """The packages after `after`, in the order of their sealing; `next` is where the following page begins."""
    values = queries.parameters(request, ("namespace", "name", "after", "limit"))
    page = await store_of(request).packages(
        namespace=values.get("namespace"),
        name=values.get("name"),
        after=queries.number(values, "after", 0, least=0, most=2**53 - 1),
        limit=queries.page_size(values),
    )
    return web.json_response({"items": [package_document(item) for item in page.items], "next": page.next})


async def get(request: web.Request) -> web.Response:
    """One record, with the members."""
    package_id = _package_id(request)
    package = await store_of(request).package(package_id)
    members = await store_of(request).members(package_id)
    answer: dict[str, Any] = package_document(package)
    return web.json_response({**answer, "members": [member_document(item) for item in members]})


async def manifest(request: web.Request) -> web.StreamResponse:
    """The manifest, byte for byte."""
    package = await store_of(request).package(_package_id(request))
    record = await store_of(request).trusted_record(package.manifest.blake3)
    name = f"package-{package.manifest.sha256.hex[:16]}.intoto.json"
    return await content.send(request, record, headers=content.named_headers(record, manifests.MEDIA_TYPE, name))


async def export(request: web.Request) -> web.StreamResponse:
    """The whole package as one file, as it is read."""
    form = _form(queries.parameters(request, ("format",)))
    async with await store_of(request).open_export(_package_id(request), form) as exported:
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: exported.media_type,
                hdrs.CONTENT_DISPOSITION: content.disposition(exported.filename),
                hdrs.CACHE_CONTROL: "no-cache",
                **content.UNTRUSTED,
            }
        )
        response.content_length = exported.size_bytes
        if request.method == hdrs.METH_HEAD:
            return response
        await response.prepare(request)
        try:
            async for chunk in exported.chunks():
                await response.write(chunk)
        except ArtifactStoreError as error:
            # The status line is out: only a broken connection can still tell the client that this is not the whole.
            raise ConnectionAbortedError(f"the export ended early: {error}") from error
        return response


def _form(values: dict[str, str]) -> ExportFormat:
    try:
        return ExportFormat(values.get("format", ""))
    except ValueError:
        raise InvalidQueryError(f"format is {', '.join(ExportFormat)}", field="format") from None
