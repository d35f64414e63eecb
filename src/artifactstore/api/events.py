"""`/v1/events`: the log in order."""

from __future__ import annotations

from aiohttp import web

from artifactstore.api import queries
from artifactstore.api.keys import store_of


async def get(request: web.Request) -> web.Response:
    """The events after `after`; `next` is where the following page begins, the same `after` when there is none yet."""
    values = queries.parameters(request, ("after", "limit"))
    after = queries.number(values, "after", 0, least=0, most=2**53 - 1)
    events = await store_of(request).events(after=after, limit=queries.page_size(values))
    return web.json_response(
        {"items": [event.document() for event in events], "next": events[-1].seq if events else after}
    )
