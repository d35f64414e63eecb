"""What the events of tokens do to the views."""

from __future__ import annotations

from artifactstore.registry.envelope import RecordedEvent, contradiction
from artifactstore.registry.events import TokenIssued, TokenRevoked
from artifactstore.registry.rows import TokenRow, WorkingSet


def issued(rows: WorkingSet, recorded: RecordedEvent, event: TokenIssued) -> None:
    """The token is in force."""
    key = event.id.bytes
    if rows.tokens[key] is not None:
        raise contradiction(recorded, "the token is there already")
    rows.tokens.put(
        key,
        TokenRow(
            key,
            event.name,
            event.secret_hash,
            " ".join(sorted(event.scopes)),
            " ".join(sorted(event.namespaces)),
            event.expires_at,
            None,
            recorded.time,
            recorded.actor,
            recorded.seq,
        ),
    )


def revoked(rows: WorkingSet, recorded: RecordedEvent, event: TokenRevoked) -> None:
    """The token is in force no more."""
    row = rows.tokens.change(event.id.bytes)
    if row is None or row.revoked_at is not None:
        raise contradiction(recorded, "there is no such token, or it is revoked already")
    row.revoked_at = recorded.time
