"""Where a search goes on: the key of a page's last row, opaque to its holder."""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256

import rfc8785

from artifactstore.domain.errors import InvalidQueryError

type Scalar = str | int | bool | None

_FINGERPRINT_DIGITS = 16  # against mix-ups and typing, not against forgery: a forged cursor shows nothing new
_MAX_CURSOR = 4096


def encode_cursor(query: Sequence[Scalar], key: tuple[str, str, int]) -> str:
    """The cursor after `key` in the results of `query`."""
    body = rfc8785.dumps({"k": list(key), "f": _fingerprint(query, key)})
    return urlsafe_b64encode(body).decode().rstrip("=")


def decode_cursor(query: Sequence[Scalar], cursor: str) -> tuple[str, str, int]:
    """The key of a cursor; InvalidQueryError if it was altered or is of another query."""
    refused = InvalidQueryError("the cursor is not one of this search", field="cursor")
    if len(cursor) > _MAX_CURSOR:
        raise refused
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        body = json.loads(urlsafe_b64decode(padded))
        namespace, name, version = body["k"]
        key = (str(namespace), str(name), int(version))
        # The whole is compared: base64 and JSON have several spellings of one value.
        genuine = body["f"] == _fingerprint(query, key) and encode_cursor(query, key) == cursor
    except (binascii.Error, ValueError, TypeError, LookupError, ArithmeticError, RecursionError):
        raise refused from None
    if not genuine:
        raise refused
    return key


def _fingerprint(query: Sequence[Scalar], key: tuple[str, str, int]) -> str:
    return sha256(rfc8785.dumps([list(query), list(key)])).hexdigest()[:_FINGERPRINT_DIGITS]
