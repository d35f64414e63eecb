"""What one writes first: aiohttp, hashlib and the blake3 wheel inline, a temporary file, fsync, rename.

`python -m benchmarks.opponents.naive DIRECTORY PORT`. It acknowledges nothing that is not synced, file and directory.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path

import blake3
import uvloop
from aiohttp import web

ROOT = web.AppKey("root", Path)


async def put(request: web.Request) -> web.Response:
    root = request.app[ROOT]
    sha256, other = hashlib.sha256(), blake3.blake3()
    descriptor, temporary = tempfile.mkstemp(dir=root)
    with os.fdopen(descriptor, "wb") as file:
        async for chunk in request.content.iter_any():
            sha256.update(chunk)
            other.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).rename(root / other.hexdigest())
    directory = os.open(root, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return web.json_response({"blake3": other.hexdigest(), "sha256": sha256.hexdigest()}, status=201)


def main() -> None:
    app = web.Application(client_max_size=0)
    app[ROOT] = Path(sys.argv[1])
    app.router.add_put("/{name:.+}", put)
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), print=None, access_log=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main()
