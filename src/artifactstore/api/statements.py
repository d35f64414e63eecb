"""`/v1/artifacts/{id}/attestations`: statements about an artifact's object."""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import hdrs, web

from artifactstore.api.artifacts import artifact_id
from artifactstore.api.documents import read_body
from artifactstore.api.idempotency import KeyedRequest, once
from artifactstore.api.keys import store_of
from artifactstore.domain.artifact import Attestation
from artifactstore.domain.documents import attestation_document
from artifactstore.domain.token import Scope


async def post(request: web.Request, keyed: KeyedRequest | None) -> web.Response:
    """Attach a statement, plain or in an envelope."""
    identifier = artifact_id(request)
    await store_of(request).live_artifact(identifier, Scope.WRITE)  # before the body is asked for
    document = await read_body(request, keyed=keyed)
    return _attached(await store_of(request).attest(identifier, document, once=once(keyed, _attached)))


def _attached(attached: tuple[Attestation, bool]) -> web.Response:
    attestation, created = attached
    return web.json_response(
        {**attestation_document(attestation), "created": created},
        status=HTTPStatus.CREATED if created else HTTPStatus.OK,
        headers={hdrs.LOCATION: f"/v1/objects/{attestation.statement}"},
    )


async def get(request: web.Request) -> web.Response:
    """What is attached, in the order of attaching."""
    found = await store_of(request).attestations(artifact_id(request))
    return web.json_response({"items": [attestation_document(item) for item in found]})
