"""Header fields and escapes, read one way everywhere."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes
from uuid import UUID

from aiohttp import web

from artifactstore.domain.errors import InvalidInputError

REQUEST_ID = "X-Request-Id"
#: The fields that every answer has.
EVERY_ANSWER = {
    "Server": "artifact-store",  # not which library, in which version, under which Python
    "X-Content-Type-Options": "nosniff",
}

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def decoded(text: str, field: str, refusal: type[InvalidInputError]) -> str:
    """Percent-decoded exactly once, as UTF-8; `refusal` for what is no escape or no UTF-8."""
    if _BROKEN_ESCAPE.search(text):
        raise refusal(f"the {field} holds a '%' that begins no escape; write %25", field=field)
    try:
        return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeDecodeError:
        raise refusal(f"the {field} is not UTF-8 after percent-decoding", field=field) from None


def joined(request: web.Request, name: str) -> str | None:
    """A list field's value, in however many lines it came; None when there is none."""
    values = request.headers.getall(name, None)
    return None if values is None else ", ".join(values)


def single(request: web.Request, name: str, refusal: type[InvalidInputError]) -> str | None:
    """The value of a field that may stand once; `refusal` when it stands twice, since either could be meant."""
    values = request.headers.getall(name, ())
    if len(values) > 1:
        raise refusal(f"{name} stands twice", field=name)
    return values[0] if values else None


def parse_id(text: str, what: str, refusal: type[InvalidInputError], *, field: str = "id") -> UUID:
    """An id as it is printed; `refusal` for anything else."""
    try:
        parsed = UUID(text)
    except ValueError:
        parsed = None
    if parsed is None or str(parsed) != text.lower():  # UUID() takes braces and urn: too
        raise refusal(f"{what} is a UUID, 8-4-4-4-12 hexadecimal digits", field=field)
    return parsed
