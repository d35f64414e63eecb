"""`/v1/objects`: bytes under their digests."""

from __future__ import annotations

from aiohttp import hdrs, web

from artifactstore.api import content, uploads
from artifactstore.api.documents import read_body
from artifactstore.api.fields import single
from artifactstore.api.idempotency import KeyedRequest, once
from artifactstore.api.keys import store_of
from artifactstore.api.problems import problem_of
from artifactstore.domain import names
from artifactstore.domain.digest import Digest
from artifactstore.domain.documents import identity_document
from artifactstore.domain.errors import InvalidNameError, ObjectDamagedError
from artifactstore.spi import StoredObject, Verification

_NAMESPACE = "Artifact-Namespace"


def _digest(request: web.Request) -> Digest:
    return Digest.parse(request.match_info["digest"])


def _namespace(request: web.Request) -> str:
    given = single(request, _NAMESPACE, InvalidNameError)
    return names.DEFAULT_NAMESPACE if given is None else names.check_namespace(given)


def _answer(stored: StoredObject) -> web.Response:
    document = uploads.upload_answer(stored)
    blake3 = document["blake3"]
    return web.json_response(
        document,
        status=201 if stored.created else 200,
        headers={hdrs.LOCATION: f"/v1/objects/{blake3}", hdrs.ETAG: f'"{blake3}"'},
    )


async def post(request: web.Request, keyed: KeyedRequest | None) -> web.Response:
    """Store a body under whatever digests it has."""
    uploads.check_upload(request)
    return await _store(request, uploads.announced(request), keyed)


async def put(request: web.Request) -> web.Response:
    """Store a body that must have the digest in the address."""
    digest = _digest(request)
    uploads.check_upload(request)
    announced = uploads.announced(request)
    if uploads.body_is_awaited(request):
        known = await store_of(request).put_known(
            digest, namespace=_namespace(request), expected=announced, size_hint=request.content_length
        )
        if known is not None:
            return _answer(known)
    return await _store(request, [digest, *announced])


async def _store(request: web.Request, expected: list[Digest], keyed: KeyedRequest | None = None) -> web.Response:
    stored = await store_of(request).put_object(
        uploads.source_of(request),
        namespace=_namespace(request),
        expected=expected,
        size_hint=request.content_length,
        once=once(keyed, _answer),
    )
    return _answer(stored)


async def get(request: web.Request) -> web.StreamResponse:
    """The content, or its headers."""
    record = await store_of(request).record_to_read(_digest(request))
    try:
        return await content.send(request, record)
    except ObjectDamagedError as error:
        return problem_of(error, **identity_document(record.identity))


async def verify(request: web.Request, keyed: KeyedRequest | None) -> web.Response:
    """Re-read the stored copy and digest it again."""
    digest = _digest(request)
    if keyed is not None:
        await read_body(request, keyed=keyed)
    return _verified(await store_of(request).verify_object(digest, once=once(keyed, _verified)))


def _verified(outcome: Verification) -> web.Response:
    return web.json_response(outcome.document())


async def delete(request: web.Request) -> web.Response:
    """Delete an object that nothing refers to."""
    await store_of(request).delete_object(_digest(request))
    return web.Response(status=204)
