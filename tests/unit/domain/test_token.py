from __future__ import annotations

from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain.errors import InvalidMetadataError, InvalidNameError
from artifactstore.domain.token import (
    EVERY,
    MAX_NAMESPACES,
    Scope,
    Token,
    check_namespaces,
    check_scopes,
    new_secret,
    parse_token,
    token_text,
)

ISSUED, EXPIRY = "2026-11-24T00:00:00.000000Z", "2026-11-25T00:00:00.000000Z"
IDS = st.builds(UUID, bytes=st.binary(min_size=16, max_size=16))
SCOPES = st.frozensets(st.sampled_from(Scope), min_size=1)
NAMESPACES = st.just(frozenset({EVERY})) | st.frozensets(st.sampled_from("abc"), min_size=1)


def token(
    scopes: frozenset[Scope] = frozenset({Scope.READ}),
    namespaces: frozenset[str] = frozenset({"a"}),
    *,
    secret: str = "secret",
    expires_at: str | None = None,
    revoked_at: str | None = None,
) -> Token:
    kept = sha256(secret.encode()).digest()
    return Token(UUID(int=1), "ci", kept, scopes, namespaces, ISSUED, "test", expires_at, revoked_at)


@given(IDS)
def test_a_token_is_read_as_it_is_shown(token_id: UUID) -> None:
    secret, kept = new_secret()
    text = token_text(token_id, secret)
    assert parse_token(text) == (token_id, secret)
    assert kept == sha256(secret.encode()).digest()
    assert token_text(*parse_token(text) or (UUID(int=0), "")) == text


def test_no_secret_is_made_twice() -> None:
    assert len({new_secret()[0] for _ in range(100)}) == 100


@given(st.text(max_size=100) | st.from_regex(r"ast_[0-9a-fA-F]{30,34}_[A-Za-z0-9_+/=-]{41,45}\n?"))
def test_what_is_read_as_a_token_is_the_only_way_to_write_it(text: str) -> None:
    found = parse_token(text)
    assert found is None or token_text(*found) == text


@pytest.mark.parametrize("change", ["{}\n", " {}", "{}=", "{}A", "Bearer {}", "AST{}"])
def test_what_is_almost_a_token_is_none(change: str) -> None:
    text = token_text(UUID(int=1), new_secret()[0])
    assert parse_token(change.format(text)) is None
    assert parse_token(text[:-1]) is None
    assert parse_token(text.replace("_", "-", 1)) is None


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_only_its_own_secret_is_genuine(secret: str, other: str) -> None:
    assert token(secret=secret).is_valid(other, ISSUED) == (secret == other)


def test_a_token_ends_with_its_expiry_and_with_its_revocation() -> None:
    ending = token(expires_at=EXPIRY)
    assert ending.is_valid("secret", "2026-11-24T23:59:59.999999Z")
    assert not ending.is_valid("secret", EXPIRY)
    assert token().is_valid("secret", "9999-12-31T23:59:59.999999Z")
    assert not token(revoked_at=ISSUED).is_valid("secret", ISSUED)


@given(SCOPES, NAMESPACES, st.sampled_from(Scope), st.sampled_from([None, "a", "b", "d", EVERY]))
def test_what_a_token_grants(
    scopes: frozenset[Scope], namespaces: frozenset[str], scope: Scope, namespace: str | None
) -> None:
    everywhere = namespaces == {EVERY}
    expected = (scope in scopes or Scope.ADMIN in scopes) and (everywhere or namespace in namespaces)
    assert token(scopes, namespaces).may(scope, namespace) == expected


@given(SCOPES)
def test_scopes_are_read_from_their_words(scopes: frozenset[Scope]) -> None:
    assert check_scopes(str(scope) for scope in scopes) == scopes


@pytest.mark.parametrize("given_scopes", [[], ["everything"], ["read", ""], ["READ"]])
def test_scopes_are_known_and_at_least_one(given_scopes: list[str]) -> None:
    with pytest.raises(InvalidMetadataError) as caught:
        check_scopes(given_scopes)
    assert caught.value.field == "scopes"


def test_namespaces_are_names_or_all() -> None:
    assert check_namespaces(["a", "b", "a"]) == {"a", "b"}
    assert check_namespaces(["a", EVERY]) == {EVERY}
    assert len(check_namespaces(map(str, range(MAX_NAMESPACES)))) == MAX_NAMESPACES
    for wrong in ([], list(map(str, range(MAX_NAMESPACES + 1)))):
        with pytest.raises(InvalidMetadataError) as caught:
            check_namespaces(wrong)
        assert caught.value.field == "namespaces"
    with pytest.raises(InvalidNameError):
        check_namespaces(["a", "A b"])
