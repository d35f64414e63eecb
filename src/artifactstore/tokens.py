"""Tokens over a local root: issued, listed, revoked, and recognised when somebody shows one.

Theory of operation. What a token's text says is its record's id and a secret. The record is read from the registry once
and kept in memory; the secret is compared, and the end of its time looked at, whenever it is shown. Revoking forgets
the record after the commit and before anybody is answered. A record that is read while another is revoked is used and
not kept, since it may be the past.
"""

from __future__ import annotations

from abc import ABC
from collections import OrderedDict
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from artifactstore.domain import names
from artifactstore.domain.caller import Caller
from artifactstore.domain.errors import InvalidMetadataError, UnauthenticatedError
from artifactstore.domain.token import (
    Scope,
    Token,
    check_namespaces,
    check_scopes,
    new_secret,
    parse_token,
    token_text,
)
from artifactstore.generations import Generations, roles, slot_of
from artifactstore.registry.envelope import timestamp
from artifactstore.registry.log import Clock, utc_now
from artifactstore.registry.registry import Registry
from artifactstore.registry.search import MAX_PAGE, check_after, check_limit
from artifactstore.token_spi import IssuedToken, TokenPage

#: Records that are kept, those shown last.
KEPT = 1024
MAX_NAME_BYTES = 128
_REFUSAL = "the token is not one of this gateway, or is expired or revoked; ask its administrator for another"


class TokenRecords:
    """The records of tokens that were shown; one for all who act on a root."""

    def __init__(
        self,
        registry: Registry,
        clock: Clock = utc_now,
        generations: Generations | None = None,
    ) -> None:
        self._registry = registry
        self._clock = clock
        self._advanced, self._followed = roles(generations)
        self._kept: OrderedDict[UUID, tuple[Token, int]] = OrderedDict()  # with its generation
        self._revocations = 0

    async def recognise(self, text: str) -> Token:
        """The token in force that this is the text of; UnauthenticatedError."""
        parsed = parse_token(text)
        if parsed is None:
            raise UnauthenticatedError("that is no token: one begins with ast_", field="Authorization")
        token_id, secret = parsed
        token = self._known(token_id) or await self._read(token_id)
        if token is None or not token.is_valid(secret, timestamp(self._clock())):
            raise UnauthenticatedError(_REFUSAL, field="Authorization")
        return token

    def _known(self, token_id: UUID) -> Token | None:
        token, generation = self._kept.get(token_id, (None, 0))
        return token if generation == self._generation(token_id) else None

    def _generation(self, token_id: UUID) -> int:
        """What another process, which writes the log, has last revoked of those that have its counter."""
        return 0 if self._followed is None else self._followed.current(slot_of(token_id.bytes))

    async def _read(self, token_id: UUID) -> Token | None:
        before, generation = self._revocations, self._generation(token_id)
        token = await self._registry.token(token_id)
        if token is not None and token.revoked_at is None and before == self._revocations:
            self._kept[token_id] = token, generation
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return token

    def forget(self, token_id: UUID) -> None:
        """It was revoked, or may have been."""
        self._revocations += 1
        self._kept.pop(token_id, None)
        if self._advanced is not None:
            self._advanced.advance(token_id.bytes)

    async def any_in_force(self) -> bool:
        """Whether there is a token that opens anything."""
        now, after = timestamp(self._clock()), 0
        while page := await self._registry.tokens(after=after, limit=MAX_PAGE):
            if any(item.is_in_force(now) for _, item in page):
                return True
            after = page[-1][0]
        return False

    def check_expiry(self, expires_at: datetime | None) -> str | None:
        """A time that is to come, as the log writes it; InvalidMetadataError."""
        if expires_at is None:
            return None
        if expires_at.tzinfo is None:
            raise InvalidMetadataError("expires_at needs its time zone", field="expires_at")
        if expires_at <= self._clock():
            raise InvalidMetadataError("expires_at is over already", field="expires_at")
        return timestamp(expires_at)


class TokenKeeping(ABC):
    """The part of `store.Store` that is about tokens: only who may `admin` in every namespace handles them."""

    registry: Registry
    caller: Caller
    _tokens: TokenRecords

    async def issue_token(
        self,
        name: str,
        *,
        scopes: Iterable[str],
        namespaces: Iterable[str],
        expires_at: datetime | None = None,
    ) -> IssuedToken:
        """Put a new token in force, as `token_spi.TokenIssuing.issue_token` says."""
        self.caller.require(Scope.ADMIN)
        check_token_name(name)
        allowed, within = check_scopes(scopes), check_namespaces(namespaces)
        until = self._tokens.check_expiry(expires_at)
        secret, secret_hash = new_secret()
        token = await self.registry.issue_token(
            name, secret_hash, scopes=allowed, namespaces=within, expires_at=until, actor=self.caller.actor
        )
        return IssuedToken(token, token_text(token.id, secret))

    async def revoke_token(self, token_id: UUID) -> Token:
        """Put a token out of force, from this moment on; TokenNotFoundError."""
        self.caller.require(Scope.ADMIN)
        try:
            return await self.registry.revoke_token(token_id, actor=self.caller.actor)
        finally:
            self._tokens.forget(token_id)

    async def tokens(self, *, after: int = 0, limit: int = 100) -> TokenPage:
        """A page of tokens, revoked ones too, in the order of their issue."""
        self.caller.require(Scope.ADMIN)
        check_limit(limit)
        check_after(after)
        found = await self.registry.tokens(after=after, limit=limit)
        return TokenPage(tuple(token for _, token in found), found[-1][0] if found else after)

    async def any_token_in_force(self) -> bool:
        """Whether there is a token that opens anything."""
        return await self._tokens.any_in_force()


def check_token_name(name: str) -> str:
    """A token's name, which events will tell as its actor: as it is, or InvalidMetadataError."""
    if not name.strip() or len(name.encode(errors="replace")) > MAX_NAME_BYTES or names.actor_name(name) != name:
        raise InvalidMetadataError(
            f"a token's name is text of 1 to {MAX_NAME_BYTES} bytes without control characters", field="name"
        )
    return name
