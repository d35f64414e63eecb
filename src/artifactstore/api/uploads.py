"""What uploads have in common: the body as a stream, what its headers announce, and `Expect: 100-continue`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from artifactstore.api import intake, problems
from artifactstore.api.conditional import Tags, digests_of, parse_tags
from artifactstore.api.digest_fields import announced_digests
from artifactstore.api.fields import joined
from artifactstore.api.keys import store_of
from artifactstore.api.limits import LIMITS, Pace
from artifactstore.dataplane.spi import Inflow
from artifactstore.domain.digest import Digest
from artifactstore.domain.documents import identity_document
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    PreconditionFailedError,
    UnsupportedEncodingError,
)
from artifactstore.spi import Condition, StoredObject

_DIGEST_FIELDS = ("Repr-Digest", "Content-Digest")
#: What is left of a body that announced no more than this, in bytes, is read and dropped after a refusal.
_WORTH_READING = 65536
_AWAITED: web.RequestKey[bool] = web.RequestKey("awaited", bool)
_INTAKE: web.RequestKey[intake.BodyIntake] = web.RequestKey("intake", intake.BodyIntake)


async def body_of(request: web.Request) -> AsyncIterator[bytes]:
    """The body, as it comes: what the parser has is one buffer, however small the chunks that it came in.

    IncompleteBodyError: the client left, or the framing broke, before the end. 408: it came too slowly. 400: it is in
    chunks that are too small.
    """
    pace, clock = Pace(request.app[LIMITS]), asyncio.get_running_loop().time
    content = request.content
    if body_is_awaited(request):
        await _ask(request)
    try:
        while True:
            buffer = content.read_nowait()
            if buffer:
                pace.spend(0.0, len(buffer))
            elif not content.is_eof():
                buffer = await pace.next(content.readany, clock)
            if buffer:
                yield buffer
            elif content.at_eof():
                return
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    except (RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        raise intake.incomplete() from error


def source_of(request: web.Request) -> bytes | AsyncIterator[bytes] | Inflow:
    """The body: one that came with its head as it is, a large one of known length to be received straight into the
    store's buffers, others by `body_of`. IncompleteBodyError.
    """
    if request.content.is_eof() and not body_is_awaited(request):
        return _whole(request)
    size = request.content_length
    if size is None or size < intake.LEAST_BYTES or request.secure:
        return body_of(request)

    async def ask() -> None:
        if body_is_awaited(request):
            await _ask(request)

    request[_INTAKE] = intake.BodyIntake(request, size, Pace(request.app[LIMITS]), ask)
    return request[_INTAKE]


def _whole(request: web.Request) -> bytes:
    try:
        return request.content.read_nowait()
    except (RequestPayloadError, HttpProcessingError, ConnectionError) as error:
        raise intake.incomplete() from error


def announced(request: web.Request) -> list[Digest]:
    """The digests that the request's headers say the body has."""
    return announced_digests(
        (name, ", ".join(request.headers.getall(name))) for name in _DIGEST_FIELDS if name in request.headers
    )


def check_upload(request: web.Request) -> None:
    """Refuse what the headers alone show to be in vain: a coding, a size over the limit."""
    check_codings(request)
    size = request.content_length
    if size is not None:
        store_of(request).check_size(size)


def check_codings(request: web.Request) -> None:
    """Refuse a body in a coding: UnsupportedEncodingError."""
    if _transfer_codings(request) not in ("", "chunked"):
        raise UnsupportedEncodingError("send the body with its length or chunked: no other transfer coding is undone")
    coding = joined(request, hdrs.CONTENT_ENCODING)
    if coding is not None and {part.strip().lower() for part in coding.split(",")} - {"", "identity"}:
        raise UnsupportedEncodingError(
            "send the bytes themselves: an object is what its digest is of, not a coding of it"
        )


async def preconditions(request: web.Request, namespace: str, name: str) -> tuple[bool, Condition]:
    """`create_only` and `if_match`, from If-None-Match: * and If-Match: the store decides on them when it writes.

    PreconditionFailedError: the name's latest version is one that If-None-Match names. That is looked at once, here.
    """
    if_none_match = joined(request, hdrs.IF_NONE_MATCH)
    if_match = joined(request, hdrs.IF_MATCH)
    unwanted: Tags = frozenset() if if_none_match is None else parse_tags(if_none_match, weak=True)
    if unwanted:
        try:
            latest = str((await store_of(request).file(namespace, name)).identity.blake3)
        except ArtifactNotFoundError:
            latest = None
        if latest is not None and (unwanted == "*" or latest in unwanted):
            raise PreconditionFailedError(f"the latest version is {latest}")
    return unwanted == "*", None if if_match is None else digests_of(parse_tags(if_match, weak=False))


def upload_answer(stored: StoredObject) -> dict[str, object]:
    """The part of an upload's answer that every upload has."""
    return {**identity_document(stored.identity), "created": stored.created}


async def expect(request: web.Request) -> web.StreamResponse | None:
    """Note that the client waits for `100 Continue`. It is sent when the body is wanted, so a refusal costs no body."""
    if request.version < HttpVersion11:  # RFC 9110, 10.1.1: such an expectation is ignored
        return None
    if request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        refusal = problems.problem_of_refusal(web.HTTPExpectationFailed())
        refusal.force_close()
        return refusal
    request[_AWAITED] = True
    return None


def body_is_awaited(request: web.Request) -> bool:
    """Whether the client has not been asked for its body yet."""
    return hdrs.EXPECT in request.headers and _AWAITED in request and request[_AWAITED]


def _transfer_codings(request: web.Request) -> str:
    codings = joined(request, hdrs.TRANSFER_ENCODING)
    return "" if codings is None else codings.strip().lower()


def _leaves_a_body(request: web.Request) -> bool:
    """Whether more of the body is to come than is worth reading to keep the connection."""
    if request.content.is_eof():
        return False
    return request.content_length is None or request.content_length > _WORTH_READING


@web.middleware
async def close_unasked(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """End the connection after an answer that did not wait for the body, and after one that waited in vain.

    In place of `100 Continue`, the body may or may not follow; else it would have to be read to reach the next request.
    """
    try:
        response = await handler(request)
    finally:
        taken = request.get(_INTAKE)
        if taken is not None:
            taken.hand_back()
    headers = request.headers
    if not request.body_exists and hdrs.EXPECT not in headers and hdrs.TRANSFER_ENCODING not in headers:
        return response  # as nearly every GET: there is no body
    if (
        body_is_awaited(request)
        or taken is not None
        or _leaves_a_body(request)
        or _transfer_codings(request) not in ("", "chunked")  # where such a body ends is what senders disagree on
        or response.status == HTTPStatus.REQUEST_TIMEOUT
        or request.method == hdrs.METH_TRACE  # which has no body (RFC 9110, 9.3.8): others may have read none
    ):
        response.force_close()
    return response


async def _ask(request: web.Request) -> None:
    request[_AWAITED] = False
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer itself has not begun
