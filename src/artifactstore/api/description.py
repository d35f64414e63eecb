"""`/openapi.json` and `/docs`: what the API is, for programs and for people."""

from __future__ import annotations

import json
from functools import cache

from aiohttp import web

from artifactstore.api.openapi import document as description
from artifactstore.api.openapi import page as reading


@cache
def _text() -> bytes:
    return json.dumps(description.document(), ensure_ascii=False).encode()


async def document(_request: web.Request) -> web.Response:
    """The description: OpenAPI 3.1."""
    return web.Response(body=_text(), content_type="application/json")


async def page(_request: web.Request) -> web.Response:
    """The same as a page, which needs no script and asks for nothing else."""
    return web.Response(
        body=reading.html(),
        content_type="text/html",
        charset="utf-8",
        headers={"Content-Security-Policy": reading.POLICY},
    )
