"""Errors as problem documents (RFC 9457). The only place where an error of the domain meets a status code."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import hdrs, web

from artifactstore.domain import errors
from artifactstore.tracing import SCOPE

_log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:artifact-store:problem:"

#: The status of each class of error; a class that is not named has its nearest base's.
STATUS: dict[type[errors.ArtifactStoreError], HTTPStatus] = {
    errors.ArtifactStoreError: HTTPStatus.INTERNAL_SERVER_ERROR,
    errors.InvalidInputError: HTTPStatus.BAD_REQUEST,
    errors.NotFoundError: HTTPStatus.NOT_FOUND,
    errors.DigestMismatchError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.IncompleteBodyError: HTTPStatus.BAD_REQUEST,
    errors.ObjectTooLargeError: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.UnsupportedEncodingError: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.PreconditionFailedError: HTTPStatus.PRECONDITION_FAILED,
    errors.ObjectInUseError: HTTPStatus.CONFLICT,
    errors.RequestInProgressError: HTTPStatus.CONFLICT,
    errors.StorageFullError: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.UnauthenticatedError: HTTPStatus.UNAUTHORIZED,
    errors.ForbiddenError: HTTPStatus.FORBIDDEN,
    errors.QuotaExceededError: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.IdempotencyKeyReusedError: HTTPStatus.UNPROCESSABLE_ENTITY,
}

#: The codes that are no error of the domain: what the protocol alone refuses, its status and what it tells.
PROTOCOL: dict[str, tuple[HTTPStatus, str]] = {
    "bad-request": (HTTPStatus.BAD_REQUEST, "This is not a well-formed HTTP request."),
    "method-not-allowed": (HTTPStatus.METHOD_NOT_ALLOWED, "The address does not take that method."),
    "request-timeout": (HTTPStatus.REQUEST_TIMEOUT, "The body stood still for too long. Nothing was stored."),
    "too-many-uploads": (HTTPStatus.TOO_MANY_REQUESTS, "The client has as many uploads under way as it may."),
    "too-many-connections": (HTTPStatus.SERVICE_UNAVAILABLE, "The gateway has as many connections as it takes."),
    "uri-too-long": (HTTPStatus.REQUEST_URI_TOO_LONG, "The request's target is longer than the limit."),
    "unsupported-media-type": (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body is of another media type than JSON."),
    "range-not-satisfiable": (
        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
        "No part of the range lies within the content.",
    ),
    "expectation-failed": (HTTPStatus.EXPECTATION_FAILED, "The only expectation that is known is `100-continue`."),
    "framing-too-large": (
        HTTPStatus.BAD_REQUEST,
        "A chunked body is in chunks too small, or has too much in extensions or trailers. Nothing was stored.",
    ),
    "header-too-large": (HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "A header field is longer than the limit."),
    "internal-error": (HTTPStatus.INTERNAL_SERVER_ERROR, "The gateway failed in a way that nobody foresaw."),
}


def problem(status: int, code: str, detail: str, *, field: str | None = None, **facts: object) -> web.Response:
    """A problem document. `code` is stable; `detail` says what to do; `field` names what is at fault."""
    document: dict[str, object] = {
        "type": TYPE_PREFIX + code,
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        **facts,
    }
    if (scope := SCOPE.get()) is not None and scope.request_id is not None:
        document["request_id"] = scope.request_id
    if field is not None:
        document["field"] = field
    return web.Response(status=status, body=json.dumps(document, ensure_ascii=False).encode(), content_type=MEDIA_TYPE)


def status_of(error: type[errors.ArtifactStoreError]) -> HTTPStatus:
    """The status of a class of error."""
    return next(STATUS[base] for base in error.__mro__ if base in STATUS)


def problem_of(error: errors.ArtifactStoreError, **facts: object) -> web.Response:
    """The problem document of an error of the domain, and what else there is to tell."""
    status = status_of(type(error))
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s: %s", error.code, error.detail)
    answer = problem(status, error.code, error.detail, field=getattr(error, "field", None), **facts)
    if status is HTTPStatus.UNAUTHORIZED:
        answer.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    return answer


def problem_of_refusal(refusal: web.HTTPException) -> web.Response:
    """The problem document for what is refused as aiohttp refuses: no such route, no such method. `code` names it."""
    phrase = HTTPStatus(refusal.status).phrase.lower().replace(" ", "-")
    code = getattr(refusal, "code", phrase)
    response = problem(refusal.status, code, _REFUSALS.get(refusal.status, refusal.reason))
    if "Allow" in refusal.headers:
        response.headers["Allow"] = refusal.headers["Allow"]
    return response


_REFUSALS = {
    404: "there is nothing at this address; docs/http-api.md lists what there is",
    405: "this address does not take that method; Allow lists those it takes",
    408: "the body stood still, or came too slowly, for too long",
    415: "the body is JSON here: say so in Content-Type",
    417: "the only expectation that is known is 100-continue",
}


@web.middleware
async def problems(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn every error into a problem document; what nobody foresaw is logged and told as 500 without its text."""
    try:
        return await handler(request)
    except errors.ArtifactStoreError as error:
        return problem_of(error)
    except web.HTTPException as refusal:
        return problem_of_refusal(refusal)
    except ConnectionError:
        raise  # the client has left: there is nobody to answer
    except Exception:
        _log.exception("unforeseen error in %s %s", request.method, request.rel_url.raw_path)
        if request.writer.output_size > 0:  # an answer has begun, and another must not follow it
            raise ConnectionAbortedError("the answer could not be ended") from None
        return problem(500, "internal-error", "the gateway failed; its log says why")
