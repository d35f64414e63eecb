from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain import names
from artifactstore.domain.artifact import ArtifactMetadata
from artifactstore.domain.errors import ArtifactStoreError, InvalidMetadataError, InvalidNameError


@given(st.text(max_size=40))
def test_a_name_that_is_taken_cannot_leave_its_place(text: str) -> None:
    try:
        name = names.check_name(text)
    except InvalidNameError:
        return
    assert name == text
    assert not name.startswith("/")
    assert not {"", ".", ".."} & set(name.split("/"))
    assert name.encode().decode() == name
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in name)


@pytest.mark.parametrize(
    "text", ["", "/a", "a/", "a//b", ".", "a/../b", "a\x00", "a\x85", "x" * 1025, "\ud800", "é" * 513]
)
def test_bad_names(text: str) -> None:
    with pytest.raises(InvalidNameError):
        names.check_name(text)


@pytest.mark.parametrize("text", ["a", "...", "a/.b", "x" * 1024, "é" * 512, "\U0010ffff", "a\u200bb"])
def test_good_names(text: str) -> None:
    assert names.check_name(text) == text


@pytest.mark.parametrize("text", ["", "A", "-a", ".a", "a b", "a/b", "a" * 65, "a\n", "é"])
def test_bad_namespaces(text: str) -> None:
    with pytest.raises(InvalidNameError):
        names.check_namespace(text)


@pytest.mark.parametrize(
    "text",
    ["text/plain", "application/vnd.in-toto+json", 'text/plain; charset="utf-8"', "a/b;c=d ; e=f", 'a/b; c="q\\"x"'],
)
def test_good_media_types(text: str) -> None:
    assert names.check_media_type(text) == text


@pytest.mark.parametrize(
    "text", ["", "text", "text/", "/plain", "a/b;", "a/b; c", "a/b\r\nX: y", 'a/b; c="', "a b/c", "a/" + "b" * 255]
)
def test_bad_media_types(text: str) -> None:
    with pytest.raises(InvalidMetadataError):
        names.check_media_type(text)


def test_labels_are_sorted_and_bounded() -> None:
    assert list(names.check_labels([("b", "2"), ("a", "1")])) == ["a", "b"]
    for pairs in ([("a", "1"), ("a", "1")], [("", "x")], [("a", "x" * 257)], [("a", "\n")], [("a", "\ud800")]):
        with pytest.raises(InvalidMetadataError):
            names.check_labels(pairs)


@pytest.mark.parametrize("text", ['{"a": 1}', ' {"a": {"b": [1e99]}}', "{}"])
def test_provenance_is_kept_as_given(text: str) -> None:
    assert names.check_provenance(text) == text
    assert isinstance(names.parse_provenance(text), dict)


def test_provenance_may_be_a_digest() -> None:
    digest = "sha256:" + "ab" * 32
    assert names.parse_provenance(names.check_provenance(digest.upper().replace("SHA256", "sha256"))) == digest


@pytest.mark.parametrize(
    "text", ["", "[]", "1", "{", '{"a": Infinity}', '{"a":' * 5000, '{"\ud800": 1}', "{" + " " * 70000 + "}"]
)
def test_bad_provenance(text: str) -> None:
    with pytest.raises(InvalidMetadataError):
        names.check_provenance(text)


def nested(depth: int) -> str:
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


def test_the_depth_of_provenance_is_bounded_by_our_own_limit() -> None:
    assert names.check_provenance(nested(64)) == nested(64)
    for text in (nested(65), '{"a":' + "[" * 64 + "]" * 64 + "}"):
        with pytest.raises(InvalidMetadataError, match="64 levels"):
            names.check_provenance(text)
        assert names.parse_provenance(text) == text
    brackets = json.dumps({"a": "[{" * 500 + '\\"[' * 100, "b": [[]] * 500})
    assert names.parse_provenance(names.check_provenance(brackets)) == json.loads(brackets)


@given(st.text('[]{}"\\a', max_size=30))
def test_any_text_of_brackets_and_quotes_has_a_depth(text: str) -> None:
    text = '{"a": ' + text
    try:
        names.check_provenance(text)
    except InvalidMetadataError:
        assert names.parse_provenance(text) == text
    else:
        assert names.parse_provenance(text) == json.loads(text)


def test_a_scan_for_depth_is_linear_in_a_string_that_never_ends() -> None:
    with pytest.raises(InvalidMetadataError, match="well-formed"):
        names.check_provenance('{"' + '\\"' * 32_000)


def test_an_integer_may_have_any_number_of_digits() -> None:
    digits = "9" * 60_000
    text = f'{{"a": {digits}, "c": {"9" * 308}, "d": 7}}'
    found = names.parse_provenance(names.check_provenance(text))
    assert found == {"a": digits, "c": int("9" * 308), "d": 7}


@pytest.mark.parametrize("text", ["{", '{"a": NaN}', '{"a":' * 100_000])
def test_what_is_stored_is_shown_even_when_it_would_be_refused_now(text: str) -> None:
    assert names.parse_provenance(text) == text


def test_metadata_is_checked_as_one() -> None:
    with pytest.raises(InvalidMetadataError) as caught:
        ArtifactMetadata(kind="NO").checked()
    assert caught.value.field == "kind"
    assert ArtifactMetadata(labels={"b": "", "a": ""}).checked().labels == {"a": "", "b": ""}


def test_every_error_has_a_code_of_its_own() -> None:
    def tree(base: type[ArtifactStoreError]) -> list[type[ArtifactStoreError]]:
        return [base, *(error for child in base.__subclasses__() for error in tree(child))]

    codes = [error.code for error in tree(ArtifactStoreError)]
    assert len(codes) == len(set(codes))
