"""Bodies that are held in memory: JSON documents, and statements; and the records that JSON describes."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from aiohttp import web

from artifactstore.api import uploads
from artifactstore.api.idempotency import KeyedRequest
from artifactstore.domain import bounded_json
from artifactstore.domain.bounded_json import Node
from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.domain.errors import DigestMismatchError, InvalidInputError, ObjectTooLargeError

MAX_BODY_BYTES = 2**20
JSON_TYPES = ("application/json",)


async def read_json(
    request: web.Request,
    media_types: Collection[str] = JSON_TYPES,
    *,
    error: type[InvalidInputError] = InvalidInputError,
    most_bytes: int = MAX_BODY_BYTES,
    keyed: KeyedRequest | None = None,
) -> Node:
    """The body, which is one JSON document; `error` for what is none. 415 for another media type.

    The media type is asked for since a page of another origin can send none of these without being allowed to.
    """
    if request.content_type not in media_types:
        raise web.HTTPUnsupportedMediaType
    body = await read_body(request, most_bytes, keyed=keyed)
    return bounded_json.read(body, error, most_bytes=most_bytes, what="the body")


async def read_body(
    request: web.Request, most_bytes: int = MAX_BODY_BYTES, *, keyed: KeyedRequest | None = None
) -> bytes:
    """The body, of at most so many bytes; ObjectTooLargeError, DigestMismatchError, UnsupportedEncodingError."""
    uploads.check_codings(request)
    announced = uploads.announced(request)
    _check_size(request.content_length or 0, most_bytes)
    body = bytearray()
    async for chunk in uploads.body_of(request):
        body += chunk
        _check_size(len(body), most_bytes)
    for digest in announced:
        actual = Digest(Algorithm.SHA256, hashlib.sha256(body).digest())
        if digest != actual:
            raise DigestMismatchError(f"{digest} was announced; the bytes received are {actual}")
    if keyed is not None:
        keyed.read(bytes(body))
    return bytes(body)


def _check_size(size_bytes: int, most_bytes: int) -> None:
    if size_bytes > most_bytes:
        raise ObjectTooLargeError(f"a body has at most {most_bytes} bytes here")
