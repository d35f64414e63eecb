"""Tokens behind a server's address."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from aiohttp import hdrs

from artifactstore.domain.documents import parse_token
from artifactstore.domain.token import Token
from artifactstore.remote.connection import Connection
from artifactstore.token_spi import IssuedToken, TokenPage


class RemoteTokens:
    """The part of a store behind a server's address that is about tokens."""

    _server: Connection

    async def issue_token(
        self,
        name: str,
        *,
        scopes: Iterable[str],
        namespaces: Iterable[str],
        expires_at: datetime | None = None,
    ) -> IssuedToken:
        """Put a new token in force."""
        document = {"name": name, "scopes": sorted(scopes), "namespaces": sorted(namespaces)}
        if expires_at is not None:
            document["expires_at"] = expires_at.isoformat()

        def parse(answer: dict[str, Any]) -> IssuedToken:
            return IssuedToken(parse_token(answer), str(answer["token"]))

        return await self._server.ask(
            "POST",
            "/v1/tokens",
            parse,
            data=json.dumps(document).encode(),
            headers=[(hdrs.CONTENT_TYPE, "application/json")],
        )

    async def revoke_token(self, token_id: UUID) -> Token:
        """Put a token out of force; TokenNotFoundError."""
        return await self._server.ask("DELETE", f"/v1/tokens/{token_id}", parse_token)

    async def tokens(self, *, after: int = 0, limit: int = 100) -> TokenPage:
        """A page of tokens, revoked ones too, in the order of their issue."""

        def parse(document: dict[str, Any]) -> TokenPage:
            return TokenPage(tuple(parse_token(item) for item in document["items"]), int(document["next"]))

        query = {"after": str(after), "limit": str(limit)}
        return await self._server.ask("GET", "/v1/tokens", parse, query=query)
