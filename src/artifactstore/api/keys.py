"""What handlers find in the application."""

from __future__ import annotations

from aiohttp import web

from artifactstore.store import Store

STORE: web.AppKey[Store] = web.AppKey("store", Store)

#: Who acts when nobody has said who they are.
ANONYMOUS = "anonymous"


def store_of(request: web.Request) -> Store:
    """The store, acting for whoever sent the request."""
    return request.app[STORE]


def actor_of(_request: web.BaseRequest) -> str:
    """Whoever sent the request, as events name them."""
    return ANONYMOUS
