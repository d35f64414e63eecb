"""Namespace and name out of a request's raw path: percent-decoded exactly once, never normalised."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from aiohttp import web

from artifactstore.api.fields import decoded
from artifactstore.domain import names
from artifactstore.domain.errors import InvalidNameError

FILES = "/v1/files/"


def file_address(request: web.Request) -> tuple[str, str]:
    """The namespace and the name that a `/v1/files/...` request addresses, checked."""
    return _address(request.raw_path)  # the request line's target as it came


@lru_cache(1024)
def _address(target: str) -> tuple[str, str]:
    path = target.partition("?")[0] if target.startswith("/") else urlsplit(target).path
    namespace, _, name = path.removeprefix(FILES).partition("/")
    return (
        names.check_namespace(decoded(namespace, "namespace", InvalidNameError)),
        names.check_name(decoded(name, "name", InvalidNameError)),
    )
