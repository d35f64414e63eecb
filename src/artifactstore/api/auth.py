"""`Authorization`: whose request this is. What they may do is the store's to say (`domain.caller`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import hdrs, web

from artifactstore.api import description, health
from artifactstore.api.keys import ACTING, STORE
from artifactstore.domain.errors import UnauthenticatedError

#: What is answered without a token: that this is here, lives, and how it is spoken to. Nothing of what is stored.
OPEN = frozenset({health.service, health.live, health.state, health.ready, description.document, description.page})


@web.middleware
async def authenticate(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Let the store act for the holder of the request's token: UnauthenticatedError before anything is looked at."""
    store = request.app[STORE]
    if request.match_info.handler not in OPEN:
        store = await store.acting_for(bearer_token(request.headers.getall(hdrs.AUTHORIZATION, ())))
    request[ACTING] = store
    return await handler(request)


def bearer_token(given: Sequence[str]) -> str:
    """The token in a request's `Authorization` fields: UnauthenticatedError unless there is one field, of one."""
    if len(given) != 1:
        raise UnauthenticatedError(
            "this gateway asks for a token: send one, once, as Authorization: Bearer ast_...", field=hdrs.AUTHORIZATION
        )
    scheme, _, text = given[0].partition(" ")
    if scheme.lower() != "bearer":
        raise UnauthenticatedError("Authorization is written Bearer ast_...", field=hdrs.AUTHORIZATION)
    return text.strip()
