"""What every `spi.ArtifactStore` does with artifacts' records: search, labels, lineage, statements."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import artifactstore
from artifactstore import Artifact, ArtifactMetadata, Digest
from artifactstore.domain.artifact import SignatureOutcome
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    ArtifactStoreError,
    InvalidInputError,
    InvalidMetadataError,
    InvalidNameError,
    InvalidQueryError,
    InvalidStatementError,
    ObjectDamagedError,
    ObjectInUseError,
    ObjectNotFoundError,
    ObjectTooLargeError,
    PreconditionFailedError,
)
from artifactstore.domain.provenance import parse_input
from artifactstore.manifests.dsse import PublicKey, pre_authentication_encoding
from artifactstore.spi import ArtifactStore
from tests.conftest import GatewayFactory

DATA = b"what was generated\n" * 100
NOWHERE = UUID(int=1)
KEY, OTHER_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
IN_TOTO = "application/vnd.in-toto+json"

type Open = Callable[..., Any]


def pem(key: Ed25519PrivateKey) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


KEYID = PublicKey.load(pem(KEY)).keyid


@pytest.fixture(params=["refused", "recorded"])
def bad_signatures(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["root", "server"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, start_gateway: GatewayFactory, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[ArtifactStore]:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "ci.pem").write_bytes(pem(KEY))
    refuse = "bad_signatures" not in request.fixturenames or request.getfixturevalue("bad_signatures") == "refused"
    root = tmp_path / "root"
    where: str | Path = root
    if request.param == "root":
        monkeypatch.setenv("ARTIFACTSTORE_ATTESTATION_KEYS", str(keys))
        monkeypatch.setenv("ARTIFACTSTORE_REFUSE_BAD_SIGNATURES", str(refuse))
    else:
        where = (await start_gateway(root, attestation_keys=str(keys), refuse_bad_signatures=refuse)).url
    async with artifactstore.open(where) as opened:
        assert isinstance(opened, ArtifactStore)
        yield opened


async def put(store: ArtifactStore, name: str, data: bytes = DATA, namespace: str = "default", **says: Any) -> Artifact:
    return (await store.put_file(namespace, name, data, metadata=ArtifactMetadata(**says)))[0]


async def head(store: ArtifactStore) -> int:
    return (await store.events(limit=1000))[-1].seq


# --- search -----------------------------------------------------------------------------------------------------------


async def test_a_search_by_each_term(store: ArtifactStore) -> None:
    log = await put(store, "logs/a", b"a", kind="log", labels={"team": "qa", "os": "linux & co=1"})
    report = await put(store, "reports/b", b"bb", kind="report", labels={"team": "dev"}, media_type="text/html; a=b")
    other = await put(store, "logs/c", b"ccc", "other", kind="log", labels={"os": ""})
    made = [datetime.fromisoformat(item.created_at) for item in (log, report, other)]
    east = timezone(timedelta(hours=5, minutes=30))
    for terms, expected in (
        ({}, [log, report, other]),
        ({"namespace": "other"}, [other]),
        ({"name": "logs/a"}, [log]),
        ({"name_prefix": "logs/"}, [log, other]),
        ({"kind": "log"}, [log, other]),
        ({"kind": "log", "namespace": "default"}, [log]),
        ({"labels": [("team", "qa")]}, [log]),
        ({"labels": [("team", None)]}, [log, report]),
        ({"labels": [("os", "linux & co=1"), ("team", None)]}, [log]),
        ({"labels": [("os", "")]}, [other]),
        ({"labels": [("team", "qa"), ("team", "dev")]}, []),
        ({"media_type": "text/html; a=b"}, [report]),
        ({"digest": report.identity.sha256}, [report]),
        ({"digest": report.identity.blake3}, [report]),
        ({"digest": Digest.blake3(bytes(32))}, []),
        ({"size_min": 2}, [report, other]),
        ({"size_min": 2, "size_max": 2}, [report]),
        ({"size_max": 2**53 - 1}, [log, report, other]),
        ({"created_after": made[1]}, [report, other]),
        ({"created_before": made[1]}, [log]),
        ({"created_after": made[1].astimezone(east), "created_before": made[2].astimezone(east)}, [report]),
        ({"created_before": datetime(1, 1, 1, tzinfo=UTC)}, []),
    ):
        page = await store.artifacts(**terms)
        assert (list(page.items), page.next) == (expected, None), terms


async def test_pages_of_a_search_with_many_terms(store: ArtifactStore) -> None:
    for number in range(7):
        await put(store, f"a/{number}", b"%d" % number, kind="log", labels={"x": "y", "n": str(number)})
    terms: dict[str, Any] = {"labels": [("x", "y"), ("n", None)], "kind": "log", "size_max": 9}
    found: list[str] = []
    cursor = None
    while True:
        page = await store.artifacts(**terms, limit=3, cursor=cursor)
        found += [item.name for item in page.items]
        if (cursor := page.next) is None:
            break
        with pytest.raises(InvalidQueryError):
            await store.artifacts(**{**terms, "size_max": 8}, cursor=cursor)
    assert found == [f"a/{number}" for number in range(7)]


@pytest.mark.parametrize(
    ("terms", "error", "field"),
    [
        ({"namespace": "A"}, InvalidNameError, "namespace"),
        ({"kind": "A"}, InvalidMetadataError, "kind"),
        ({"kind": "k" * 65}, InvalidMetadataError, "kind"),
        ({"media_type": "text"}, InvalidMetadataError, "media_type"),
        ({"labels": [("", "x")]}, InvalidMetadataError, "labels"),
        ({"labels": [("a", "x" * 257)]}, InvalidMetadataError, "labels"),
        ({"labels": [("a", str(number)) for number in range(65)]}, InvalidQueryError, "labels"),
        ({"size_min": -1}, InvalidQueryError, "size_min"),
        ({"size_max": 2**53}, InvalidQueryError, "size_max"),
        ({"created_after": datetime(2026, 1, 1)}, InvalidQueryError, "created_after"),
        (
            {"created_before": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1)))},
            InvalidQueryError,
            "created_before",
        ),
        ({"cursor": "AAAA"}, InvalidQueryError, "cursor"),
    ],
)
async def test_a_bad_search(
    store: ArtifactStore, terms: dict[str, Any], error: type[InvalidInputError], field: str
) -> None:
    with pytest.raises(error) as caught:
        await store.artifacts(**terms)
    assert (type(caught.value), caught.value.field) == (error, field)


# --- records of stored bytes ------------------------------------------------------------------------------------------


async def test_an_artifact_of_stored_bytes(store: ArtifactStore) -> None:
    stored = await store.put_object(DATA)
    metadata = ArtifactMetadata("log", "text/plain", {"b": "", "a": "ü"}, '{"x": 1.50,\n "x": 2}', "year")
    for version, digest in ((1, stored.identity.blake3), (2, stored.identity.sha256)):
        artifact = await store.record_artifact("other", "a b/ü", digest, metadata=metadata)
        assert (artifact.namespace, artifact.name, artifact.version) == ("other", "a b/ü", version)
        assert (artifact.identity, artifact.metadata, artifact.revision) == (stored.identity, metadata, 1)
        assert await store.artifact(artifact.id) == artifact == await store.file("other", "a b/ü")
    with pytest.raises(ObjectInUseError):
        await store.delete_object(stored.identity.blake3)


async def test_what_is_not_stored_is_not_recorded(store: ArtifactStore) -> None:
    stored = (await store.put_object(DATA)).identity
    await store.delete_object(stored.blake3)
    before = await head(store)
    for digest in (stored.blake3, stored.sha256, Digest.sha256(bytes(32))):
        with pytest.raises(ObjectNotFoundError):
            await store.record_artifact("default", "a", digest)
    with pytest.raises(InvalidNameError):
        await store.record_artifact("default", "a//b", stored.blake3)
    with pytest.raises(InvalidMetadataError):
        await store.record_artifact("default", "a", stored.blake3, metadata=ArtifactMetadata(kind="A"))
    assert await head(store) == before


async def test_damaged_bytes_are_not_recorded(store: ArtifactStore, tmp_path: Path) -> None:
    blake3 = (await store.put_object(DATA)).identity.blake3
    (tmp_path / "root/objects/blake3" / blake3.hex[:2] / blake3.hex).unlink()
    assert not (await store.verify_object(blake3)).verified
    with pytest.raises(ObjectDamagedError):
        await store.record_artifact("default", "a", blake3)
    with pytest.raises(ArtifactNotFoundError):
        await store.file("default", "a")


async def test_a_record_has_the_conditions_of_an_upload(store: ArtifactStore) -> None:
    first, second = [(await store.put_object(data)).identity.blake3 for data in (b"1", b"2")]
    await store.record_artifact("default", "a", first, create_only=True)
    for conditions in ({"create_only": True}, {"if_match": frozenset({second})}):
        with pytest.raises(PreconditionFailedError):
            await store.record_artifact("default", "a", second, **conditions)
    assert (await store.record_artifact("default", "a", second, if_match=frozenset({first}))).version == 2


# --- labels -----------------------------------------------------------------------------------------------------------


async def test_labels_are_set_and_taken_away_and_others_stay(store: ArtifactStore) -> None:
    artifact = await put(store, "a", labels={"a": "1", "b": "2", "c": "3"})
    changed = await store.relabel(artifact.id, {"a": "one", "b": None, "d": "4", "never": None})
    metadata = replace(artifact.metadata, labels={"a": "one", "c": "3", "d": "4"})
    assert changed == replace(artifact, metadata=metadata, revision=2) == await store.artifact(artifact.id)
    before = await head(store)
    assert await store.relabel(artifact.id, {"a": "one", "b": None}) == changed
    assert await store.relabel(artifact.id, {}) == changed
    assert await head(store) == before, "what changes nothing is no event"
    for labels, count in (([("a", "1")], 0), ([("b", None)], 0), ([("a", "one"), ("d", "4")], 1)):
        assert len((await store.artifacts(labels=labels)).items) == count


async def test_labels_change_under_a_condition(store: ArtifactStore) -> None:
    artifact = await put(store, "a")
    changed = await store.relabel(artifact.id, {"a": "1"}, if_match=frozenset({1, 7}))
    assert changed.revision == 2
    for revisions in (frozenset({1}), frozenset({3}), frozenset[int]()):
        with pytest.raises(PreconditionFailedError):
            await store.relabel(artifact.id, {"a": "2"}, if_match=revisions)
    assert (await store.relabel(artifact.id, {"a": "2"}, if_match=frozenset({2}))).revision == 3


async def test_labels_that_break_a_rule(store: ArtifactStore) -> None:
    artifact = await put(store, "a", labels={f"l{number}": "" for number in range(60)})
    before = await head(store)
    for changes in ({"": "x"}, {"a b": None}, {"a": "x" * 257}, {"a": "\n"}, {f"m{n}": "" for n in range(5)}):
        with pytest.raises(InvalidMetadataError) as caught:
            await store.relabel(artifact.id, changes)
        assert caught.value.field == "labels"
    assert await head(store) == before
    full = {f"m{number}": "" for number in range(5)} | {"l0": None}
    assert len((await store.relabel(artifact.id, full)).metadata.labels) == 64


async def test_labels_of_what_is_not_there(store: ArtifactStore) -> None:
    artifact = await put(store, "a")
    await store.delete_file("default", "a")
    for identifier in (NOWHERE, artifact.id):
        with pytest.raises(ArtifactNotFoundError):
            await store.relabel(identifier, {"a": "1"})


# --- lineage ----------------------------------------------------------------------------------------------------------


def inputs(*sources: Artifact | Digest) -> str:
    return json.dumps({"inputs": [str(item.id if isinstance(item, Artifact) else item) for item in sources]})


async def test_lineage_both_ways(store: ArtifactStore) -> None:
    source = await put(store, "source", b"source")
    library = await put(store, "library", b"library", provenance=inputs(source.identity.sha256))
    wheel = await put(store, "wheel", b"wheel", provenance=inputs(library, source.identity.blake3))
    one = await store.sources(wheel.id)
    assert set(one.artifacts) == {wheel.id, library.id, source.id}
    assert one.artifacts[library.id] == library
    assert [(edge.artifact_id, str(edge.input), edge.level) for edge in one.edges] == [
        (wheel.id, str(library.id), 1),
        (wheel.id, str(source.identity.blake3), 1),
    ]
    two = await store.sources(wheel.id, depth=2)
    assert [(edge.artifact_id, edge.input, edge.level) for edge in two.edges[2:]] == [
        (library.id, parse_input(str(source.identity.sha256)), 2)
    ]
    made = await store.derived(source.id)
    assert set(made.artifacts) == {source.id, library.id, wheel.id}
    assert {(edge.artifact_id, edge.level) for edge in made.edges} == {(library.id, 1), (wheel.id, 1)}
    assert [found.truncated for found in (one, two, made)] == [False] * 3
    assert (await store.derived(wheel.id, depth=32)).edges == []


async def test_lineage_of_what_is_not_there_or_too_deep(store: ArtifactStore) -> None:
    artifact = await put(store, "a")
    for ask in (store.sources, store.derived):
        with pytest.raises(ArtifactNotFoundError):
            await ask(NOWHERE)
        for depth in (0, -1, 33):
            with pytest.raises(InvalidQueryError) as caught:
                await ask(artifact.id, depth=depth)
            assert (caught.value.field, caught.value.detail) == ("depth", "depth is a whole number from 1 to 32")


# --- statements -------------------------------------------------------------------------------------------------------


def statement(*subjects: dict[str, str], **members: object) -> bytes:
    return json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": digests} for digests in subjects],
            "predicateType": "https://example.org/tested/v1",
            "predicate": {"by": "us"},
            **members,
        }
    ).encode()


def about(artifact: Artifact, *algorithms: str) -> dict[str, str]:
    both = {"sha256": artifact.identity.sha256.hex, "blake3": artifact.identity.blake3.hex}
    return {name: both[name] for name in algorithms or both}


def envelope(payload: bytes, key: Ed25519PrivateKey, keyid: str | None = None) -> bytes:
    signature = {"sig": base64.b64encode(key.sign(pre_authentication_encoding(IN_TOTO, payload))).decode()}
    if keyid is not None:
        signature["keyid"] = keyid
    body = {"payloadType": IN_TOTO, "payload": base64.b64encode(payload).decode(), "signatures": [signature]}
    return json.dumps(body).encode()


async def test_a_statement_is_stored_as_it_is_and_attached_once(store: ArtifactStore) -> None:
    artifact = await put(store, "a", namespace="ci")
    assert await store.attestations(artifact.id) == ()
    document = statement(about(artifact, "sha256"), note=" as it is ")
    attestation, created = await store.attest(artifact.id, document)
    assert created
    assert (attestation.blake3, attestation.predicate_type) == (
        artifact.identity.blake3,
        "https://example.org/tested/v1",
    )
    assert (attestation.signature, attestation.key_id) == (SignatureOutcome.UNSIGNED, None)
    async with await store.open_object(attestation.statement) as content:
        assert b"".join([chunk async for chunk in content.chunks()]) == document
    before = await store.events(limit=1000)
    assert before[-2].payload["namespace"] == "ci"
    assert await store.attest(artifact.id, document) == (attestation, False)
    assert await store.events(limit=1000) == before
    again = await put(store, "b", namespace="ci")  # the same bytes: it is about them
    assert await store.attestations(again.id) == (attestation,) == await store.attestations(artifact.id)
    with pytest.raises(ObjectInUseError):
        await store.delete_object(attestation.statement)


@pytest.mark.parametrize("algorithms", [("sha256",), ("blake3",), ("sha256", "blake3")])
async def test_a_subject_by_either_digest(store: ArtifactStore, algorithms: tuple[str, ...]) -> None:
    artifact = await put(store, "a")
    document = statement({"sha512": "0" * 128}, {"sha256": "0" * 64}, about(artifact, *algorithms))
    assert (await store.attest(artifact.id, document))[1]


async def test_signatures_and_their_outcomes(store: ArtifactStore) -> None:
    artifact = await put(store, "a")
    payload = statement(about(artifact))
    for document, outcome, keyid in (
        (payload, SignatureOutcome.UNSIGNED, None),
        (envelope(payload, KEY), SignatureOutcome.VERIFIED, KEYID),
        (envelope(payload, OTHER_KEY, "someone"), SignatureOutcome.UNVERIFIED, None),
    ):
        attestation, _ = await store.attest(artifact.id, document)
        assert (attestation.signature, attestation.key_id) == (outcome, keyid)
    listed = await store.attestations(artifact.id)
    assert [item.signature for item in listed] == ["unsigned", "verified", "unverified"]


async def test_a_bad_signature_is_refused_or_recorded(store: ArtifactStore, bad_signatures: str) -> None:
    artifact = await put(store, "a")
    forged = envelope(statement(about(artifact)), OTHER_KEY, KEYID)
    if bad_signatures == "recorded":
        attestation, _ = await store.attest(artifact.id, forged)
        assert (attestation.signature, attestation.key_id) == (SignatureOutcome.FAILED, KEYID)
        return
    before = await head(store)
    with pytest.raises(InvalidStatementError) as caught:
        await store.attest(artifact.id, forged)
    assert caught.value.field == "signatures"
    assert await store.attestations(artifact.id) == ()
    assert await head(store) == before, "nothing is stored of what is refused"


async def test_what_is_no_statement_about_the_artifact(store: ArtifactStore) -> None:
    artifact = await put(store, "a")
    before = await head(store)
    contradiction = {"sha256": artifact.identity.sha256.hex, "blake3": "0" * 64}
    for document, field in (
        (b"", None),
        (b"{", None),
        (b"[" * 65 + b"]" * 65, None),
        (b"{}", "_type"),
        (statement(), "subject"),
        (statement({"sha256": "0" * 64}), "subject"),
        (statement({"sha512": "0" * 128}), "subject"),
        (statement(contradiction), "subject"),
        (statement({"sha256": artifact.identity.sha256.hex.upper()}), "subject[0].digest.sha256"),
        (envelope(b"{}", KEY), "payload._type"),
    ):
        with pytest.raises(InvalidStatementError) as caught:
            await store.attest(artifact.id, document)
        assert caught.value.field == field
    with pytest.raises(ObjectTooLargeError):
        await store.attest(artifact.id, statement(about(artifact), note="x" * 2**20))
    assert await head(store) == before
    large = statement(about(artifact), note="x" * (2**20 - 1000))
    assert (await store.attest(artifact.id, large))[1]


async def test_statements_about_what_is_not_there(store: ArtifactStore) -> None:
    artifact = await put(store, "a")
    document = statement(about(artifact))
    await store.attest(artifact.id, document)
    await store.delete_file("default", "a")
    for identifier in (NOWHERE, artifact.id):
        with pytest.raises(ArtifactNotFoundError):
            await store.attest(identifier, document)
    assert len(await store.attestations(artifact.id)) == 1, "a record of what was deleted can be read"
    with pytest.raises(ArtifactStoreError):
        await store.attestations(NOWHERE)
