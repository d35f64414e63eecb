"""How a gateway stops, so that no answer is lost.

Readiness turns first: `/health/ready` is 503, every other address is answered as before, with `Connection: close`, and
for a delay that can be set a balancer has time to look. Then the listener closes. A connection closes when it waits for
a request; what is under way goes on, uploads too, and its answer is the connection's last. The deadline is for those
that take longer. aiohttp's own way would not do: a connection that it has told to close takes no more of a body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from aiohttp import hdrs, web

#: Set when the gateway has been told to stop.
STOPPING: web.AppKey[asyncio.Event] = web.AppKey("stopping", asyncio.Event)
#: Between two looks at the connections, in seconds.
_LOOK_SECONDS = 0.02


class Closable(Protocol):
    """One connection."""

    @property
    def awaits_request(self) -> bool:
        """Whether nothing is under way: no request, no part of one."""
        ...

    def force_close(self) -> None:
        """Close it; what is written already still goes out."""
        ...


def end_connection(request: web.Request, response: web.StreamResponse) -> None:
    """Of every answer, before it is sent: once the gateway stops it is the last of its connection."""
    if request.app[STOPPING].is_set():
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"


async def drained(connections: Callable[[], Sequence[Closable]], seconds: float, hurry: asyncio.Event) -> int:
    """Close connections as they become idle, until there are none, `seconds` are over or `hurry` is set.

    How many are left. `connections` are those that are open, also those whose last bytes are not sent yet. One closes
    when two looks in a row find it idle: a request may lie in its socket and not be read yet.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    idle: set[Closable] = set()
    while (left := connections()) and loop.time() < deadline and not hurry.is_set():
        waiting = {connection for connection in left if connection.awaits_request}
        for connection in waiting & idle:
            connection.force_close()
        idle = waiting - idle
        await asyncio.sleep(_LOOK_SECONDS)
    return len(left)
