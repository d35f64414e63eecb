from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.domain.errors import InvalidPackageError
from artifactstore.domain.manifest import MAX_MANIFEST_BYTES, PREDICATE_TYPE, STATEMENT_TYPE, Manifest
from artifactstore.domain.package import MAX_MEMBERS, Completeness, PackageContents, PackageMember, Producer, Related
from tests.packages import contents_of

VALUES = st.binary(min_size=32, max_size=32)
DIGESTS = st.builds(Digest, st.sampled_from(Algorithm), VALUES)
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=30)
WORDS = st.from_regex(r"[a-z0-9][a-z0-9._/-]{0,10}", fullmatch=True)
IDENTITIES = st.builds(ObjectIdentity, VALUES.map(Digest.blake3), VALUES.map(Digest.sha256), st.integers(0, 2**53 - 1))
NAMES = st.from_regex(r"[a-zé𐀀\ue000-]{1,8}(/[a-z%]{1,4})?", fullmatch=True).map(lambda name: f"{name}-")
MEDIA_TYPES = st.none() | st.sampled_from(["text/plain", 'text/plain; charset="utf-8"'])
CONTENTS = st.builds(
    PackageContents,
    namespace=st.from_regex(r"[a-z0-9][a-z0-9._-]{0,10}", fullmatch=True),
    name=WORDS.filter(lambda name: not {"", ".", ".."} & set(name.split("/"))),
    members=st.dictionaries(NAMES, st.tuples(IDENTITIES, MEDIA_TYPES), min_size=1, max_size=6).map(
        lambda members: tuple(PackageMember(name, *rest) for name, rest in members.items())
    ),
    label=st.none() | TEXTS,
    completeness=st.sampled_from(Completeness),
    completeness_note=st.none() | TEXTS,
    producer=st.none()
    | st.builds(Producer, TEXTS, st.none() | TEXTS, st.none() | st.just("https://example.org/tool?a=b")),
    related=st.sets(st.builds(Related, WORDS, DIGESTS), max_size=4).map(tuple),
    supersedes=st.sets(DIGESTS, max_size=4).map(tuple),
    retention=st.none() | WORDS,
)


@given(CONTENTS, st.randoms())
def test_a_manifest_says_its_contents_and_the_same_contents_give_the_same_bytes(
    contents: PackageContents, random: Any
) -> None:
    manifest = Manifest.of(contents)
    assert Manifest.parse(manifest.encoded) == manifest
    assert manifest.contents == contents.checked()
    assert rfc8785.dumps(json.loads(manifest.encoded)) == manifest.encoded
    shuffled: dict[str, Any] = {
        name: tuple(random.sample(value, len(value)))
        for name in ("members", "related", "supersedes")
        if (value := getattr(contents, name))
    }
    assert Manifest.of(replace(contents, **shuffled)).encoded == manifest.encoded


@given(CONTENTS, st.data())
def test_bytes_that_differ_are_another_manifest_or_none(contents: PackageContents, data: st.DataObject) -> None:
    encoded = bytearray(Manifest.of(contents).encoded)
    index = data.draw(st.integers(0, len(encoded) - 1))
    encoded[index] ^= 1 << data.draw(st.integers(0, 7))
    try:
        found = Manifest.parse(bytes(encoded))
    except InvalidPackageError:
        return
    assert found.contents != contents.checked()
    assert Manifest.of(found.contents).encoded == encoded


def test_the_bytes_of_a_manifest_are_these() -> None:
    contents = replace(
        contents_of({"b": b"b", "a.txt": b""}, label="1.0", retention="long"),
        producer=Producer("tool", "2"),
        completeness=Completeness.COMPLETE,
        related=(Related("log", Digest.sha256(b"\x01" * 32)),),
        supersedes=(Digest.blake3(b"\x02" * 32),),
    )
    encoded = Manifest.of(contents).encoded
    document = json.loads(encoded)
    assert [subject["name"] for subject in document["subject"]] == ["a.txt", "b"]
    assert document["subject"][1]["digest"] == {
        "blake3": contents.members[0].identity.blake3.hex,
        "sha256": hashlib.sha256(b"b").hexdigest(),
    }
    assert document["_type"] == STATEMENT_TYPE
    assert document["predicateType"] == PREDICATE_TYPE
    assert document["predicate"] == {
        "completeness": {"state": "complete"},
        "package": {"name": "evidence/run", "namespace": "default", "version": "1.0"},
        "producer": {"name": "tool", "version": "2"},
        "related": [{"digest": "sha256:" + "01" * 32, "relation": "log"}],
        "retention": "long",
        "sizes": {"a.txt": 0, "b": 1},
        "supersedes": ["blake3:" + "02" * 32],
    }
    assert hashlib.sha256(encoded).hexdigest() == "edc11625b9459952636472d0d1f39c5d41db258975406c40f7bf77762e80ff91"


def document() -> dict[str, Any]:
    contents = replace(
        contents_of({"a": b"", "b": b"b"}, media_type="text/plain"),
        producer=Producer("tool"),
        related=(Related("log", Digest.sha256(b"\x01" * 32)),),
        supersedes=(Digest.sha256(b"\x01" * 32),),
    )
    found: dict[str, Any] = json.loads(Manifest.of(contents).encoded)
    return found


def put(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(statement: Any) -> None:
        for step in path[:-1]:
            statement = statement[step]
        if value is None:
            del statement[path[-1]]
        else:
            statement[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (put("_type", value="https://in-toto.io/Statement/v0.1"), "_type"),
        (put("predicateType", value="https://artifact-store.dev/package/v2"), "predicateType"),
        (put("predicateType", value=None), "predicateType"),
        (put("more", value=1), "more"),
        (put("subject", value={}), "subject"),
        (put("subject", value=[]), "subject"),
        (put("subject", 1, "name", value=None), "subject[1].name"),
        (put("subject", 1, "name", value=7), "subject[1].name"),
        (put("subject", 1, "name", value="c"), "predicate.sizes"),
        (put("subject", 1, "uri", value="x:y"), "subject[1].uri"),
        (put("subject", 1, "mediaType", value="text"), "subject[1].mediaType"),
        (put("subject", 0, "digest", "blake3", value=None), "subject[0].digest.blake3"),
        (put("subject", 0, "digest", "md5", value="00"), "subject[0].digest.md5"),
        (put("subject", 0, "digest", "sha256", value="00"), "subject[0].digest.sha256"),
        (put("predicate", "sizes", "a", value=-1), "predicate.sizes.a"),
        (put("predicate", "sizes", "a", value=1.5), "predicate.sizes.a"),
        (put("predicate", "sizes", "c", value=1), "predicate.sizes"),
        (put("predicate", "package", "namespace", value="NO"), "predicate.package.namespace"),
        (put("predicate", "package", "name", value="a//b"), "predicate.package.name"),
        (put("predicate", "package", "version", value=1), "predicate.package.version"),
        (put("predicate", "completeness", "state", value="done"), "predicate.completeness.state"),
        (put("predicate", "producer", "name", value=None), "predicate.producer.name"),
        (put("predicate", "producer", value=[]), "predicate.producer"),
        (put("predicate", "retention", value="NO"), "predicate.retention"),
        (put("predicate", "related", value=[]), "predicate.related"),
        (put("predicate", "related", 0, "digest", value="01"), "predicate.related[0].digest"),
        (put("predicate", "supersedes", 0, value="md5:00"), "predicate.supersedes[0]"),
        (put("predicate", "created", value="2026-01-01"), "predicate.created"),
    ],
)
def test_a_manifest_is_read_strictly(change: Callable[[dict[str, Any]], None], field: str) -> None:
    statement = document()
    Manifest.parse(rfc8785.dumps(statement))
    change(statement)
    with pytest.raises(InvalidPackageError) as caught:
        Manifest.parse(rfc8785.dumps(statement))
    assert caught.value.field == field


def test_rules_of_the_package_hold_in_a_manifest() -> None:
    statement = document()
    statement["subject"][1]["name"] = "A"
    statement["predicate"]["sizes"] = {"a": 0, "A": 1}
    with pytest.raises(InvalidPackageError, match="case does not count") as caught:
        Manifest.parse(rfc8785.dumps(statement))
    assert caught.value.field == "members[1].name"


def swapped(statement: dict[str, Any]) -> bytes:
    statement["subject"].reverse()
    return rfc8785.dumps(statement)


def upper(statement: dict[str, Any]) -> bytes:
    statement["subject"][0]["digest"]["sha256"] = statement["subject"][0]["digest"]["sha256"].upper()
    return rfc8785.dumps(statement)


@pytest.mark.parametrize(
    "form",
    [
        lambda statement: json.dumps(statement).encode(),
        lambda statement: rfc8785.dumps(statement) + b"\n",
        lambda statement: rfc8785.dumps(statement).replace(b"default", b"d\\u0065fault"),
        lambda statement: rfc8785.dumps(statement).replace(b'"a":0', b'"a":-0'),
        swapped,
        upper,
    ],
)
def test_other_bytes_that_say_the_same_are_refused(form: Callable[[dict[str, Any]], bytes]) -> None:
    with pytest.raises(InvalidPackageError, match="canonical"):
        Manifest.parse(form(document()))


def test_the_largest_manifest_can_be_read() -> None:
    stem = "/".join(["é" * 127] * 4)[:-5]  # with its number 1,013 bytes; none is written in more when it is JSON
    media_type = "text/plain; x=" + '"' + "\\\\" * 119 + '"'
    contents = contents_of({f"{stem}{index:04}": b"" for index in range(MAX_MEMBERS // 100)}, media_type=media_type)
    assert 100 * len(Manifest.of(contents).encoded) < MAX_MANIFEST_BYTES
