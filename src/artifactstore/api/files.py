"""`/v1/files/{namespace}/{name}`: artifacts under their names."""

from __future__ import annotations

from aiohttp import hdrs, web

from artifactstore.api import content, uploads
from artifactstore.api.addresses import file_address
from artifactstore.api.conditional import entity_tag
from artifactstore.api.fields import decoded, single
from artifactstore.api.idempotency import KeyedRequest, once
from artifactstore.api.keys import store_of
from artifactstore.api.problems import problem_of
from artifactstore.domain import names
from artifactstore.domain.artifact import Artifact, ArtifactMetadata
from artifactstore.domain.documents import artifact_document
from artifactstore.domain.errors import InvalidMetadataError, ObjectDamagedError


def _metadata(request: web.Request) -> ArtifactMetadata:
    """What the headers say of the artifact, checked."""
    headers = request.headers
    return ArtifactMetadata(
        kind=single(request, "Artifact-Kind", InvalidMetadataError),
        media_type=headers.get(hdrs.CONTENT_TYPE, names.DEFAULT_MEDIA_TYPE),
        labels=names.check_labels(_label(value) for value in headers.getall("Artifact-Label", ())),
        provenance=_provenance(single(request, "Artifact-Provenance", InvalidMetadataError)),
        retention=single(request, "Artifact-Retention", InvalidMetadataError),
    ).checked()


def _provenance(value: str | None) -> str | None:
    """As it is; one that begins with an escape is percent-encoded whole, as text with line breaks must be."""
    if value is None or not value.startswith("%"):
        return value
    return decoded(value, "Artifact-Provenance", InvalidMetadataError)


def _label(value: str) -> tuple[str, str]:
    key, equals, text = value.strip().partition("=")
    if not equals:
        raise InvalidMetadataError("an Artifact-Label is written key=value, percent-encoded", field="Artifact-Label")
    return decoded(key, "Artifact-Label", InvalidMetadataError), decoded(text, "Artifact-Label", InvalidMetadataError)


async def put(request: web.Request, keyed: KeyedRequest | None) -> web.Response:
    """Store a body as the next version of a name."""
    namespace, name = file_address(request)
    metadata = _metadata(request)
    uploads.check_upload(request)
    create_only, if_match = await uploads.preconditions(request, namespace, name)
    stored = await store_of(request).put_file(
        namespace,
        name,
        uploads.source_of(request),
        metadata=metadata,
        expected=uploads.announced(request),
        size_hint=request.content_length,
        create_only=create_only,
        if_match=if_match,
        once=once(keyed, _stored),
    )
    return _stored(stored)


def _stored(stored: tuple[Artifact, bool]) -> web.Response:
    artifact, created = stored
    return web.json_response(
        {**artifact_document(artifact), "created": created},
        status=201,
        headers={
            hdrs.LOCATION: f"/v1/artifacts/{artifact.id}",
            hdrs.ETAG: entity_tag(artifact.identity.blake3),
        },
    )


async def get(request: web.Request) -> web.StreamResponse:
    """The latest version's content, or its headers."""
    artifact = await store_of(request).latest_to_read(*file_address(request))
    return await send_artifact(request, artifact)


async def send_artifact(request: web.Request, artifact: Artifact) -> web.StreamResponse:
    """The content of one artifact, with its media type and under its last segment's name."""
    record = await store_of(request).reader.record(artifact.identity.blake3)
    try:
        return await content.send(request, record, artifact)
    except ObjectDamagedError as error:
        answer = problem_of(error)
        answer.headers[hdrs.CONTENT_LOCATION] = content.content_location(artifact.id)
        return answer


async def delete(request: web.Request) -> web.Response:
    """Tombstone the name."""
    namespace, name = file_address(request)
    _, if_match = await uploads.preconditions(request, namespace, name)
    await store_of(request).delete_file(namespace, name, if_match=if_match)
    return web.Response(status=204)
