"""What the log keeps, and what a search hands out: one form each."""

from __future__ import annotations

import json

import rfc8785

from artifactstore.domain.errors import InvalidQueryError, LogCorruptError
from artifactstore.registry import payloads
from artifactstore.registry.cursors import decode_cursor, encode_cursor
from artifactstore.registry.events import EVENT_TYPES, decode, encode

_TYPES = list(EVENT_TYPES)
_QUERY = ("default", None, 7, True)


def cursors(data: bytes) -> None:
    """A cursor that is taken is the one that was made; one that is made is taken."""
    text = data.decode("latin-1")
    try:
        key = decode_cursor(_QUERY, text)
    except InvalidQueryError:
        name = data.decode("utf-8", "replace")
        key = (name[:20], name, len(data))
        text = encode_cursor(_QUERY, key)
        assert len(text) > 4096 or decode_cursor(_QUERY, text) == key
        return
    assert encode_cursor(_QUERY, key) == text


def events(data: bytes) -> None:
    """An event that is read is written again as what reads the same; nothing but LogCorruptError escapes.

    The first byte chooses the type; the subject ends at the first NUL.
    """
    name, version = _TYPES[data[0] % len(_TYPES)] if data else _TYPES[0]
    subject, _, payload = data[1:].partition(b"\0")
    about = subject.decode("utf-8", "replace")
    try:
        event = decode(1, name, version, about, payload)
    except LogCorruptError:
        return
    written = encode(event)
    assert decode(1, name, version, about, written) == event
    assert encode(decode(1, name, version, about, written)) == written
    assert rfc8785.dumps(json.loads(written)) == written


def payloads_of(data: bytes) -> None:
    """What is written of a JSON object is RFC 8785's, by another implementation."""
    try:
        payloads.load(data)
        value = json.loads(data)
    except (ValueError, TypeError, RecursionError):
        return
    try:
        expected = rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeEncodeError):  # half a surrogate has no form
        return
    assert payloads.dump(value) == expected
