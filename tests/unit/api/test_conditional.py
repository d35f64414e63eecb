from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.api.conditional import Outcome, digests_of, entity_tag, evaluate, parse_tags, range_applies
from artifactstore.domain.digest import Digest

BLAKE3 = Digest.blake3(b"x" * 32)
TAG = entity_tag(BLAKE3)


@pytest.mark.parametrize(
    ("if_match", "if_none_match", "outcome"),
    [
        (None, None, Outcome.SEND),
        (TAG, None, Outcome.SEND),
        ("*", None, Outcome.SEND),
        ('"a", ' + TAG, None, Outcome.SEND),
        ("W/" + TAG, None, Outcome.FAILED),
        ('"a"', None, Outcome.FAILED),
        ("", None, Outcome.FAILED),
        (None, TAG, Outcome.NOT_MODIFIED),
        (None, "W/" + TAG, Outcome.NOT_MODIFIED),
        (None, "*", Outcome.NOT_MODIFIED),
        (None, '"a"', Outcome.SEND),
        (None, "", Outcome.SEND),
        ('"a"', TAG, Outcome.FAILED),
        (TAG, TAG, Outcome.NOT_MODIFIED),
    ],
)
def test_conditions(if_match: str | None, if_none_match: str | None, outcome: Outcome) -> None:
    assert evaluate(if_match, if_none_match, BLAKE3) is outcome


@given(st.text(max_size=50))
def test_any_header_is_answered(text: str) -> None:
    for weak in (True, False):
        tags = parse_tags(text, weak=weak)
        assert tags == "*" or all(isinstance(tag, str) for tag in tags)
        digests_of(tags)


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.text(st.characters(codec="ascii", exclude_categories=["Cc", "Zs"], exclude_characters='"'), max_size=8),
        )
    )
)
def test_lists_of_tags_are_read_whole(tags: list[tuple[bool, str]]) -> None:
    header = ", ".join(("W/" if weak else "") + f'"{tag}"' for weak, tag in tags)
    assert parse_tags(header, weak=True) == frozenset(tag for _, tag in tags)
    assert parse_tags(header, weak=False) == frozenset(tag for weak, tag in tags if not weak)


def test_if_range() -> None:
    assert range_applies(None, BLAKE3)
    assert range_applies(TAG, BLAKE3)
    assert not range_applies("W/" + TAG, BLAKE3)
    assert not range_applies("Sat, 01 Jan 2050 00:00:00 GMT", BLAKE3)


def test_tags_that_are_no_digest_match_nothing() -> None:
    assert digests_of(frozenset({str(BLAKE3), "x", "sha256:" + "0" * 64})) == frozenset({BLAKE3})
    assert digests_of("*") == "*"
