"""Commands of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from artifactstore.domain.errors import TokenNotFoundError
from artifactstore.domain.token import Token
from artifactstore.registry.commands.command import Plain
from artifactstore.registry.envelope import RecordedEvent
from artifactstore.registry.events import Event, TokenIssued, TokenRevoked
from artifactstore.registry.rows import Keys, TokenRow, WorkingSet


@dataclass(frozen=True, slots=True)
class IssueToken(Plain):
    """Put a new token in force."""

    event: TokenIssued

    @property
    def keys(self) -> Keys:
        """The token."""
        return Keys(tokens={self.event.id.bytes})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Issued."""
        return (self.event,)

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> Token:
        """The token."""
        return _row(rows, self.event.id).token()


@dataclass(frozen=True, slots=True)
class RevokeToken(Plain):
    """Put a token out of force."""

    id: UUID

    @property
    def keys(self) -> Keys:
        """The token."""
        return Keys(tokens={self.id.bytes})

    def decide(self, rows: WorkingSet) -> Sequence[Event]:
        """Revoked; nothing if it is already."""
        return (TokenRevoked(self.id),) if _row(rows, self.id).revoked_at is None else ()

    def answer(self, rows: WorkingSet, recorded: Sequence[RecordedEvent]) -> Token:
        """The token."""
        return _row(rows, self.id).token()


def _row(rows: WorkingSet, token_id: UUID) -> TokenRow:
    row = rows.tokens[token_id.bytes]
    if row is None:
        raise TokenNotFoundError(f"there is no token {token_id}")
    return row
