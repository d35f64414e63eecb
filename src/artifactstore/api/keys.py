"""What handlers find in the application."""

from __future__ import annotations

from aiohttp import web

from artifactstore.store import Store

STORE: web.AppKey[Store] = web.AppKey("store", Store)

#: Whether requests are asked for tokens.
TOKENS: web.AppKey[bool] = web.AppKey("tokens", bool)
#: The store, acting for the holder of the request's token.
ACTING: web.RequestKey[Store] = web.RequestKey("acting", Store)

#: Who acts when nobody has said who they are.
ANONYMOUS = "anonymous"


def store_of(request: web.Request) -> Store:
    """The store, acting for whoever sent the request."""
    app = request.app
    return request[ACTING] if app[TOKENS] else app[STORE]


def actor_of(request: web.BaseRequest) -> str:
    """Whoever sent the request, as events name them."""
    return request[ACTING].caller.actor if ACTING in request else ANONYMOUS
