from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.api.idempotency import parse_key
from artifactstore.domain.errors import InvalidInputError

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)


@given(VISIBLE)
def test_a_quoted_key_is_what_is_quoted(key: str) -> None:
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    assert parse_key(f'"{escaped}"') == key


@given(VISIBLE.filter(lambda key: not set(key) & set('",\\')))
def test_a_bare_key_is_itself(key: str) -> None:
    assert parse_key(key) == key


@pytest.mark.parametrize(
    "value",
    [
        *("", " ", "a b", "a,b", "a, b", '"', '""', '"a', 'a"', '"a" ', '"a b"', '"a";x=1', '"a","b"', r'"\a"'),
        *(r'"a\"', "é", "\x00", "a\x7f", "a" * 256, f'"{"a" * 256}"', "'a\\'"),
    ],
)
def test_what_is_no_key_is_refused(value: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_key(value)
    assert refused.value.field == "Idempotency-Key"


def test_the_longest_key() -> None:
    assert parse_key("a" * 255) == parse_key(f'"{"a" * 255}"') == "a" * 255
    assert parse_key('"' + '\\"' * 255 + '"') == '"' * 255
