"""Namespace and name out of a request's raw path: percent-decoded exactly once, never normalised."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes, urlsplit

from aiohttp import web

from artifactstore.domain import names
from artifactstore.domain.errors import InvalidNameError

FILES = "/v1/files/"
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def file_address(request: web.Request) -> tuple[str, str]:
    """The namespace and the name that a `/v1/files/...` request addresses, checked."""
    target = request.raw_path  # the request line's target as it came
    path = target.partition("?")[0] if target.startswith("/") else urlsplit(target).path
    namespace, _, name = path.removeprefix(FILES).partition("/")
    return names.check_namespace(_decoded(namespace, "namespace")), names.check_name(_decoded(name, "name"))


def file_path(namespace: str, name: str) -> str:
    """The path of a name, percent-encoded: the inverse of `file_address`."""
    return f"{FILES}{namespace}/{quote(name, safe='/')}"


def _decoded(text: str, field: str) -> str:
    if _BROKEN_ESCAPE.search(text):
        raise InvalidNameError(f"the {field} holds a '%' that begins no escape; write %25", field=field)
    try:
        return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidNameError(f"the {field} is not UTF-8 after percent-decoding", field=field) from None
