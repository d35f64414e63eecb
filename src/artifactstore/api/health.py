"""`/` and `/health*`: what this is, whether it lives, whether it can serve."""

from __future__ import annotations

from aiohttp import web

import artifactstore
from artifactstore.api.keys import store_of
from artifactstore.api.stopping import STOPPING
from artifactstore.hashing import active_kernel


async def service(_request: web.Request) -> web.Response:
    """What answers here."""
    return web.json_response(
        {
            "service": "artifact-store",
            "status": "ok",
            "version": artifactstore.__version__,
            "kernel": active_kernel(),
        }
    )


async def live(_request: web.Request) -> web.Response:
    """The event loop turns; nothing else is touched."""
    return web.json_response({"status": "ok"})


async def state(request: web.Request) -> web.Response:
    """The state of the backend, of the log and of the views: 200, or 503 when one of them fails."""
    return await _state(request, stopping=False)


async def ready(request: web.Request) -> web.Response:
    """The same; 503 also when the gateway has been told to stop."""
    return await _state(request, stopping=request.app[STOPPING].is_set())


async def _state(request: web.Request, *, stopping: bool) -> web.Response:
    store = store_of(request)
    backend = await store.backend_health()
    registry = await store.registry.health()
    healthy = backend.healthy and registry.healthy
    status = "failing" if not healthy else "stopping" if stopping else "ok"
    return web.json_response(
        {
            "status": status,
            "backend": {"healthy": backend.healthy, "detail": backend.detail, "free_bytes": backend.free_bytes},
            "log": {"healthy": registry.healthy, "head": registry.head, "detail": registry.detail},
            "views": {"head": registry.views_seq, "current": registry.views_seq == registry.head},
        },
        status=200 if status == "ok" else 503,
    )
