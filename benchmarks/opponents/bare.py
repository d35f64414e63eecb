"""aiohttp with nothing behind it: a handler that answers 4 KiB from memory, and its own static files.

`python -m benchmarks.opponents.bare DIRECTORY PORT`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import uvloop
from aiohttp import web

_BODY = os.urandom(4096)


async def memory(request: web.Request) -> web.Response:
    return web.Response(body=_BODY)


def main() -> None:
    app = web.Application()
    app.router.add_get("/memory/{name}", memory)
    app.router.add_static("/static", Path(sys.argv[1]))
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), print=None, access_log=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main()
