"""Repr-Digest and Content-Digest (RFC 9530): structured-field dictionaries of byte sequences.

IANA's registry knows sha-256 and has no BLAKE3, so sha-256 is what goes out and what is checked; other algorithms are
ignored, as the RFC asks of a recipient that does not know them.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable

from artifactstore.domain.digest import DIGEST_BYTES, Digest
from artifactstore.domain.errors import InvalidDigestError

# RFC 8941, 3.3.5: a byte sequence is base64 between colons; parameters after it are ignored
_BYTES = re.compile(r":([A-Za-z0-9+/]*={0,2}):(?:\s*;.*)?\Z", re.DOTALL)
_KEY = re.compile(r"[a-z*][a-z0-9_.*-]*")


def repr_digest(sha256: Digest) -> str:
    """The value of a Repr-Digest field."""
    return f"sha-256=:{base64.b64encode(sha256.value).decode()}:"


def announced_digests(fields: Iterable[tuple[str, str]]) -> list[Digest]:
    """The SHA-256 digests that (field name, field value) pairs announce; InvalidDigestError for a malformed one."""
    return [digest for name, value in fields for digest in _sha256_members(name, value)]


def _sha256_members(name: str, value: str) -> Iterable[Digest]:
    for member in value.split(","):  # no byte sequence holds a comma
        key = _KEY.match(member.strip())
        if key is None or key[0] != "sha-256":
            continue
        space, equals, item = member.strip().removeprefix("sha-256").partition("=")
        match = _BYTES.match(item.strip()) if equals and not space.strip() else None
        try:
            decoded = base64.b64decode(match[1], validate=True) if match else b""
        except binascii.Error:
            decoded = b""
        if len(decoded) != DIGEST_BYTES:
            raise InvalidDigestError(f"{name} is written sha-256=:<base64 of {DIGEST_BYTES} bytes>:", field=name)
        yield Digest.sha256(decoded)
