"""The HTTP application: which address is answered by what. docs/http-api.md is its description."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from http import HTTPStatus

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.typedefs import Middleware

from artifactstore.api import (
    artifacts,
    auth,
    description,
    events,
    files,
    health,
    idempotency,
    metrics,
    objects,
    packages,
    sendfile,
    statements,
    tokens,
    uploads,
)
from artifactstore.api.fields import EVERY_ANSWER, REQUEST_ID
from artifactstore.api.idempotency import keyed
from artifactstore.api.keys import ANONYMOUS, STORE, TOKENS
from artifactstore.api.limits import LIMITS, UPLOAD_SLOTS, Limits, UploadSlots, upload
from artifactstore.api.problems import problem, problems
from artifactstore.api.requests import TALLIES, RequestTallies
from artifactstore.api.stopping import STOPPING, end_connection
from artifactstore.domain.caller import Caller
from artifactstore.store import Store
from artifactstore.tracing import SCOPE

#: RFC 9112, 3.2, with the host and the port of RFC 3986, 3.2.2.
_HOST = re.compile(r"(?:\[[0-9A-Fa-fv:.]+\]|[A-Za-z0-9._~%!$&'()*+,;=-]+)(?::[0-9]*)?")


def create_app(
    store: Store, *, limits: Limits | None = None, require_tokens: bool = False, within: Sequence[Middleware] = ()
) -> web.Application:
    """The application over a store, which stays the caller's to close. Without tokens, everybody may everything.

    `within`: more middlewares, which see the errors of those who ask and of the store before they become answers.

    Serve it with `api.server.GatewayRunner`, which observes its requests, holds connections to the limits, and turns
    off what would decode bodies or answer in plain text.
    """
    authenticating = [auth.authenticate] if require_tokens else []
    app = web.Application(
        middlewares=[uploads.close_unasked, problems, *within, _refuse_faulty_framing, *authenticating]
    )
    app[STORE] = store.acting_as(Caller.named(ANONYMOUS))
    app[TOKENS] = require_tokens
    app[LIMITS] = limits or Limits()
    app[UPLOAD_SLOTS] = UploadSlots(app[LIMITS].max_uploads_per_client)
    app[TALLIES] = RequestTallies()
    app[idempotency.RUNNING] = set()
    app.cleanup_ctx.append(_senders)
    app[STOPPING] = asyncio.Event()
    app.on_response_prepare.append(_complete)
    route = app.router.add_route

    app.router.add_get("/", health.service)  # HEAD too, as every add_get
    app.router.add_get("/health", health.state)
    app.router.add_get("/health/ready", health.ready)
    app.router.add_get("/health/live", health.live)
    app.router.add_get("/openapi.json", description.document)
    app.router.add_get("/docs", description.page)
    app.router.add_get("/metrics", metrics.get)

    route("POST", "/v1/objects", upload(keyed(objects.post)), expect_handler=uploads.expect)
    route("PUT", "/v1/objects/{digest}", upload(objects.put), expect_handler=uploads.expect)
    app.router.add_get("/v1/objects/{digest}", objects.get)
    route("DELETE", "/v1/objects/{digest}", objects.delete)
    route("POST", "/v1/objects/{digest}/verify", keyed(objects.verify))

    # The name is read from the raw path (api.addresses): a router would decode it twice or lose its empty segments.
    file = "/v1/files/{address:(?s:.*)}"
    route("PUT", file, upload(keyed(files.put)), expect_handler=uploads.expect)
    app.router.add_get(file, files.get)
    route("DELETE", file, files.delete)

    app.router.add_get("/v1/artifacts", artifacts.search)
    route("POST", "/v1/artifacts", upload(keyed(artifacts.post)), expect_handler=uploads.expect)
    app.router.add_get("/v1/artifacts/{id}", artifacts.get)
    route("PATCH", "/v1/artifacts/{id}", upload(artifacts.patch), expect_handler=uploads.expect)
    app.router.add_get("/v1/artifacts/{id}/content", artifacts.content)
    app.router.add_get("/v1/artifacts/{id}/retrievals", artifacts.retrievals)
    app.router.add_get("/v1/artifacts/{id}/provenance", artifacts.provenance)
    app.router.add_get("/v1/artifacts/{id}/derived", artifacts.derived)
    attestations = "/v1/artifacts/{id}/attestations"
    app.router.add_get(attestations, statements.get)
    route("POST", attestations, upload(keyed(statements.post)), expect_handler=uploads.expect)
    route("POST", "/v1/packages", upload(keyed(packages.post)), expect_handler=uploads.expect)
    app.router.add_get("/v1/packages", packages.listing)
    app.router.add_get("/v1/packages/{id}", packages.get)
    app.router.add_get("/v1/packages/{id}/manifest", packages.manifest)
    app.router.add_get("/v1/packages/{id}/export", packages.export)
    app.router.add_get("/v1/events", events.get)
    route("POST", "/v1/tokens", upload(tokens.post), expect_handler=uploads.expect)
    app.router.add_get("/v1/tokens", tokens.listing)
    route("DELETE", "/v1/tokens/{id}", tokens.delete)
    _refuse_the_rest(app)
    app[TALLIES].resolve(app)
    return app


async def _senders(app: web.Application) -> AsyncIterator[None]:
    """The threads that send files, until the application ends."""
    with ThreadPoolExecutor(sendfile.THREADS, thread_name_prefix="send") as app[sendfile.SENDERS]:
        yield


def _refuse_the_rest(app: web.Application) -> None:
    """Answer other methods and other addresses ourselves: aiohttp would ask for their bodies before it refuses."""
    for resource in list(app.router.resources()):
        methods = {route.method for route in resource}
        resource.add_route("*", _refusal(methods), expect_handler=uploads.expect)  # type: ignore[attr-defined]  # all of ours are Resources
    app.router.add_route("*", "/{address:(?s:.*)}", _nowhere, expect_handler=uploads.expect)


def _refusal(allowed: set[str]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def refuse(request: web.Request) -> web.StreamResponse:
        raise web.HTTPMethodNotAllowed(request.method, allowed)

    return refuse


async def _nowhere(_request: web.Request) -> web.StreamResponse:
    raise web.HTTPNotFound


@lru_cache(256)
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None


@web.middleware
async def _refuse_faulty_framing(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse what the parser lets through, and others may read otherwise (RFC 9112, 3.2 and 6.1)."""
    detail = None
    host = request.headers.get(hdrs.HOST)
    if host is not None and not _is_host(host):
        detail = "Host is a name or an address, and a port or none"
    elif not HttpVersion10 <= request.version <= HttpVersion11:  # 0.9 has no status and no headers, 2.0 no such lines
        detail = "HTTP/1.1 is spoken here, and HTTP/1.0 understood"
    elif "Content_Length" in request.headers or "Transfer_Encoding" in request.headers:
        detail = "Content-Length and Transfer-Encoding are written with a hyphen"  # some proxies take one for the other
    elif hdrs.TRANSFER_ENCODING in request.headers:
        if request.version < HttpVersion11:
            detail = "HTTP/1.0 knows no transfer coding"
        elif hdrs.CONTENT_LENGTH in request.headers:
            detail = "a body has a length or a transfer coding, not both"
        elif not "".join(request.headers.getall(hdrs.TRANSFER_ENCODING)).strip():
            detail = "the transfer coding is empty"
    if detail is None:
        return await handler(request)
    answer = problem(HTTPStatus.BAD_REQUEST, "bad-request", detail)
    answer.force_close()
    return answer


def complete(response: web.StreamResponse) -> None:
    """Add the headers of every answer."""
    response.headers.update(EVERY_ANSWER)
    if (scope := SCOPE.get()) is not None and scope.request_id is not None:
        response.headers[REQUEST_ID] = scope.request_id


async def _complete(request: web.Request, response: web.StreamResponse) -> None:
    """The one signal of every answer: another would cost each of them a coroutine."""
    complete(response)
    end_connection(request, response)
