"""The part of the library's port that is about tokens: the same over a local root and over a server."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from artifactstore.domain.token import Token


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token and its text, which is nowhere else and cannot be asked for again."""

    token: Token
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenPage:
    """One page of tokens; `next` is the `after` of the following one. An empty page is the end."""

    items: tuple[Token, ...]
    next: int


class TokenIssuing(Protocol):
    """Tokens: made, listed, revoked. ForbiddenError for who may not `admin` in every namespace."""

    async def issue_token(
        self,
        name: str,
        *,
        scopes: Iterable[str],
        namespaces: Iterable[str],
        expires_at: datetime | None = None,
    ) -> IssuedToken:
        """Put a new token in force: for `namespaces`, or for `*`, until `expires_at`, aware of its time zone.

        What is done with it has the actor `token:<name>`. InvalidMetadataError, InvalidNameError.
        """
        ...

    async def revoke_token(self, token_id: UUID) -> Token:
        """Put a token out of force, from this moment on; TokenNotFoundError. One that is revoked stays as it was."""
        ...

    async def tokens(self, *, after: int = 0, limit: int = 100) -> TokenPage:
        """A page of tokens, revoked ones too, in the order of their issue. InvalidQueryError."""
        ...
