from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain import bounded_json
from artifactstore.domain.bounded_json import Node
from artifactstore.domain.errors import InvalidInputError, InvalidNameError, InvalidStatementError
from artifactstore.domain.names import check_namespace

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def read(data: bytes, most_bytes: int = 10_000) -> Node:
    return bounded_json.read(data, InvalidStatementError, most_bytes=most_bytes, what="a statement")


def node(value: object) -> Node:
    return Node(value, "a", InvalidStatementError)


@given(JSON)
def test_json_is_read_as_it_is(value: object) -> None:
    assert read(json.dumps(value).encode(), 10**6).value == value


@given(st.binary(max_size=60) | st.text('[]{}"\\,:1eE.-ntf', max_size=60).map(str.encode))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = read(data).value
    except InvalidStatementError as error:
        assert error.detail.startswith("a statement")
    else:
        assert found == json.loads(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not JSON at character 0"),
        (b"{", "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b'{"a": 1, "a": 1}', "'a' stands twice"),
        (b'{"b": {"a": 1, "c": 2, "a": 3}}', "'a' stands twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b"[1e400]", "no double holds 1e400"),
        (b"[" + b"9" * 5000 + b"]", "not JSON as it is taken here"),
        (b"[1] 2", "not JSON at character 4"),
        (b'"\xff"', "not UTF-8 at byte 1"),
        (b'["\\ud800"]', "half of a surrogate pair"),
        (b'{"a": {"\\uDFFF\\uD800": 1}}', "half of a surrogate pair"),
        (b"[" * 65 + b"]" * 65, "at most 64 levels deep"),
        (b" " * 10_001, "at most 10000 bytes"),
    ],
)
def test_what_is_refused_is_told_why(data: bytes, why: str) -> None:
    with pytest.raises(InvalidStatementError, match=why) as caught:
        read(data)
    assert caught.value.field is None


def test_the_depth_is_bounded_and_not_the_recursion() -> None:
    assert bounded_json.depth("[" * 64) == bounded_json.MAX_DEPTH
    read(b"[" * 64 + b"]" * 64)
    with pytest.raises(InvalidStatementError, match="64 levels"):
        read(b"[" * 1_000_000, 10**7)


def test_a_fault_has_its_place() -> None:
    root = read(b'{"subject": [{}, {"digest": {"sha256": 7}}]}')
    subject = root.members(("subject",))["subject"].items(most=2)[1]
    with pytest.raises(InvalidStatementError) as caught:
        subject.members()["digest"].members()["sha256"].text(most_bytes=64)
    assert caught.value.field == "subject[1].digest.sha256"


def test_pairs_are_text() -> None:
    assert read(rb'"\ud83d\ude00 \\ud800"').value == "\U0001f600 \\ud800"


def test_a_strangers_name_in_a_place_is_short() -> None:
    root = read(b'{"' + b"x" * 5000 + b'": 1}')
    with pytest.raises(InvalidStatementError) as caught:
        root.members(optional=())
    assert caught.value.field is not None
    assert len(caught.value.field.encode()) == 64


@pytest.mark.parametrize("value", [[], "x", None, 1])
def test_members_are_those_of_an_object(value: object) -> None:
    with pytest.raises(InvalidStatementError, match="must be an object"):
        node(value).members()


def test_members_that_are_missing_or_unknown_are_named() -> None:
    with pytest.raises(InvalidStatementError) as caught:
        node({}).members(("b",))
    assert caught.value.field == "a.b"
    assert set(node({"b": 1, "c": 2}).members(("b",))) == {"b", "c"}
    assert set(node({"b": 1, "c": 2}).members(("b",), ("c", "d"))) == {"b", "c"}
    with pytest.raises(InvalidStatementError) as caught:
        node({"b": 1, "c": 2}).members(("b",), ())
    assert caught.value.field == "a.c"


@pytest.mark.parametrize("value", [{}, "x", [], [1, 2, 3]])
def test_items_are_those_of_an_array_of_a_size(value: object) -> None:
    with pytest.raises(InvalidStatementError):
        node(value).items(least=1, most=2)


@pytest.mark.parametrize("value", [1, "", "x" * 9, "é" * 5, None])
def test_bad_texts(value: object) -> None:
    with pytest.raises(InvalidStatementError):
        node(value).text(most_bytes=8)


@pytest.mark.parametrize("value", [-1, 2**53, 1.0, True, "1", None])
def test_bad_integers(value: object) -> None:
    with pytest.raises(InvalidStatementError):
        node(value).integer()


def test_what_a_rule_refuses_is_refused_here() -> None:
    assert node("ns").checked(check_namespace) == "ns"
    with pytest.raises(InvalidStatementError) as caught:
        node("N").checked(check_namespace)
    assert caught.value.field == "a"
    assert not isinstance(caught.value, InvalidNameError)
    assert isinstance(caught.value, InvalidInputError)


def test_a_constant_is_one_of_its_values() -> None:
    assert node("x").constant("x", "y") == "x"
    for value in ("z", 1, None, ["x"]):
        with pytest.raises(InvalidStatementError, match="x or y"):
            node(value).constant("x", "y")
