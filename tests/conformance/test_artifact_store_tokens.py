"""What every `spi.ArtifactStore` does with tokens: issued, listed, revoked, in force through a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest

import artifactstore
from artifactstore.domain.errors import (
    ForbiddenError,
    InvalidMetadataError,
    InvalidNameError,
    InvalidQueryError,
    ObjectNotFoundError,
    TokenNotFoundError,
    UnauthenticatedError,
)
from artifactstore.domain.token import Scope, Token
from artifactstore.spi import ArtifactStore
from artifactstore.token_spi import IssuedToken
from tests.conftest import Gateway, GatewayFactory

NOWHERE = UUID(int=1)
LATER = datetime(2999, 1, 31, 23, 59, 58, 123456, tzinfo=timezone(timedelta(hours=2)))


@dataclass(frozen=True)
class Bound:
    """A store whose caller may handle tokens, and a server over the same root that asks for them."""

    store: ArtifactStore
    gateway: Gateway

    async def as_holder(self, issued: IssuedToken, attempt: str = "anything") -> bytes:
        """What the holder of a token sees of an object of namespace a."""
        async with artifactstore.open(self.gateway.url, token=issued.text) as store:
            stored = await store.put_object(attempt.encode(), namespace="a")
            async with await store.open_object(stored.identity.sha256) as content:
                return b"".join([chunk async for chunk in content.chunks()])


@pytest.fixture(params=["root", "server"])
async def bound(request: pytest.FixtureRequest, tmp_path: Path, start_gateway: GatewayFactory) -> AsyncIterator[Bound]:
    gateway = await start_gateway(tmp_path / "root", tokens="required")
    if request.param == "root":
        yield Bound(gateway.store, gateway)
        return
    administrator = await gateway.store.issue_token("root", scopes={"admin"}, namespaces={"*"})
    await gateway.store.revoke_token((await gateway.store.issue_token("x", scopes={"read"}, namespaces={"a"})).token.id)
    async with artifactstore.open(gateway.url, token=administrator.text) as store:
        yield Bound(store, gateway)


@pytest.fixture
def store(bound: Bound) -> ArtifactStore:
    return bound.store


async def every_token(store: ArtifactStore, limit: int) -> list[Token]:
    found: list[Token] = []
    after = 0
    while True:
        page = await store.tokens(after=after, limit=limit)
        if not page.items:
            assert page.next == after
            return found
        assert len(page.items) <= limit
        found += page.items
        after = page.next


async def test_a_token_is_issued_with_what_was_asked(store: ArtifactStore) -> None:
    issued = await store.issue_token("ü ci", scopes=["write", "read", "read"], namespaces=["b", "a"], expires_at=LATER)
    token = issued.token
    assert issued.text.startswith(f"ast_{token.id.hex}_")
    assert issued.text not in repr(issued)
    assert (token.name, sorted(token.namespaces)) == ("ü ci", ["a", "b"])
    assert token.scopes == {Scope.READ, Scope.WRITE}
    assert (token.expires_at, token.revoked_at) == ("2999-01-31T21:59:58.123456Z", None)
    assert token.created_by
    assert (await every_token(store, 1000))[-1].id == token.id


async def test_every_namespace_is_said_by_a_star(store: ArtifactStore) -> None:
    issued = await store.issue_token("all", scopes=["read"], namespaces=["a", "*"])
    assert issued.token.namespaces == {"*"}
    assert issued.token.expires_at is None


async def test_two_tokens_of_one_name_are_two(store: ArtifactStore) -> None:
    one, other = [await store.issue_token("twin", scopes=["read"], namespaces=["a"]) for _ in range(2)]
    assert one.token.id != other.token.id
    assert one.text != other.text


async def test_tokens_are_paged_in_the_order_of_their_issue(store: ArtifactStore) -> None:
    before = len(await every_token(store, 1000))
    issued = [await store.issue_token(f"t{number}", scopes=["read"], namespaces=["a"]) for number in range(4)]
    revoked = await store.revoke_token(issued[1].token.id)
    for limit in (1, 3, 1000):
        found = (await every_token(store, limit))[before:]
        assert [token.id for token in found] == [item.token.id for item in issued]
        assert found[1].revoked_at == revoked.revoked_at
        assert found[0].revoked_at is None


async def test_a_token_that_is_revoked_stays_so(store: ArtifactStore) -> None:
    issued = await store.issue_token("short", scopes=["read"], namespaces=["a"])
    first = await store.revoke_token(issued.token.id)
    assert first.revoked_at is not None
    assert (await store.revoke_token(issued.token.id)).revoked_at == first.revoked_at
    with pytest.raises(TokenNotFoundError):
        await store.revoke_token(NOWHERE)


async def test_no_record_tells_the_secret(store: ArtifactStore) -> None:
    secret = (await store.issue_token("quiet", scopes=["read"], namespaces=["a"])).text.rpartition("_")[2]
    assert all(secret not in repr(token) for token in await every_token(store, 100))
    assert all(secret not in repr(event) for event in await store.events(limit=1000))


async def test_a_token_is_in_force_from_its_issue_to_its_revocation(bound: Bound) -> None:
    issued = await bound.store.issue_token("worker", scopes=["read", "write"], namespaces=["a"])
    assert await bound.as_holder(issued, "mine") == b"mine"
    stored = [event for event in await bound.store.events(limit=1000) if event.type == "object.stored"]
    assert [event.actor for event in stored] == ["token:worker"]
    await bound.store.revoke_token(issued.token.id)
    with pytest.raises(UnauthenticatedError):
        await bound.as_holder(issued, "no longer")


async def test_a_token_opens_what_it_grants_and_no_more(bound: Bound) -> None:
    hidden = await bound.gateway.store.put_object(b"of b", namespace="b")
    issued = await bound.store.issue_token("reader", scopes=["read"], namespaces=["a"])
    with pytest.raises(ForbiddenError):
        await bound.as_holder(issued)
    async with artifactstore.open(bound.gateway.url, token=issued.text) as holder:
        with pytest.raises(ObjectNotFoundError):
            await holder.object(hidden.identity.blake3)
        for attempt in (
            holder.issue_token("mine", scopes=["admin"], namespaces=["*"]),
            holder.tokens(),
            holder.revoke_token(issued.token.id),
        ):
            with pytest.raises(ForbiddenError):
                await attempt
    assert "mine" not in [token.name for token in await every_token(bound.store, 100)]


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    ("change", "error", "field"),
    [
        ({"name": ""}, InvalidMetadataError, "name"),
        ({"name": "a\nb"}, InvalidMetadataError, "name"),
        ({"name": "a" * 129}, InvalidMetadataError, "name"),
        ({"scopes": ()}, InvalidMetadataError, "scopes"),
        ({"scopes": ("all",)}, InvalidMetadataError, "scopes"),
        ({"namespaces": ()}, InvalidMetadataError, "namespaces"),
        ({"namespaces": ("Upper",)}, InvalidNameError, "namespace"),
        ({"namespaces": tuple(f"n{number}" for number in range(65))}, InvalidMetadataError, "namespaces"),
        ({"expires_at": NOW - timedelta(seconds=1)}, InvalidMetadataError, "expires_at"),
        ({"expires_at": datetime(2999, 1, 1)}, InvalidMetadataError, "expires_at"),
    ],
    ids=lambda value: ascii(value)[:40] if isinstance(value, dict) else "",
)
async def test_a_token_that_cannot_be_is_refused(
    store: ArtifactStore, change: dict[str, object], error: type[Exception], field: str
) -> None:
    before = await every_token(store, 100)
    arguments: dict[str, object] = {"name": "n", "scopes": ("read",), "namespaces": ("a",), **change}
    with pytest.raises(error) as caught:
        await store.issue_token(**arguments)  # type: ignore[arg-type]  # each case's own
    assert getattr(caught.value, "field", None) == field
    assert await every_token(store, 100) == before


async def test_a_page_of_tokens_has_bounds(store: ArtifactStore) -> None:
    for limit in (0, -1, 1001):
        with pytest.raises(InvalidQueryError) as caught:
            await store.tokens(limit=limit)
        assert caught.value.field == "limit"
    with pytest.raises(InvalidQueryError) as caught:
        await store.tokens(after=-1)
    assert caught.value.field == "after"
