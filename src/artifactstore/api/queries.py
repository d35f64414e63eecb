"""Query parameters: known names only, each once, numbers within bounds."""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from artifactstore.api.fields import decoded
from artifactstore.domain.errors import InvalidQueryError

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
_MAX_DIGITS = 16  # below 2^53, as all integers of the log


def parameters(request: web.Request, known: Collection[str], *, repeatable: Collection[str] = ()) -> dict[str, str]:
    """The query's parameters but for those that are `repeatable`; one that is unknown, or stands twice, is an error."""
    found: dict[str, str] = {}
    decoded(request.rel_url.raw_query_string, "query", InvalidQueryError)  # the parser below would put up with anything
    for name, value in request.query.items():
        if name in repeatable:
            continue
        if name not in known:
            every = ", ".join((*known, *repeatable))
            raise InvalidQueryError(f"there is no parameter {name[:64]!r} here; known are {every}", field=name[:64])
        if name in found:
            raise InvalidQueryError(f"the parameter {name} stands twice", field=name)
        found[name] = value
    return found


def number[D: int | None](values: dict[str, str], name: str, default: D, *, least: int, most: int) -> int | D:
    """A whole number between `least` and `most`; `default` where the parameter is missing."""
    text = values.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and least <= int(text) <= most):
        raise InvalidQueryError(f"{name} is a whole number from {least} to {most}", field=name)
    return int(text)


def page_size(values: dict[str, str]) -> int:
    """The `limit` of a page."""
    return number(values, "limit", DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
