"""The HTTP application: which address is answered by what. docs/http-api.md is its description."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

from aiohttp import HttpVersion10, web

from artifactstore.api import (
    artifacts,
    description,
    events,
    files,
    health,
    metrics,
    objects,
    packages,
    sendfile,
    statements,
    uploads,
)
from artifactstore.api.fields import EVERY_ANSWER, REQUEST_ID
from artifactstore.api.keys import ANONYMOUS, STORE
from artifactstore.api.limits import LIMITS, UPLOAD_SLOTS, Limits, UploadSlots, upload
from artifactstore.api.problems import problem, problems
from artifactstore.api.requests import TALLIES, RequestTallies
from artifactstore.api.stopping import STOPPING, end_connection
from artifactstore.store import Store
from artifactstore.tracing import SCOPE


def create_app(store: Store, *, limits: Limits | None = None) -> web.Application:
    """The application over a store, which stays the caller's to close.

    Serve it with `api.server.GatewayRunner`, which observes its requests, holds connections to the limits, and turns
    off what would decode bodies or answer in plain text.
    """
    app = web.Application(middlewares=[uploads.close_unasked, problems, _refuse_old_versions])
    app[STORE] = store.acting_as(ANONYMOUS)
    app[LIMITS] = limits or Limits()
    app[UPLOAD_SLOTS] = UploadSlots(app[LIMITS].max_uploads_per_client)
    app[TALLIES] = RequestTallies()
    app.cleanup_ctx.append(_senders)
    app[STOPPING] = asyncio.Event()
    app.on_response_prepare.extend((_complete, end_connection))
    route = app.router.add_route

    app.router.add_get("/", health.service)  # HEAD too, as every add_get
    app.router.add_get("/health", health.state)
    app.router.add_get("/health/ready", health.ready)
    app.router.add_get("/health/live", health.live)
    app.router.add_get("/openapi.json", description.document)
    app.router.add_get("/docs", description.page)
    app.router.add_get("/metrics", metrics.get)

    route("POST", "/v1/objects", upload(objects.post), expect_handler=uploads.expect)
    route("PUT", "/v1/objects/{digest}", upload(objects.put), expect_handler=uploads.expect)
    app.router.add_get("/v1/objects/{digest}", objects.get)
    route("DELETE", "/v1/objects/{digest}", objects.delete)
    route("POST", "/v1/objects/{digest}/verify", objects.verify)

    # The name is read from the raw path (api.addresses): a router would decode it twice or lose its empty segments.
    file = "/v1/files/{address:(?s:.*)}"
    route("PUT", file, upload(files.put), expect_handler=uploads.expect)
    app.router.add_get(file, files.get)
    route("DELETE", file, files.delete)

    app.router.add_get("/v1/artifacts", artifacts.search)
    route("POST", "/v1/artifacts", upload(artifacts.post), expect_handler=uploads.expect)
    app.router.add_get("/v1/artifacts/{id}", artifacts.get)
    route("PATCH", "/v1/artifacts/{id}", upload(artifacts.patch), expect_handler=uploads.expect)
    app.router.add_get("/v1/artifacts/{id}/content", artifacts.content)
    app.router.add_get("/v1/artifacts/{id}/retrievals", artifacts.retrievals)
    app.router.add_get("/v1/artifacts/{id}/provenance", artifacts.provenance)
    app.router.add_get("/v1/artifacts/{id}/derived", artifacts.derived)
    app.router.add_get("/v1/artifacts/{id}/attestations", statements.get)
    route("POST", "/v1/artifacts/{id}/attestations", upload(statements.post), expect_handler=uploads.expect)
    route("POST", "/v1/packages", upload(packages.post), expect_handler=uploads.expect)
    app.router.add_get("/v1/packages", packages.listing)
    app.router.add_get("/v1/packages/{id}", packages.get)
    app.router.add_get("/v1/packages/{id}/manifest", packages.manifest)
    app.router.add_get("/v1/packages/{id}/export", packages.export)
    app.router.add_get("/v1/events", events.get)
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


@web.middleware
async def _refuse_old_versions(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    if request.version < HttpVersion10:  # HTTP/0.9 has no status and no headers: no answer of ours could be told
        answer = problem(HTTPStatus.BAD_REQUEST, "bad-request", "HTTP/1.1 is spoken here, and HTTP/1.0 understood")
        answer.force_close()
        return answer
    return await handler(request)


def complete(response: web.StreamResponse) -> None:
    """Add the headers of every answer."""
    response.headers.update(EVERY_ANSWER)
    if (scope := SCOPE.get()) is not None and scope.request_id is not None:
        response.headers[REQUEST_ID] = scope.request_id


async def _complete(_request: web.Request, response: web.StreamResponse) -> None:
    complete(response)
