"""The JSON of payloads: written canonically (RFC 8785), read back with the type of every value checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from json.encoder import encode_basestring
from typing import Any, Self

import rfc8785

from artifactstore.domain.digest import Algorithm, Digest

#: The largest integer that every reader of JSON holds exactly.
MAX_INTEGER = 2**53 - 1


class Fields:
    """A JSON object as it was read. Each method raises LookupError, TypeError or ValueError for a wrong value."""

    def __init__(self, values: object) -> None:
        if not isinstance(values, dict):
            raise TypeError("it is not an object")
        self._values: dict[str, Any] = values

    def text(self, key: str) -> str:
        """Text that UTF-8 can write."""
        return _text(key, self._values[key])

    def text_or_none(self, key: str) -> str | None:
        """Text, or null."""
        return None if self._values[key] is None else self.text(key)

    def number(self, key: str) -> int:
        """A whole number from 0 to 2^53 - 1."""
        value = self._values[key]
        if type(value) is not int or not 0 <= value <= MAX_INTEGER:
            raise ValueError(f"{key} is a whole number from 0 to {MAX_INTEGER}")
        return value

    def number_or_none(self, key: str) -> int | None:
        """A whole number, or null."""
        return None if self._values[key] is None else self.number(key)

    def digest(self, key: str, algorithm: Algorithm) -> Digest:
        """A digest by that function."""
        digest = Digest.parse(self.text(key))
        if digest.algorithm is not algorithm:
            raise ValueError(f"{key} is a {algorithm} digest")
        return digest

    def digest_or_none(self, key: str, algorithm: Algorithm) -> Digest | None:
        """A digest by that function, or null."""
        return None if self._values[key] is None else self.digest(key, algorithm)

    def texts(self, key: str) -> dict[str, str]:
        """An object whose values are text."""
        value = self._values[key]
        if not isinstance(value, dict):
            raise TypeError(f"{key} is an object")
        return {_text(key, name): _text(key, item) for name, item in value.items()}

    def text_list(self, key: str) -> tuple[str, ...]:
        """An array of texts."""
        value = self._values[key]
        if not isinstance(value, list):
            raise TypeError(f"{key} is an array")
        return tuple(_text(key, item) for item in value)

    def each(self, key: str) -> tuple[Self, ...]:
        """An array of objects."""
        value = self._values[key]
        if not isinstance(value, list):
            raise TypeError(f"{key} is an array")
        return tuple(type(self)(item) for item in value)


def dump(fields: Mapping[str, Any]) -> bytes:
    """The canonical bytes; ValueError for what has none, as numbers from 2^53 on."""
    values = dict(fields)
    try:
        return _written(values).encode()
    except _NotPlainError:
        return rfc8785.dumps(values)


def text(value: str) -> str:
    """Text as canonical JSON writes it."""
    return encode_basestring(value)


def load(payload: bytes) -> Fields:
    """The fields of a payload; ValueError or TypeError if it is no JSON object without fractions."""
    try:
        return Fields(json.loads(payload, parse_float=_refuse, parse_constant=_refuse))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


class _NotPlainError(Exception):
    """A value that the library must write, or refuse."""


def _written(value: object) -> str:
    """What payloads are made of, in canonical form, several times faster than the rfc8785 library.

    RFC 8785 sorts keys by UTF-16 and Python by code point, which is the same for ASCII.
    """
    if type(value) is str:
        return encode_basestring(value)
    if value is None:
        return "null"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int and -MAX_INTEGER <= value <= MAX_INTEGER:
        return str(value)
    if isinstance(value, dict):
        members = []
        for key in sorted(value):
            if type(key) is not str or not key.isascii():
                raise _NotPlainError
            item = value[key]
            text = encode_basestring(item) if type(item) is str else _written(item)
            members.append(f"{encode_basestring(key)}:{text}")
        return f"{{{','.join(members)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    raise _NotPlainError


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{key} is text")
    value.encode()  # JSON can escape half a surrogate pair, which no table takes
    return value


def _refuse(literal: str) -> None:
    raise ValueError(f"{literal} is no whole number")
