from __future__ import annotations

import unicodedata
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from artifactstore.domain import package
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import InvalidInputError, InvalidPackageError
from artifactstore.domain.package import (
    PackageContents,
    PackageMember,
    Producer,
    Related,
    check_member_name,
    same_place,
)
from tests.packages import identity_of_bytes

SHA256 = Digest.sha256(b"s" * 32)
NOTHING = identity_of_bytes(b"")
BLAKE3 = Digest.blake3(b"b" * 32)


def checked(*names: str, **said: Any) -> PackageContents:
    members = tuple(PackageMember(name, NOTHING) for name in names or ("a",))
    return replace(PackageContents("default", "run", members), **said).checked()


def refused(*names: str, **said: Any) -> str | None:
    with pytest.raises(InvalidPackageError) as caught:
        checked(*names, **said)
    return caught.value.field


@pytest.mark.parametrize(
    "name",
    [
        *("", "/a", "a/", "a//b", "a/../b", "./a", "a\nb", "a\rb", "a\x7f", "x" * 1025, "\ud800"),
        *("a:b", "C:/x", "a\\b", "a*", "?", "<", ">", '"', "a|b"),
        *("a ", " a", "a. ", "a.", "a./b", "a /b", "\u00a0a", "a\u3000", "a\u2028b", "a\u2029"),
        *("con", "NUL", "nul.txt", "a/aux/b", "Com1", "lpt9.tar.gz", "COM²", "con .x", "CONIN$"),
        *("x" * 256, "é" * 128, "a/" + "x" * 256),
    ],
)
def test_names_that_some_system_cannot_hold(name: str) -> None:
    with pytest.raises(InvalidInputError):
        check_member_name(name)
    assert refused("fine", name) == "members[1].name"


@pytest.mark.parametrize(
    "name",
    [
        "a",
        ".hidden",
        "a/.b",
        "a b",
        "%41",
        "100%",
        "é" * 127,
        "console",
        "com",
        "com10",
        "a.con",
        "data/x",
        "-rf",
        "~",
        "$x",
    ],
)
def test_names_that_every_system_can_hold(name: str) -> None:
    assert check_member_name(name) == name


@pytest.mark.parametrize(
    ("first", "second"),
    [
        *(
            ("a", "a"),
            ("a", "A"),
            ("straße", "STRASSE"),
            ("\u00e9", "e\u0301"),
            ("a/b", "A/B"),
            ("ǰ", "J\u030c"),
            ("α\u0345\u0301", "ά\u0345"),
        ),
        *(("a", "a/b"), ("a/b/c", "a/b"), ("A", "a/b/c"), ("\u00e9/x", "e\u0301")),
    ],
)
def test_names_that_collide(first: str, second: str) -> None:
    assert refused(first, second) in ("members[0].name", "members[1].name")
    assert refused(second, "between", first) in ("members[0].name", "members[2].name")


@given(st.lists(st.text("aAäÄé\u0301/s\u00dfS", min_size=1, max_size=6), min_size=1, max_size=6))
def test_taken_names_can_all_be_made_where_neither_case_nor_spelling_counts(names: list[str]) -> None:
    try:
        contents = checked(*dict.fromkeys(names))
    except InvalidPackageError:
        places = [same_place(name) for name in dict.fromkeys(names)]
        beneath = any(f"{place}/" in f"{other}/" and other != place for place in places for other in places)
        wrong = any({"", "."} & set(name.split("/")) for name in names)
        assert len(set(places)) < len(places) or beneath or wrong
        return
    made: set[str] = set()
    for member in contents.members:
        place = same_place(member.name)
        assert place not in made
        made.add(place)
    directories = {place[:index] for place in made for index in range(len(place)) if place[index] == "/"}
    assert not directories & made


@given(st.text(max_size=8), st.sampled_from(["NFC", "NFD"]), st.sampled_from([str.upper, str.lower, str.casefold]))
def test_a_place_is_the_same_for_every_spelling(text: str, form: Any, case: Any) -> None:
    assume(case(text).casefold() == text.casefold())
    assert same_place(unicodedata.normalize(form, text)) == same_place(text)
    assert same_place(same_place(text)) == same_place(text)


def test_members_are_ordered_by_the_bytes_of_their_names() -> None:
    names = ["b", "a/b", "a.b", "a b", "\ue000", "\U00010000", "Z"]
    assert [member.name for member in checked(*names).members] == [
        "Z",
        "a b",
        "a.b",
        "a/b",
        "b",
        "\ue000",
        "\U00010000",
    ]


def test_a_package_has_1_to_10000_members() -> None:
    assert refused(members=()) == "members"
    many = [f"{index}" for index in range(package.MAX_MEMBERS)]
    assert len(checked(*many).members) == package.MAX_MEMBERS
    assert refused(*many, "one more") == "members"


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"namespace": "No"}, "namespace"),
        ({"name": "a//b"}, "name"),
        ({"label": ""}, "label"),
        ({"label": "1\n2"}, "label"),
        ({"label": "\ud800"}, "label"),
        ({"label": "x" * 257}, "label"),
        ({"completeness_note": "x" * 4097}, "completeness_note"),
        ({"producer": Producer("")}, "producer.name"),
        ({"producer": Producer("x", "1\x00")}, "producer.version"),
        ({"producer": Producer("x", uri="no scheme")}, "producer.uri"),
        ({"producer": Producer("x", uri="https://" + "x" * 2048)}, "producer.uri"),
        ({"retention": "Long term"}, "retention"),
        ({"related": (Related("log", SHA256), Related("NO", SHA256))}, "related[1].relation"),
        ({"related": (Related("log", SHA256), Related("log", SHA256))}, "related"),
        ({"supersedes": (SHA256, SHA256)}, "supersedes"),
        ({"supersedes": tuple(Digest.sha256(bytes([i]) * 32) for i in range(101))}, "supersedes"),
    ],
)
def test_what_a_package_says_keeps_its_rules(said: dict[str, Any], field: str) -> None:
    assert refused(**said) == field


@pytest.mark.parametrize("size", [-1, 2**53])
def test_a_size_is_one_that_json_carries(size: int) -> None:
    member = checked("a").members[0]
    bad = replace(member, identity=replace(member.identity, size_bytes=size))
    assert refused(members=(bad,)) == "members[0].size_bytes"


def test_a_media_type_is_one() -> None:
    member = replace(checked("a").members[0], media_type="text")
    assert refused(members=(member,)) == "members[0].media_type"


def test_what_has_no_order_is_put_in_one() -> None:
    related = (Related("log", SHA256), Related("input", SHA256), Related("input", BLAKE3))
    contents = checked(related=related, supersedes=(SHA256, BLAKE3))
    assert contents.related == (Related("input", BLAKE3), Related("input", SHA256), Related("log", SHA256))
    assert contents.supersedes == (BLAKE3, SHA256)
