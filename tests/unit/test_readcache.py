from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from uuid import UUID, uuid4

import pytest

from artifactstore.domain.artifact import Artifact, ArtifactMetadata, ObjectRecord, ObjectState
from artifactstore.domain.digest import Algorithm, Digest, ObjectIdentity
from artifactstore.generations import Generations
from artifactstore.hashing import dual_digest
from artifactstore.readcache import CONTENT_BYTES, ReadCache


def record_of(data: bytes, state: ObjectState = ObjectState.LIVE) -> ObjectRecord:
    digests = dual_digest(data)
    identity = ObjectIdentity(Digest.blake3(digests.blake3), Digest.sha256(digests.sha256), len(data))
    return ObjectRecord(identity, "memory", Algorithm.BLAKE3, state, "2026-01-01T00:00:00.000000Z")


def version_of(name: str, *, deleted: bool = False, provenance: str | None = None) -> Artifact:
    metadata = ArtifactMetadata(provenance=provenance)
    return Artifact(uuid4(), "default", name, 1, RECORD.identity, metadata, "", "", deleted=deleted)


DATA = b"some content"
RECORD = record_of(DATA)
BLAKE3 = RECORD.identity.blake3


def keep(cache: ReadCache, record: ObjectRecord) -> None:
    with cache.filling() as fill:
        fill.keep_record(record)


def keep_version(cache: ReadCache, artifact: Artifact, *, latest: bool) -> None:
    with cache.filling() as fill:
        fill.keep_version(artifact, latest=latest)


@pytest.fixture
def cache() -> ReadCache:
    return ReadCache(2**20)


def test_an_object_is_known_by_either_digest(cache: ReadCache) -> None:
    assert cache.record(BLAKE3) is None
    keep(cache, RECORD)
    assert cache.record(BLAKE3) == cache.record(RECORD.identity.sha256) == RECORD
    assert cache.record(Digest.sha256(BLAKE3.value)) is None


def test_a_content_goes_with_its_record(cache: ReadCache) -> None:
    cache.keep_content(RECORD, DATA)
    assert cache.content(BLAKE3) is None  # no record is kept that it could go with
    keep(cache, RECORD)
    cache.keep_content(record_of(DATA, ObjectState.DAMAGED), DATA)
    assert cache.content(BLAKE3) is None  # read for a record that is no longer the one
    cache.keep_content(RECORD, DATA)
    assert cache.content(BLAKE3) == DATA
    cache.forget_object(BLAKE3)
    assert cache.content(BLAKE3) is None
    assert cache.record(RECORD.identity.sha256) is None
    assert cache.size_bytes == 0


@pytest.mark.parametrize("state", [state for state in ObjectState if state is not ObjectState.LIVE])
def test_only_live_objects_are_kept(cache: ReadCache, state: ObjectState) -> None:
    keep(cache, record_of(DATA, state))
    assert cache.record(BLAKE3) is None


def test_a_name_is_forgotten_with_all_its_versions(cache: ReadCache) -> None:
    old, new = version_of("name"), version_of("name")
    keep_version(cache, old, latest=False)
    keep_version(cache, new, latest=True)
    assert (cache.latest("default", "name"), cache.version(old.id), cache.version(new.id)) == (new, old, None)
    keep_version(cache, version_of("another"), latest=True)
    cache.forget_name("default", "name")
    assert (cache.latest("default", "name"), cache.version(old.id)) == (None, None)
    assert cache.latest("default", "another") is not None


def test_a_deleted_version_is_not_kept(cache: ReadCache) -> None:
    deleted = version_of("name", deleted=True)
    keep_version(cache, deleted, latest=False)
    assert cache.version(deleted.id) is None


def test_what_was_read_before_it_was_forgotten_is_not_kept(cache: ReadCache) -> None:
    artifact = version_of("name")
    with cache.filling() as fill, cache.filling() as another:
        cache.forget_object(BLAKE3)
        cache.forget_name("default", "name")
        for one in (fill, another):
            one.keep_record(RECORD)
            one.keep_version(artifact, latest=True)
            one.keep_version(artifact, latest=False)
    assert cache.record(BLAKE3) is None
    assert (cache.latest("default", "name"), cache.version(artifact.id)) == (None, None)
    assert cache.size_bytes == 0


def test_what_is_forgotten_elsewhere_does_not_disturb_a_fill(cache: ReadCache) -> None:
    with cache.filling() as fill:
        cache.forget_object(record_of(b"another").identity.blake3)
        cache.forget_name("default", "another")
        fill.keep_record(RECORD)
    assert cache.record(BLAKE3) == RECORD


def test_those_read_last_stay() -> None:
    records = [record_of(bytes([number])) for number in range(4)]
    cache = ReadCache(3 * 1024)
    for record in records[:3]:
        keep(cache, record)
    assert cache.record(records[0].identity.blake3)  # read again: now the second is the oldest
    keep(cache, records[3])
    assert [cache.record(record.identity.blake3) is not None for record in records] == [True, False, True, True]


def test_it_stays_within_its_bound() -> None:
    cache = ReadCache(200_000)
    ids: list[UUID] = []
    for number in range(300):
        record = record_of(bytes(number * 50))
        keep(cache, record)
        cache.keep_content(record, bytes(number * 50))
        artifact = version_of(f"name {number}", provenance="{" + " " * number * 10 + "}")
        ids.append(artifact.id)
        keep_version(cache, artifact, latest=False)
        assert cache.size_bytes <= 200_000
    assert cache.version(ids[0]) is None
    assert cache.version(ids[-1]) is not None
    cache.close()
    assert (cache.size_bytes, cache.version(ids[-1])) == (0, None)


def test_what_is_larger_than_all_of_it_leaves_nothing() -> None:
    cache = ReadCache(4096)
    keep_version(cache, version_of("name", provenance=" " * 5000), latest=True)
    assert (cache.latest("default", "name"), cache.size_bytes) == (None, 0)


def test_large_contents_are_not_kept(cache: ReadCache) -> None:
    data = bytes(CONTENT_BYTES + 1)
    record = record_of(data)
    keep(cache, record)
    cache.keep_content(record, data)
    assert cache.content(record.identity.blake3) is None


def test_a_limit_of_nothing_keeps_nothing() -> None:
    cache = ReadCache(0)
    assert not cache.enabled
    keep(cache, RECORD)
    keep_version(cache, version_of("name"), latest=True)
    assert (cache.record(BLAKE3), cache.latest("default", "name"), cache.size_bytes) == (None, None, 0)


# --- in another process than the writer's ---------------------------------------------------------------------------


@pytest.fixture
def writer() -> Iterator[ReadCache]:
    """The cache of the process that writes, which advances the generations."""
    with closing(Generations.create()) as generations:
        yield ReadCache(2**20, generations)


@pytest.fixture
def follower(writer: ReadCache) -> Iterator[ReadCache]:
    assert writer._advanced is not None
    with closing(Generations(os.dup(writer._advanced.fileno()), writable=False)) as generations:
        yield ReadCache(2**20, generations)


def test_what_the_writer_forgets_a_follower_does_not_give(writer: ReadCache, follower: ReadCache) -> None:
    version = version_of("a")
    keep(follower, RECORD)
    follower.keep_content(RECORD, DATA)
    keep_version(follower, version, latest=True)
    keep_version(follower, version, latest=False)
    assert follower.record(BLAKE3) == RECORD
    assert follower.latest("default", "a") == follower.version(version.id) == version
    writer.forget_object(BLAKE3)
    assert follower.record(BLAKE3) is None
    assert follower.content(BLAKE3) is None
    assert follower.record(RECORD.identity.sha256) is None
    assert follower.latest("default", "a") == version
    writer.forget_name("default", "a")
    assert follower.latest("default", "a") is None
    assert follower.version(version.id) is None
    assert follower.size_bytes == 0


def test_a_follower_keeps_nothing_that_was_read_before_the_writer_forgot_it(
    writer: ReadCache, follower: ReadCache
) -> None:
    version = version_of("a")
    with follower.filling() as fill:
        writer.forget_object(BLAKE3)
        writer.forget_name("default", "a")
        fill.keep_record(RECORD)
        fill.keep_version(version, latest=True)
    assert follower.record(BLAKE3) is None
    assert follower.latest("default", "a") is None
    assert follower.size_bytes == 0
    keep(follower, RECORD)
    assert follower.record(BLAKE3) == RECORD


def test_a_follower_takes_a_newer_version_in_place_of_an_older_one(writer: ReadCache, follower: ReadCache) -> None:
    first, second = version_of("a"), version_of("a")
    keep_version(follower, first, latest=True)
    keep_version(follower, first, latest=False)
    writer.forget_name("default", "a")
    keep_version(follower, second, latest=True)
    assert follower.latest("default", "a") == second
    assert follower.version(first.id) is None


def test_a_follower_forgets_for_itself_alone(writer: ReadCache, follower: ReadCache) -> None:
    keep(writer, RECORD)
    keep(follower, RECORD)
    follower.forget_object(BLAKE3)
    assert follower.record(BLAKE3) is None
    assert writer.record(BLAKE3) == RECORD
