from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest

from artifactstore.domain.artifact import Artifact, ArtifactMetadata, Attestation, Package, SignatureOutcome
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    ArtifactStoreError,
    InvalidQueryError,
    ObjectDamagedError,
    ObjectInUseError,
    ObjectNotFoundError,
    PackageNotFoundError,
    PreconditionFailedError,
    QuotaExceededError,
    TokenNotFoundError,
)
from artifactstore.domain.lineage import Lineage
from artifactstore.domain.provenance import parse_input
from artifactstore.domain.token import Scope, Token
from artifactstore.domain.usage import Quota, Usage
from artifactstore.registry import lineage
from artifactstore.registry.events import Member
from artifactstore.registry.registry import Registry
from tests.unit.registry.conftest import ACTOR, damage, identity, put_file, put_object

PREDICATE = "https://slsa.dev/provenance/v1"


async def record_known(registry: Registry, number: int, name: str = "a", **options: Any) -> Artifact:
    record = await registry.object(identity(number).blake3)
    assert record is not None
    return await registry.record_known(
        record, **{"namespace": "default", "name": name, "metadata": ArtifactMetadata(), "actor": ACTOR, **options}
    )


async def attest(
    registry: Registry,
    number: int,
    statement: int,
    signature: SignatureOutcome = SignatureOutcome.UNSIGNED,
    key_id: str | None = None,
) -> tuple[Attestation, bool]:
    return await registry.attest(
        identity(number).blake3,
        identity(statement).blake3,
        predicate_type=PREDICATE,
        signature=signature,
        key_id=key_id,
        actor=ACTOR,
    )


async def seal(
    registry: Registry, manifest: int, *members: int, namespace: str = "default", supersedes: UUID | None = None
) -> tuple[Package, bool]:
    named = tuple(Member(f"{place}", identity(number).blake3, "a/b", None) for place, number in enumerate(members))
    return await registry.seal_package(
        namespace, "p", identity(manifest).blake3, named, supersedes=supersedes, actor=ACTOR
    )


async def issue(registry: Registry, name: str = "ci", expires_at: str | None = None) -> Token:
    return await registry.issue_token(
        name,
        bytes(32),
        scopes=frozenset({Scope.READ, Scope.WRITE}),
        namespaces=frozenset({"b", "a"}),
        expires_at=expires_at,
        actor=ACTOR,
    )


async def delete(registry: Registry, number: int) -> None:
    await registry.delete_object(identity(number).blake3, actor=ACTOR)


async def made_from(registry: Registry, name: str, number: int, *inputs: object) -> Artifact:
    provenance = json.dumps({"inputs": [item if isinstance(item, dict) else str(item) for item in inputs]})
    return (await put_file(registry, name, number, metadata=ArtifactMetadata(provenance=provenance)))[0]


def everything(artifact: Artifact) -> bool:
    return True


def names(found: Lineage) -> set[str]:
    return {item.name for item in found.artifacts.values()}


async def refused(registry: Registry, asked: Any, error: type[ArtifactStoreError]) -> None:
    """What is refused leaves no event."""
    head = await registry.head()
    with pytest.raises(error) as caught:
        await asked
    assert type(caught.value) is error
    assert await registry.head() == head


# --- artifacts --------------------------------------------------------------------------------------------------------


async def test_a_known_object_becomes_the_next_version(registry: Registry) -> None:
    await put_object(registry, 1)
    await put_file(registry, "a", 2)
    metadata = ArtifactMetadata(kind="report", labels={"a": "1"})
    artifact = await record_known(registry, 1, metadata=metadata)
    assert (artifact.version, artifact.identity, artifact.metadata) == (2, identity(1), metadata)
    assert await registry.artifact(artifact.id) == artifact == await registry.latest("default", "a")
    assert await record_known(registry, 2, create_only=True, name="b") == await registry.latest("default", "b")


async def test_a_known_object_has_to_be_there_and_whole(registry: Registry) -> None:
    for number in (1, 2):
        await put_object(registry, number)
    await damage(registry, 1)
    await delete(registry, 2)
    await refused(registry, record_known(registry, 1), ObjectDamagedError)
    await refused(registry, record_known(registry, 2), ObjectNotFoundError)


async def test_a_known_object_is_recorded_under_the_caller_s_conditions(registry: Registry) -> None:
    await put_file(registry, "a", 3)
    other = frozenset({identity(1).blake3})
    await refused(registry, record_known(registry, 3, create_only=True), PreconditionFailedError)
    await refused(registry, record_known(registry, 3, if_match=other), PreconditionFailedError)
    for quota in (Quota(objects=1), Quota(size_bytes=5)):
        await refused(registry, record_known(registry, 3, quota=quota), QuotaExceededError)
    same = frozenset({identity(3).blake3})
    assert (await record_known(registry, 3, if_match=same, quota=Quota(2, 6))).version == 2


async def test_labels_are_changed_and_the_revision_counts(registry: Registry) -> None:
    artifact, _ = await put_file(registry, "a", 1)
    changed = await registry.relabel(artifact, {"a": None, "c": "3"}, if_match=frozenset({7, 1}), actor=ACTOR)
    assert (changed.revision, changed.metadata.labels) == (2, {"b": "2", "c": "3"})
    head = await registry.head()
    again = await registry.relabel(artifact, {"c": "3"}, if_match=None, actor=ACTOR)
    assert (again, await registry.head()) == (changed, head)
    await refused(
        registry, registry.relabel(artifact, {}, if_match=frozenset({1}), actor=ACTOR), PreconditionFailedError
    )
    emptied = await registry.relabel(artifact, {"b": None, "c": None}, if_match=frozenset({2}), actor=ACTOR)
    assert (emptied.revision, emptied.metadata.labels) == (3, {})


async def test_a_deleted_artifact_takes_no_labels(registry: Registry) -> None:
    artifact, _ = await put_file(registry, "a", 1)
    await registry.tombstone("default", "a", actor=ACTOR)
    await put_file(registry, "a", 1)
    await refused(registry, registry.relabel(artifact, {}, if_match=None, actor=ACTOR), ArtifactNotFoundError)


async def test_sources_and_what_was_derived(registry: Registry) -> None:
    source, _ = await put_file(registry, "source", 1)
    middle = await made_from(registry, "middle", 2, source.id, {"digest": str(identity(9).sha256)})
    end = await made_from(registry, "end", 3, identity(2).sha256)
    near = await registry.sources(end, 1, everything)
    assert (names(near), near.truncated) == ({"end", "middle"}, False)
    far = await registry.sources(end, 2, everything)
    assert names(far) == {"end", "middle", "source"}
    assert [(edge.artifact_id, edge.level) for edge in far.edges] == [(end.id, 1), (middle.id, 2), (middle.id, 2)]
    assert far.edges[2].input == parse_input(str(identity(9).sha256)), "a source need not be here"
    users = await registry.derived(source, 2, everything)
    assert names(users) == {"source", "middle", "end"}
    assert names(await registry.derived(source, 1, everything)) == {"source", "middle"}
    await registry.tombstone("default", "middle", actor=ACTOR)
    assert names(await registry.derived(source, 2, everything)) == {"source"}


async def test_what_is_not_visible_is_not_walked_through(registry: Registry) -> None:
    source, _ = await put_file(registry, "source", 1)
    await made_from(registry, "middle", 2, source.id)
    end = await made_from(registry, "end", 3, identity(2).blake3)

    def visible(artifact: Artifact) -> bool:
        return artifact.name != "middle"

    assert names(await registry.sources(end, 9, visible)) == {"end"}
    derived = await registry.derived(source, 9, visible)
    assert (names(derived), derived.edges) == ({"source"}, [])


async def test_a_circle_ends(registry: Registry) -> None:
    one = await made_from(registry, "one", 1, identity(2).blake3)
    await made_from(registry, "two", 2, identity(1).blake3)
    for found in (await registry.sources(one, 32, everything), await registry.derived(one, 32, everything)):
        assert (names(found), len(found.edges), found.truncated) == ({"one", "two"}, 2, False)


async def test_a_walk_that_is_cut_short_says_so(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = await put_file(registry, "source", 1)
    for number in range(2, 6):
        await made_from(registry, f"made {number}", number, source.id)
    assert not (await registry.derived(source, 1, everything)).truncated
    monkeypatch.setattr(lineage, "MAX_NODES", 3)
    assert (await registry.derived(source, 1, everything)).truncated
    hidden = await registry.derived(source, 1, lambda artifact: artifact.name == "source")
    assert hidden.truncated, "those that were not read may be visible"


@pytest.mark.parametrize("depth", [0, -1, 33])
async def test_a_walk_has_a_depth(registry: Registry, depth: int) -> None:
    artifact, _ = await put_file(registry, "a", 1)
    for asked in (registry.sources(artifact, depth, everything), registry.derived(artifact, depth, everything)):
        with pytest.raises(InvalidQueryError) as caught:
            await asked
        assert caught.value.field == "depth"


# --- statements -------------------------------------------------------------------------------------------------------


async def test_a_statement_is_attached_once_for_each_outcome(registry: Registry) -> None:
    for number in (1, 2):
        await put_object(registry, number)
    first, new = await attest(registry, 1, 2)
    assert (new, first.blake3, first.statement) == (True, identity(1).blake3, identity(2).blake3)
    assert await attest(registry, 1, 2) == (first, False)
    second, new = await attest(registry, 1, 2, SignatureOutcome.VERIFIED, "key")
    assert (new, second.key_id, second.predicate_type) == (True, "key", PREDICATE)
    attached = await registry.attestations(identity(1).blake3)
    assert [item for _, item in attached] == [first, second]
    assert await registry.attestations(identity(1).blake3, after=attached[0][0]) == attached[1:]
    assert await registry.attestations(identity(1).blake3, limit=1) == attached[:1]
    assert await registry.attestations(identity(2).blake3) == []


async def test_a_statement_needs_both_objects(registry: Registry) -> None:
    await put_object(registry, 1)
    await refused(registry, attest(registry, 1, 2), ObjectNotFoundError)
    await refused(registry, attest(registry, 2, 1), ObjectNotFoundError)


async def test_a_statement_stays_as_long_as_what_it_is_about(registry: Registry) -> None:
    for number in (1, 2):
        await put_object(registry, number)
    await attest(registry, 1, 2)
    await refused(registry, delete(registry, 2), ObjectInUseError)
    await delete(registry, 1)
    assert await registry.attestations(identity(1).blake3) == []
    await delete(registry, 2)
    await put_object(registry, 1)
    assert await registry.attestations(identity(1).blake3) == [], "deleted with what it was about"


async def test_a_statement_goes_in_one_batch_with_all_that_it_is_about(registry: Registry) -> None:
    for number in (1, 2, 3):
        await put_object(registry, number)
    for number in (1, 2):
        await attest(registry, number, 3)
    one, statement = await asyncio.gather(delete(registry, 1), delete(registry, 3), return_exceptions=True)
    assert (one, type(statement)) == (None, ObjectInUseError)
    await asyncio.gather(delete(registry, 2), delete(registry, 3))
    assert await registry.verify_views() is None


# --- packages ---------------------------------------------------------------------------------------------------------


async def test_a_package_is_sealed_once_and_read(registry: Registry) -> None:
    for number in (1, 2, 3):
        await put_object(registry, number)
    package, new = await seal(registry, 3, 1, 2)
    assert (new, package.manifest, package.members, package.size_bytes) == (True, identity(3), 2, 3)
    assert await seal(registry, 3, 1) == (package, False)
    assert await registry.package(package.id) == package
    members = await registry.members(package.id)
    assert [(member.name, member.identity) for member in members] == [("0", identity(1)), ("1", identity(2))]
    for number in (1, 2, 3):
        await refused(registry, delete(registry, number), ObjectInUseError)
    with pytest.raises(PackageNotFoundError):
        await registry.package(UUID(int=1))
    assert await registry.members(UUID(int=1)) == ()


async def test_a_package_holds_what_is_there_and_whole(registry: Registry) -> None:
    for number in (1, 2):
        await put_object(registry, number)
    await damage(registry, 2)
    await refused(registry, seal(registry, 9, 1), ObjectNotFoundError)
    await refused(registry, seal(registry, 1, 9), ObjectNotFoundError)
    await refused(registry, seal(registry, 2, 1), ObjectDamagedError)
    await refused(registry, seal(registry, 1, 1, 2), ObjectDamagedError)


async def test_a_package_is_superseded_once_and_in_its_namespace(registry: Registry) -> None:
    for number in (1, 2, 3):
        await put_object(registry, number)
    first, _ = await seal(registry, 1, 1)
    await refused(registry, seal(registry, 2, 2, supersedes=UUID(int=1)), PackageNotFoundError)
    await refused(registry, seal(registry, 2, 2, supersedes=first.id, namespace="other"), PackageNotFoundError)
    second, _ = await seal(registry, 2, 2, supersedes=first.id)
    assert second.supersedes == first.id
    assert (await registry.package(first.id)).superseded_by == second.id
    await refused(registry, seal(registry, 3, 3, supersedes=first.id), PreconditionFailedError)
    assert (await registry.package(first.id)).superseded_by == second.id


async def test_packages_in_pages(registry: Registry) -> None:
    for number in (1, 2, 3):
        await put_object(registry, number)
    spaces = ("default", "other", "default")
    sealed = [(await seal(registry, number, 1, namespace=space))[0] for number, space in enumerate(spaces, 1)]
    pages = await registry.packages()
    assert [package for _, package in pages] == sealed
    assert await registry.packages(after=pages[0][0], limit=1) == pages[1:2]
    assert await registry.packages(frozenset({"default"})) == [pages[0], pages[2]]
    assert await registry.packages(frozenset({"default", "other"}), "p") == pages
    assert await registry.packages(frozenset({"other"}), "q") == await registry.packages(frozenset()) == []


async def test_a_package_has_more_members_than_a_page(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    await put_object(registry, 1)
    package, _ = await seal(registry, 1, *([1] * 5))
    monkeypatch.setattr("artifactstore.registry.catalog._PAGE", 2)
    assert [member.name for member in await registry.members(package.id)] == list("01234")


# --- tokens and usage -------------------------------------------------------------------------------------------------


async def test_a_token_is_issued_read_and_revoked(registry: Registry) -> None:
    token = await issue(registry, expires_at="2027-01-01T00:00:00.000000Z")
    assert (token.name, sorted(token.scopes), sorted(token.namespaces)) == ("ci", ["read", "write"], ["a", "b"])
    assert await registry.token(token.id) == token
    revoked = await registry.revoke_token(token.id, actor=ACTOR)
    assert token.revoked_at is None is not revoked.revoked_at
    head = await registry.head()
    assert await registry.revoke_token(token.id, actor="another") == revoked == await registry.token(token.id)
    assert await registry.head() == head


async def test_there_is_no_other_token(registry: Registry) -> None:
    assert await registry.token(UUID(int=1)) is None
    await refused(registry, registry.revoke_token(UUID(int=1), actor=ACTOR), TokenNotFoundError)


async def test_tokens_in_pages(registry: Registry) -> None:
    issued = [await issue(registry, name) for name in "abc"]
    pages = await registry.tokens()
    assert [token for _, token in pages] == issued
    assert await registry.tokens(after=pages[0][0], limit=1) == pages[1:2]


async def test_usage_counts_versions_and_bare_uploads_in_full(registry: Registry) -> None:
    assert await registry.usage("default") == Usage("default")
    await put_object(registry, 5)
    await put_object(registry, 5)
    await put_file(registry, "a", 5)
    await put_file(registry, "a", 5)
    await put_object(registry, 5, "other")
    assert await registry.usage("default") == Usage("default", 3, 15)
    assert await registry.usage("other") == Usage("other", 1, 5)
    await registry.tombstone("default", "a", actor=ACTOR)
    assert await registry.usage("default") == Usage("default", 1, 5)
    await put_object(registry, 5, quota=Quota(objects=0))  # there already: nothing more is asked for
    await delete(registry, 5)
    assert [await registry.usage(space) for space in ("default", "other")] == [Usage("default"), Usage("other")]
    await refused(registry, put_object(registry, 5, quota=Quota(size_bytes=4)), QuotaExceededError)


async def test_requests_of_one_batch_share_what_is_left(registry: Registry) -> None:
    asked = (put_object(registry, number, quota=Quota(size_bytes=3)) for number in (2, 1, 3))
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(outcome, QuotaExceededError) for outcome in outcomes] == [False, False, True]
    assert await registry.usage("default") == Usage("default", 2, 3)


async def test_an_object_is_readable_where_it_was_uploaded_or_has_a_version(registry: Registry) -> None:
    blake3 = identity(1).blake3
    await put_object(registry, 1, "bare")
    await put_file(registry, "a", 1, "named")
    for namespaces, expected in (({"bare"}, True), ({"x", "named"}, True), ({"default"}, False), (set[str](), False)):
        assert await registry.readable(blake3, frozenset(namespaces)) == expected
    await registry.tombstone("named", "a", actor=ACTOR)
    assert not await registry.readable(blake3, frozenset({"named"}))
