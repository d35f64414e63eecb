"""Header fields and addresses."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from urllib.parse import unquote_to_bytes

from artifactstore.api.auth import bearer_token
from artifactstore.api.conditional import parse_tags
from artifactstore.api.content import disposition
from artifactstore.api.digest_fields import announced_digests, repr_digest
from artifactstore.api.fields import decoded
from artifactstore.domain import names
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import (
    InvalidDigestError,
    InvalidInputError,
    InvalidMetadataError,
    InvalidNameError,
    UnauthenticatedError,
)
from artifactstore.domain.package import check_member_name, same_place
from artifactstore.domain.ranges import MAX_RANGES, RangeNotSatisfiable, parse_range
from artifactstore.domain.token import Scope, Token, parse_token, token_text
from artifactstore.tracing import Trace

_SIZE_BYTES = 8


def header(data: bytes) -> str:
    """A field's value, as aiohttp gives it."""
    return data.decode("utf-8", "surrogateescape")


def ranges(data: bytes) -> None:
    """What is to be sent lies within the content, and is what the field says, read by another way."""
    size = int.from_bytes(data[:_SIZE_BYTES], "little") >> 1
    text = header(data[_SIZE_BYTES:])
    try:
        found = parse_range(text, size)
    except RangeNotSatisfiable as fault:
        assert fault.size == size
        found = None
    if found:
        assert len(found) <= MAX_RANGES
        assert all(0 <= item.start < item.stop <= size for item in found)
        assert len(found) == 1 or sum(item.length for item in found) <= size
    expected = _ranges(text, size)
    assert expected is None or expected == ([] if found is None else [(item.start, item.stop) for item in found])


def _ranges(text: str, size: int) -> list[tuple[int, int]] | None:
    """The satisfiable ranges of a plain field, as half-open pairs; None if this does not know better."""
    if not re.fullmatch(r"bytes=(\d{1,15}-\d{0,15}|-\d{1,15})(,(\d{1,15}-\d{0,15}|-\d{1,15})){0,5}", text, re.ASCII):
        return None
    pairs = []
    for part in text.removeprefix("bytes=").split(","):
        first, _, last = part.partition("-")
        if first and last and int(last) < int(first):
            return []
        begin = int(first) if first else max(0, size - int(last))
        end = min(size, int(last) + 1) if first and last else size
        if begin < end:
            pairs.append((begin, end))
    return pairs if len(pairs) < 2 or sum(end - begin for begin, end in pairs) <= size else []


def digest_fields(data: bytes) -> None:
    """What is accepted is what the field's base64 says; what we write is read back."""
    text = header(data)
    try:
        found = announced_digests([("Repr-Digest", text)])
    except InvalidDigestError:
        found = []
    for digest in found:
        assert announced_digests([("Repr-Digest", repr_digest(digest))]) == [digest]
        values = re.findall(r"(?=:([A-Za-z0-9+/]{43}=):)", text)
        assert digest.value in [base64.b64decode(value) for value in values]


def entity_tags(data: bytes) -> None:
    """A tag is in the field, between quotes; weak tags only add; what is written again is read again."""
    text = header(data)
    strong, weak = parse_tags(text, weak=False), parse_tags(text, weak=True)
    assert (strong == "*") is (weak == "*") is (text.strip() == "*")
    if strong == "*" or weak == "*":
        return
    assert strong <= weak
    assert all(f'"{tag}"' in text for tag in weak)
    written = ", ".join(f'"{tag}"' for tag in sorted(weak))
    assert parse_tags(written, weak=False) == weak


def names_and_escapes(data: bytes) -> None:
    """A name that is taken leaves no root, forges no field, and is decoded once."""
    text = header(data)
    try:
        name = names.check_name(decoded(text, "name", InvalidNameError))
    except InvalidNameError:
        return
    assert name.encode() == unquote_to_bytes(text.encode("utf-8", "surrogateescape"))
    assert ".." not in name.split("/")
    assert not name.startswith("/")
    shown = disposition(name)
    assert shown.isascii()
    assert shown.isprintable()
    assert '"' not in shown
    assert ";" not in shown.removeprefix("attachment; ")
    try:
        check_member_name(name)
    except InvalidInputError:
        return
    assert "\\" not in name
    assert same_place(same_place(name)) == same_place(name)


def labels(data: bytes) -> None:
    """Labels that are taken can be written, and are taken again as they are."""
    pairs = []
    for line in header(data).split("\n"):
        key, _, value = line.partition("=")
        try:
            pairs.append((decoded(key, "label", InvalidMetadataError), decoded(value, "label", InvalidMetadataError)))
        except InvalidMetadataError:
            return
    try:
        found = names.check_labels(pairs)
    except InvalidMetadataError:
        return
    assert found == dict(pairs)
    assert list(found) == sorted(found)
    assert names.check_labels(found.items()) == found
    assert all("\n" not in value and "\r" not in value and value.encode() for value in found.values() if value)


def media_types(data: bytes) -> None:
    """A media type that is taken is one line of ASCII, and so safe in a header; kinds and namespaces are words."""
    text = header(data)
    for check in (names.check_media_type, names.check_kind, names.check_retention, names.check_namespace):
        try:
            assert check(text) == text
        except InvalidInputError:
            continue
        assert text.isascii()
        assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text)
    try:
        digest = Digest.parse(text)
    except InvalidDigestError:
        return
    assert str(digest) == text.lower()


def authorization(data: bytes) -> None:
    """Of one field that is written as it is meant, and of no other, comes the token that stands in it."""
    given = header(data).split("\n")
    try:
        found = parse_token(bearer_token(given))
    except UnauthenticatedError:
        found = None
    if found is None:
        assert not re.fullmatch(r"[Bb]earer ast_[0-9a-f]{32}_[A-Za-z0-9_-]{43}", header(data))
        return
    token_id, secret = found
    (field,) = given
    scheme, text = field.split(maxsplit=1)
    assert (scheme.lower(), text.strip()) == ("bearer", token_text(token_id, secret))
    kept = sha256(secret.encode()).digest()
    token = Token(token_id, "name", kept, frozenset({Scope.READ}), frozenset({"a"}), "2026", "somebody")
    assert token.is_valid(secret, "2027")
    assert not token.is_valid(secret.swapcase() if secret.swapcase() != secret else f"{secret}_", "2027")


def traceparent(data: bytes) -> None:
    """A trace goes on if the field is one, read by another way; as the same trace in another span."""
    text = header(data)
    found = Trace.parse(text)
    assert (found is not None) is _is_traceparent(text)
    if found is not None:
        assert (found.trace_id, found.sampled) == (text[3:35], int(text[54], 16) % 2 == 1)
        assert found.span_id != text[36:52]
        again = Trace.parse(found.header())
        assert again is not None
        assert (again.trace_id, again.sampled) == (found.trace_id, found.sampled)


def _is_traceparent(text: str) -> bool:
    """W3C Trace Context, 3.2: version, trace, parent and flags; what follows is a later version's, and is not long."""
    parts = text.split("-")
    if [len(part) for part in parts[:4]] != [2, 32, 16, 2] or set("".join(parts[:4])) - set("0123456789abcdef"):
        return False
    if parts[0] == "ff" or (parts[0] == "00" and len(parts) > 4) or len(text) > 512:
        return False
    return int(parts[1], 16) > 0 and int(parts[2], 16) > 0
