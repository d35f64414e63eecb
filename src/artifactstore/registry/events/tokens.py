"""Events of tokens. A secret is in none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self
from uuid import UUID

from artifactstore.domain.token import Scope
from artifactstore.registry.payloads import Fields


@dataclass(frozen=True, slots=True)
class TokenIssued:
    """A token was made."""

    type: ClassVar[str] = "token.issued"
    version: ClassVar[int] = 1
    id: UUID
    name: str
    secret_hash: bytes
    scopes: frozenset[Scope]
    namespaces: frozenset[str]
    expires_at: str | None

    @property
    def subject(self) -> str:
        """The token."""
        return f"token:{self.id}"

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {
            "id": str(self.id),
            "name": self.name,
            "secret_sha256": self.secret_hash.hex(),
            "scopes": sorted(self.scopes),
            "namespaces": sorted(self.namespaces),
            "expires_at": self.expires_at,
        }

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        return cls(
            UUID(fields.text("id")),
            fields.text("name"),
            bytes.fromhex(fields.text("secret_sha256")),
            frozenset(Scope(item) for item in fields.text_list("scopes")),
            frozenset(fields.text_list("namespaces")),
            fields.text_or_none("expires_at"),
        )


@dataclass(frozen=True, slots=True)
class TokenRevoked:
    """A token is in force no more."""

    type: ClassVar[str] = "token.revoked"
    version: ClassVar[int] = 1
    id: UUID

    @property
    def subject(self) -> str:
        """The token."""
        return f"token:{self.id}"

    def fields(self) -> dict[str, Any]:
        """The payload."""
        return {"id": str(self.id)}

    @classmethod
    def read(cls, subject: str, fields: Fields) -> Self:
        """From a payload."""
        return cls(UUID(fields.text("id")))
