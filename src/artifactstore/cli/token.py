"""`token`: who may do what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import click

from artifactstore.cli.addresses import MOMENT, meant
from artifactstore.cli.target import Target, with_target
from artifactstore.domain.documents import token_document
from artifactstore.domain.token import EVERY, Scope, Token, check_namespaces

if TYPE_CHECKING:
    from artifactstore.spi import ArtifactStore
    from artifactstore.token_spi import IssuedToken

_PAGE = 500
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}  # seconds


class _Duration(click.ParamType[timedelta]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        text = str(value)
        number, unit = text[:-1], text[-1:]
        if unit not in _UNITS or not (number.isascii() and number.isdigit()) or len(number) > 9 or not int(number):
            self.fail(f"{text!r} is not a duration such as 90s, 30m, 12h or 30d", param, ctx)
        return timedelta(seconds=int(number) * _UNITS[unit])


@click.group()
def token() -> None:
    """Make, list and revoke tokens. Through a gateway that asks for them, ARTIFACTSTORE_TOKEN holds one."""


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    required=True,
    help="What it may.",
)
@click.option("--namespace", "namespaces", multiple=True, help="Where; may be repeated; '*' is every one.")
@click.option("--expires-in", type=_Duration(), help="How long it is in force, such as 12h or 30d.")
@click.option("--expires-at", type=MOMENT, help="Until when, such as 2027-01-31T23:59:58Z.")
@with_target
def create(
    target: Target,
    name: str,
    scopes: tuple[str, ...],
    namespaces: tuple[str, ...],
    expires_in: timedelta | None,
    expires_at: datetime | None,
) -> None:
    """Make a token for NAME, and print it. It is shown this once."""
    if expires_in is not None and expires_at is not None:
        raise click.UsageError("--expires-in and --expires-at exclude each other")
    try:
        until = expires_at if expires_in is None else datetime.now(UTC) + expires_in
    except OverflowError:
        raise click.UsageError("--expires-in is beyond the end of all times") from None
    if not namespaces and Scope.ADMIN not in scopes:
        raise click.UsageError("say for which namespaces: --namespace NAME, or --namespace '*'")
    with meant():
        within = check_namespaces(namespaces or (EVERY,))

    async def work(store: ArtifactStore) -> IssuedToken:
        return await store.issue_token(name, scopes=scopes, namespaces=within, expires_at=until)

    issued = target.run(work)
    target.print({**token_document(issued.token), "token": issued.text}, issued.text)


@token.command()
@with_target
def ls(target: Target) -> None:
    """List tokens in the order of their issue: id, state, scopes, namespaces, name."""

    async def work(store: ArtifactStore) -> None:
        after = 0
        while (page := await store.tokens(after=after, limit=_PAGE)).items:
            for item in page.items:
                scopes, namespaces = ",".join(sorted(item.scopes)), ",".join(sorted(item.namespaces))
                target.print(token_document(item), f"{item.id}  {_state(item)}  {scopes}  {namespaces}  {item.name}")
            after = page.next

    target.run(work, read_only=True)


@token.command()
@click.argument("token_id", metavar="ID", type=click.UUID)
@with_target
def revoke(target: Target, token_id: UUID) -> None:
    """Put a token out of force."""

    async def work(store: ArtifactStore) -> Token:
        return await store.revoke_token(token_id)

    revoked = target.run(work)
    target.print(token_document(revoked), f"revoked {revoked.id}")


def _state(item: Token) -> str:
    if item.revoked_at is not None:
        return f"revoked {item.revoked_at}"
    return "for ever" if item.expires_at is None else f"until {item.expires_at}"
