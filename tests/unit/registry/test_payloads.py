from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import example, given
from hypothesis import strategies as st

from artifactstore.domain.digest import Algorithm
from artifactstore.registry.payloads import MAX_INTEGER, dump, load, text

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(TEXT, VALUES, max_size=6))
@example({"\U0001f600": 1, "\ufb01": 2})  # by UTF-16 the first of them is first, by code point the second
@example({"a": {"\U0001f600": 1, "\ufb01": 2}})
@example({"controls": '\x00\x1f\x7f\x80\u2028\\"/\b\f\n\r\t', "numbers": [-0, 2**53 - 1]})
@example({"algorithm": Algorithm.BLAKE3, "yes": True})
def test_payloads_are_what_another_implementation_writes(fields: dict[str, Any]) -> None:
    assert dump(fields) == rfc8785.dumps(fields)


@given(TEXT)
def test_text_is_what_another_implementation_writes(value: str) -> None:
    assert text(value).encode() == rfc8785.dumps(value)


@pytest.mark.parametrize("value", [2**53, -(2**53), [{"deep": 2**60}], float("nan"), "\ud800", b"bytes"])
def test_what_no_reader_could_take_is_not_written(value: object) -> None:
    with pytest.raises(ValueError):
        dump({"value": value})


@given(st.dictionaries(TEXT, TEXT, max_size=6))
def test_what_is_written_is_read(fields: dict[str, str]) -> None:
    assert load(dump({"labels": fields})).texts("labels") == fields
