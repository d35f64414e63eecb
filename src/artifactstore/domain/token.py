"""Tokens: who may do what, in which namespaces, until when.

A token's text is `ast_<id>_<secret>`: the id's 32 hexadecimal digits, which say which record it is, and 256 random bits
in base64url. Only SHA-256 of the secret is kept: nothing shorter than such a secret needs a slow hash.
"""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from uuid import UUID

from artifactstore.domain import names
from artifactstore.domain.errors import InvalidMetadataError

_TEXT = re.compile(r"ast_([0-9a-f]{32})_([A-Za-z0-9_-]{43})\Z")
#: All namespaces.
EVERY = "*"
MAX_NAMESPACES = 64


class Scope(StrEnum):
    """What a token may do. `admin` may everything, and alone may handle tokens and read the log."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    RETENTION = "retention"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Token:
    """A token's record. Times are UTC text with microseconds, as in the log."""

    id: UUID
    name: str  # who it is for: the actor of what is done with it is `token:<name>`
    secret_hash: bytes  # SHA-256 of the secret
    scopes: frozenset[Scope]
    namespaces: frozenset[str]  # or EVERY alone
    created_at: str
    created_by: str
    expires_at: str | None = None
    revoked_at: str | None = None

    def is_valid(self, secret: str, now: str) -> bool:
        """Whether the secret is this token's, and the token is in force at `now`, UTC text as in the log."""
        genuine = hmac.compare_digest(sha256(secret.encode()).digest(), self.secret_hash)
        return genuine and self.is_in_force(now)

    def is_in_force(self, now: str) -> bool:
        """Whether it is neither revoked nor, at `now`, expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def grants(self, scope: Scope) -> bool:
        """Whether it grants `scope`, wherever that is."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def may(self, scope: Scope, namespace: str | None = None) -> bool:
        """Whether it grants `scope` in the namespace; None: in every one."""
        if not self.grants(scope):
            return False
        return EVERY in self.namespaces or (namespace is not None and namespace in self.namespaces)


def new_secret() -> tuple[str, bytes]:
    """A secret, and what is kept of it."""
    secret = urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return secret, sha256(secret.encode()).digest()


def token_text(token_id: UUID, secret: str) -> str:
    """What the holder shows."""
    return f"ast_{token_id.hex}_{secret}"


def parse_token(text: str) -> tuple[UUID, str] | None:
    """The id and the secret of a token's text; None if it is none."""
    match = _TEXT.match(text)
    return None if match is None else (UUID(hex=match[1]), match[2])


def check_scopes(given: Iterable[str]) -> frozenset[Scope]:
    """At least one scope, each known. InvalidMetadataError."""
    try:
        scopes = frozenset(Scope(item) for item in given)
    except ValueError:
        raise InvalidMetadataError(f"a scope is one of {', '.join(Scope)}", field="scopes") from None
    if not scopes:
        raise InvalidMetadataError("a token has at least one scope", field="scopes")
    return scopes


def check_namespaces(given: Iterable[str]) -> frozenset[str]:
    """Namespaces, or `*` for all of them. InvalidMetadataError, InvalidNameError."""
    found = frozenset(given)
    if not 1 <= len(found) <= MAX_NAMESPACES:
        raise InvalidMetadataError(f"a token is for 1 to {MAX_NAMESPACES} namespaces, or for *", field="namespaces")
    if EVERY in found:
        return frozenset({EVERY})
    return frozenset(names.check_namespace(item) for item in found)
