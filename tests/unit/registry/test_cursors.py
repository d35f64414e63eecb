from __future__ import annotations

import json
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactstore.domain.errors import InvalidQueryError
from artifactstore.registry.cursors import decode_cursor, encode_cursor

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.tuples(TEXT, TEXT, st.integers(1, 2**53 - 1))
QUERIES = st.lists(st.none() | TEXT | st.booleans() | st.integers(0, 1000), max_size=4)
ALPHABET = "ABCXYZabcxyz0189-_=+/ \u00e9"


@given(QUERIES, KEYS)
def test_a_cursor_goes_on_at_its_key(query: list[str | int | bool | None], key: tuple[str, str, int]) -> None:
    cursor = encode_cursor(query, key)
    assert decode_cursor(query, cursor) == key
    assert cursor.isascii()
    assert not set(cursor) & set("=+/ &?#%")


@given(QUERIES, KEYS, st.data())
def test_an_altered_character_is_refused(
    query: list[str | int | bool | None], key: tuple[str, str, int], data: st.DataObject
) -> None:
    cursor = encode_cursor(query, key)
    position = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from(ALPHABET).filter(lambda character: character != cursor[position]))
    with pytest.raises(InvalidQueryError):
        decode_cursor(query, cursor[:position] + other + cursor[position + 1 :])


@given(QUERIES, KEYS, st.data())
@settings(max_examples=50)
def test_a_shorter_or_longer_cursor_is_refused(
    query: list[str | int | bool | None], key: tuple[str, str, int], data: st.DataObject
) -> None:
    cursor = encode_cursor(query, key)
    with pytest.raises(InvalidQueryError):
        decode_cursor(query, cursor[: data.draw(st.integers(0, len(cursor) - 1))])
    with pytest.raises(InvalidQueryError):
        decode_cursor(query, cursor + data.draw(st.text(ALPHABET, min_size=1, max_size=4)))


@given(QUERIES, QUERIES, KEYS)
def test_a_cursor_of_another_search_is_refused(
    query: list[str | int | bool | None], other: list[str | int | bool | None], key: tuple[str, str, int]
) -> None:
    if json.dumps(query) != json.dumps(other):
        with pytest.raises(InvalidQueryError):
            decode_cursor(other, encode_cursor(query, key))


@given(st.text(max_size=60))
def test_any_text_is_refused_in_the_one_way(text: str) -> None:
    with pytest.raises(InvalidQueryError) as caught:
        decode_cursor([], text)
    assert caught.value.field == "cursor"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "null",
        "[]",
        '"k"',
        "{}",
        '{"k":["a","b",1]}',
        '{"f":"0000000000000000","k":["a","b"]}',
        '{"f":"0000000000000000","k":["a","b",1,2]}',
        '{"f":"0000000000000000","k":["a","b",null]}',
        '{"f":"0000000000000000","k":["a","b",1e999]}',
        '{"f":"0000000000000000","k":["a","b",NaN]}',
        '{"f":"0000000000000000","k":["a","b",9007199254740993]}',
        '{"f":"0000000000000000","k":["a","\\ud800",1]}',
        '{"f":"0000000000000000","k":[' + "[" * 2000,
        '{"f":"0000000000000000","k":["a","b",' + "9" * 2900 + "]}",
        " " * 5000,
    ],
)
def test_what_is_base64_of_something_else_is_refused(body: str) -> None:
    with pytest.raises(InvalidQueryError):
        decode_cursor([], urlsafe_b64encode(body.encode()).decode().rstrip("="))
