"""What every `spi.ArtifactStore` does: a local root and a server are one object to whoever uses it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from blake3 import blake3

import artifactstore
from artifactstore import Algorithm, ArtifactMetadata, ByteRange, Digest
from artifactstore.dataplane.sources import Source
from artifactstore.domain.artifact import ObjectState
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    DigestMismatchError,
    IncompleteBodyError,
    InvalidInputError,
    InvalidMetadataError,
    InvalidNameError,
    InvalidQueryError,
    ObjectDamagedError,
    ObjectInUseError,
    ObjectNotFoundError,
    ObjectTooLargeError,
    PreconditionFailedError,
)
from artifactstore.spi import ArtifactStore, Content
from tests.conftest import GatewayFactory

DATA = b"what was generated\n" * 100
LARGE = bytes(range(256)) * 5000 + b"and not a round number of blocks"
LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True)
class Bound:
    """A store under test, and the root that it comes down to."""

    store: ArtifactStore
    root: Path

    async def staged(self) -> list[Path]:
        """What is left in staging, once whoever served the upload has noticed that it is over."""
        while left := list((self.root / "staging").iterdir()):
            await asyncio.sleep(0.01)  # ends, or the test's time limit says what did not
        return left

    def copy_of(self, digest: Digest) -> Path:
        return self.root / "objects" / "blake3" / digest.hex[:2] / digest.hex

    def damage(self, digest: Digest, data: bytes) -> None:
        path = self.copy_of(digest)
        path.chmod(0o640)
        path.write_bytes(data)

    async def head(self) -> int:
        events = await self.store.events(limit=1000)
        return events[-1].seq if events else 0


@pytest.fixture(params=["root", "server"])
async def bound(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    start_gateway: GatewayFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Bound]:
    root = tmp_path / "root"
    if request.param == "root":
        monkeypatch.setenv("ARTIFACTSTORE_MAX_OBJECT_BYTES", str(LIMIT))
        where: str | Path = root
    else:
        where = (await start_gateway(root, max_object_bytes=LIMIT)).url
    async with artifactstore.open(where) as store:
        assert isinstance(store, ArtifactStore)
        yield Bound(store, root)


@pytest.fixture
def store(bound: Bound) -> ArtifactStore:
    return bound.store


def digests(data: bytes) -> tuple[Digest, Digest]:
    return Digest.blake3(blake3(data).digest()), Digest.sha256(hashlib.sha256(data).digest())


async def stream(*buffers: bytes) -> AsyncIterator[bytes]:
    for buffer in buffers:
        await asyncio.sleep(0)
        yield buffer


async def read(content: Content) -> bytes:
    assert isinstance(content, Content)
    async with content:
        data = b"".join([chunk async for chunk in content.chunks()])
    assert len(data) == content.byte_range.length
    return data


WRONG = [Digest.blake3(b"0" * 32), Digest.sha256(b"0" * 32)]


# --- bytes in -------------------------------------------------------------------------------------------------------


def sources(data: bytes, file: Path) -> dict[str, Source]:
    """The same bytes in every form that a store takes."""
    file.write_bytes(data)
    half = len(data) // 2
    return {
        "bytes": data,
        "path": file,
        "stream": stream(data[:half], data[half:]),
        "stream of one": stream(data),
        "stream with empty buffers": stream(b"", data[:half], b"", data[half:], b""),
    }


@pytest.mark.parametrize("data", [b"", b"x", DATA, LARGE], ids=["empty", "one", "small", "large"])
async def test_an_object_is_read_back_by_either_digest(store: ArtifactStore, tmp_path: Path, data: bytes) -> None:
    for number, form in enumerate(sources(data, tmp_path / "source")):
        content = data + b"%d" % number if data else data
        stored = await store.put_object(sources(content, tmp_path / "source")[form])
        assert stored.created is (bool(data) or number == 0), form
        assert stored.state is ObjectState.LIVE
        assert (stored.identity.blake3, stored.identity.sha256) == digests(content), form
        assert stored.identity.size_bytes == len(content)
        for digest in digests(content):
            assert await read(await store.open_object(digest)) == content
            found = await store.object(digest)
            assert (found.identity, found.created, found.state) == (stored.identity, False, ObjectState.LIVE)


async def test_buffers_may_be_views_and_arrays(store: ArtifactStore) -> None:
    async def views() -> AsyncIterator[bytes | bytearray | memoryview]:
        yield bytearray(DATA[:100])
        yield memoryview(DATA)[100:]

    assert (await store.put_object(views())).identity.blake3 == digests(DATA)[0]


@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
async def test_what_is_stored_is_not_new(bound: Bound, data: bytes) -> None:
    await bound.store.put_object(data)
    assert not (await bound.store.put_object(data)).created
    assert await bound.head() == 1
    assert not (await bound.store.put_object(data, namespace="other")).created
    assert await bound.head() == 2, "another namespace's claim is recorded"


@pytest.mark.parametrize("data", [b"", DATA, LARGE], ids=["empty", "small", "large"])
async def test_expected_digests(bound: Bound, data: bytes) -> None:
    put_object, put_file = bound.store.put_object, bound.store.put_file
    refused: Sequence[Sequence[Digest]] = [
        [WRONG[0]],
        [WRONG[1]],
        [*digests(data), WRONG[0]],
        [*digests(data), WRONG[1]],
        [digests(data)[1], WRONG[0]],
        [WRONG[1], digests(data)[0]],
    ]
    for size in (None, len(data)):
        for expected in refused:
            with pytest.raises(DigestMismatchError):
                await put_object(stream(data), expected=expected, size_hint=size)
            with pytest.raises(DigestMismatchError):
                await put_file("default", "a", stream(data), expected=expected, size_hint=size)
    assert await bound.head() == 0
    assert await bound.staged() == []
    with pytest.raises(ObjectNotFoundError):
        await bound.store.object(digests(data)[0])
    for size in (None, len(data)):
        for expected in ([digests(data)[0]], [digests(data)[1]], digests(data), digests(data)[::-1]):
            stored = await put_object(stream(data), expected=expected, size_hint=size)
            assert stored.identity.blake3 == digests(data)[0]
            artifact, _ = await put_file("default", "a", stream(data), expected=expected, size_hint=size)
            assert artifact.identity == stored.identity
        for expected in ([digests(data)[0], WRONG[1]], [digests(data)[1], WRONG[0]], [*digests(data), WRONG[0]]):
            with pytest.raises(DigestMismatchError):  # of an object that is there already, too
                await put_object(stream(data), expected=expected, size_hint=size)


@pytest.mark.parametrize("data", [DATA, LARGE], ids=["small", "large"])
async def test_a_stream_of_another_length_than_announced(bound: Bound, data: bytes) -> None:
    with pytest.raises(IncompleteBodyError):
        await bound.store.put_object(stream(data[:1000], data[1000:]), size_hint=len(data) + 1)
    with pytest.raises(InvalidInputError) as caught:
        await bound.store.put_object(stream(data[:1000], data[1000:]), size_hint=len(data) - 1)
    assert caught.value.field == "size_hint"
    assert await bound.staged() == []
    assert await bound.head() == 0


async def test_bytes_of_another_length_than_announced(bound: Bound) -> None:
    with pytest.raises(IncompleteBodyError):
        await bound.store.put_object(DATA, size_hint=len(DATA) + 1)
    with pytest.raises(InvalidInputError) as caught:
        await bound.store.put_object(DATA, size_hint=len(DATA) - 1)
    assert caught.value.field == "size_hint"
    assert await bound.head() == 0


async def test_a_file_that_does_not_know_its_size_is_read_to_its_end(store: ArtifactStore) -> None:
    version = Path("/proc/version")
    assert version.stat().st_size == 0
    assert (await store.put_object(version)).identity.blake3 == digests(version.read_bytes())[0]


class SourceGoneError(OSError):
    """A caller's own."""


async def test_a_source_that_fails_stores_nothing_and_its_own_error_goes_on(bound: Bound) -> None:
    async def broken(data: bytes, error: Exception) -> AsyncIterator[bytes]:
        if data:
            yield data
        raise error

    for data in (b"", DATA, LARGE):
        for size_hint in (None, 3 * 1024 * 1024):
            for gone in (SourceGoneError("unplugged"), RuntimeError("no more")):
                with pytest.raises(type(gone)) as caught:
                    await bound.store.put_object(broken(data, gone), size_hint=size_hint)
                assert caught.value is gone
            with pytest.raises(SourceGoneError):
                await bound.store.put_file("default", "a", broken(data, SourceGoneError()), size_hint=size_hint)
    with pytest.raises(FileNotFoundError):
        await bound.store.put_object(bound.root / "no such file")
    assert await bound.staged() == []
    assert await bound.head() == 0
    assert (await bound.store.put_object(DATA)).created, "the store goes on"


async def test_more_than_the_limit_is_refused(bound: Bound) -> None:
    pieces = [b"x" * 65536] * (LIMIT // 65536) + [b"x"]
    for size in (None, LIMIT + 1):
        with pytest.raises(ObjectTooLargeError):
            await bound.store.put_object(stream(*pieces), size_hint=size)
    assert await bound.staged() == []
    assert await bound.head() == 0


async def test_the_key_of_an_object_is_the_local_roots_to_choose(bound: Bound, request: pytest.FixtureRequest) -> None:
    if "server" in request.node.name:
        with pytest.raises(InvalidInputError) as caught:
            await bound.store.put_object(DATA, primary_algorithm=Algorithm.SHA256)
        assert caught.value.field == "primary_algorithm"
    else:
        stored = await bound.store.put_object(DATA, primary_algorithm=Algorithm.SHA256)
        assert await read(await bound.store.open_object(stored.identity.blake3)) == DATA


# --- files ----------------------------------------------------------------------------------------------------------

METADATA = ArtifactMetadata(
    kind="evidence/log",
    media_type='text/plain; charset="utf-8"',
    labels={"team": "qualité & мир 🜁", "equals": "a=b%20c, d;", "empty": "", "Spaces": "  both ends  "},
    provenance='{"commit": "abc", "n": 1e400, "x":1.10,  "x":12345678901234567890}',
    retention="one-year",
)


async def test_a_file_is_recorded_as_given(store: ArtifactStore) -> None:
    artifact, created = await store.put_file("ci.builds", "logs/today.txt", DATA, metadata=METADATA)
    assert created
    assert artifact.metadata == METADATA.checked()
    assert (artifact.namespace, artifact.name, artifact.version) == ("ci.builds", "logs/today.txt", 1)
    assert (artifact.revision, artifact.deleted) == (1, False)
    assert (artifact.identity.blake3, artifact.identity.sha256) == digests(DATA)
    assert artifact.created_by
    assert await store.file("ci.builds", "logs/today.txt") == artifact
    assert await store.artifact(artifact.id) == artifact
    assert (await store.artifacts(namespace="ci.builds")).items == (artifact,)
    assert await read(await store.open_file("ci.builds", "logs/today.txt")) == DATA
    assert await read(await store.open_artifact(artifact.id)) == DATA
    again, created = await store.put_file("ci.builds", "logs/today.txt", LARGE)
    assert (again.version, created) == (2, True)
    assert again.metadata == ArtifactMetadata()
    assert await store.file("ci.builds", "logs/today.txt") == again
    assert await read(await store.open_artifact(artifact.id)) == DATA, "a version keeps its bytes"


PROVENANCE = [
    "{}",
    ' {"leading": 1}',
    '{"trailing": 1}\n',
    '{\r\n\t"pretty": [1, 2],\n\t"percent": "100% %41"\n}',
    '{"unicode": "\u00fc\u2028\U0001f701 \\u00fc \\ud800", "del": "\x7f"}',
    json.dumps({"large": "x" * 60_000}),
    json.dumps([{"deep": {"object": n}} for n in range(800)], indent=2).replace("[", '{"many": [', 1) + "}",
    "blake3:" + "0a" * 32,
    "sha256:" + "0b" * 32,
]


async def test_provenance_is_kept_byte_for_byte(store: ArtifactStore) -> None:
    for provenance in PROVENANCE:
        artifact, _ = await store.put_file("default", "a", b"x", metadata=ArtifactMetadata(provenance=provenance))
        assert artifact.metadata.provenance == provenance
        assert (await store.artifact(artifact.id)).metadata.provenance == provenance


NAMES = [
    "with space",
    "100%",
    "%41",
    "what?",
    "a#b",
    "a&b=c;d,e",
    "a+b",
    "ü/мир/🜁",
    "e\u0301",
    "\u00e9",
    "deep/er/est",
    "a\\b",
    "a:b@c",
    "'\"<>|*",
    "..a/...",
    "x" * 1024,
]


async def test_names_are_kept_as_they_are(store: ArtifactStore) -> None:
    for name in NAMES:
        artifact, _ = await store.put_file("default", name, DATA)
        assert artifact.name == name
        assert await store.file("default", name) == artifact
        assert await read(await store.open_file("default", name)) == DATA
        assert (await store.artifacts(namespace="default", name=name)).items == (artifact,)
        assert (await store.artifacts(name_prefix=name)).items == (artifact,)
        await store.delete_file("default", name)
        with pytest.raises(ArtifactNotFoundError):
            await store.file("default", name)


async def test_bad_names(bound: Bound) -> None:
    store = bound.store
    for name in ("", ".", "a/../b", "/a", "a/", "a//b", "a\n", "\ud800", "x" * 1025):
        for attempt in (
            store.put_file("default", name, DATA),
            store.file("default", name),
            store.open_file("default", name),
            store.delete_file("default", name),
            store.artifacts(name=name),
        ):
            with pytest.raises(InvalidNameError) as caught:
                await attempt
            assert caught.value.field == "name"
    assert await bound.head() == 0


async def test_bad_namespaces_and_prefixes(store: ArtifactStore) -> None:
    for namespace in ("", "Upper", "-a", "a" * 65, "ü"):
        for attempt in (
            store.put_object(DATA, namespace=namespace),
            store.put_file(namespace, "a", DATA),
            store.file(namespace, "a"),
            store.open_file(namespace, "a"),
            store.delete_file(namespace, "a"),
            store.artifacts(namespace=namespace),
        ):
            with pytest.raises(InvalidNameError) as caught:
                await attempt
            assert caught.value.field == "namespace"
    for prefix in ("\n", "x" * 1025, "\ud800"):
        with pytest.raises(InvalidNameError) as caught:
            await store.artifacts(name_prefix=prefix)
        assert caught.value.field == "name_prefix"


BAD_METADATA = [
    (ArtifactMetadata(kind="No"), "kind"),
    (ArtifactMetadata(media_type="text"), "media_type"),
    (ArtifactMetadata(labels={"a": "\n"}), "labels"),
    (ArtifactMetadata(labels={"a b": ""}), "labels"),
    (ArtifactMetadata(provenance="[]"), "provenance"),
    (ArtifactMetadata(provenance="{"), "provenance"),
    (ArtifactMetadata(retention=""), "retention"),
]


async def test_bad_metadata(bound: Bound) -> None:
    for metadata, field in BAD_METADATA:
        with pytest.raises(InvalidMetadataError) as caught:
            await bound.store.put_file("default", "a", DATA, metadata=metadata)
        assert caught.value.field == field
        assert await bound.head() == 0


async def test_create_only(store: ArtifactStore) -> None:
    await store.put_file("default", "a", DATA, create_only=True)
    for source in (DATA, b"other", LARGE):
        with pytest.raises(PreconditionFailedError):
            await store.put_file("default", "a", source, create_only=True)
    await store.delete_file("default", "a")
    assert (await store.put_file("default", "a", DATA, create_only=True))[0].version == 2


async def test_if_match(store: ArtifactStore) -> None:
    blake, sha = digests(DATA)
    with pytest.raises(PreconditionFailedError):
        await store.put_file("default", "a", DATA, if_match="*")
    await store.put_file("default", "a", DATA)
    for condition in (frozenset[Digest](), frozenset({WRONG[0]}), frozenset({sha})):
        with pytest.raises(PreconditionFailedError):
            await store.put_file("default", "a", b"new", if_match=condition)
        with pytest.raises(PreconditionFailedError):
            await store.delete_file("default", "a", if_match=condition)
    assert (await store.put_file("default", "a", DATA, if_match=frozenset({blake, WRONG[0]})))[0].version == 2
    assert (await store.put_file("default", "a", DATA, if_match="*"))[0].version == 3
    await store.delete_file("default", "a", if_match=frozenset({blake}))
    with pytest.raises(ArtifactNotFoundError):
        await store.delete_file("default", "a", if_match="*")


# --- bytes out ------------------------------------------------------------------------------------------------------

ID = UUID("01890000-0000-7000-8000-000000000000")


async def test_what_is_not_there(store: ArtifactStore) -> None:
    for digest in digests(DATA):
        for attempt in (
            store.object(digest),
            store.open_object(digest),
            store.open_object(digest, ByteRange(0, 0)),
            store.verify_object(digest),
            store.delete_object(digest),
        ):
            with pytest.raises(ObjectNotFoundError) as caught:
                await attempt
            assert caught.value.detail == f"there is no object {digest}"
    for by_name in (
        store.file("default", "a b"),
        store.open_file("default", "a b"),
        store.open_file("default", "a b", ByteRange(0, 0)),
        store.delete_file("default", "a b"),
    ):
        with pytest.raises(ArtifactNotFoundError) as missing:
            await by_name
        assert "default/a b" in missing.value.detail
    for by_id in (store.artifact(ID), store.open_artifact(ID), store.retrievals(ID)):
        with pytest.raises(ArtifactNotFoundError) as missing:
            await by_id
        assert missing.value.detail == f"there is no artifact {ID}"


RANGES = [(0, 1), (5, 10), (0, len(DATA)), (len(DATA) - 1, 1), (3, len(DATA) - 3), (0, 0), (7, 0)]


async def test_a_range(store: ArtifactStore) -> None:
    for start, length in RANGES:
        artifact, _ = await store.put_file("default", "a", DATA)
        wanted = ByteRange(start, length)
        for opened in (
            await store.open_object(artifact.identity.sha256, wanted),
            await store.open_file("default", "a", wanted),
            await store.open_artifact(artifact.id, wanted),
        ):
            assert opened.byte_range == wanted
            assert opened.identity == artifact.identity
            assert await read(opened) == DATA[wanted.start : wanted.stop]


@pytest.mark.parametrize("size", [0, len(DATA)])
async def test_a_range_that_ends_after_the_end(store: ArtifactStore, size: int) -> None:
    artifact, _ = await store.put_file("default", "a", DATA[:size])
    ranges = [ByteRange(size + over, length) for over, length in ((0, 1), (1, 0), (1, 1), (10**12, 5))]
    ranges += [ByteRange(size - 1, 2), ByteRange(0, size + 1)] if size else []
    for outside in ranges:
        for opening in (
            store.open_object(artifact.identity.blake3, outside),
            store.open_file("default", "a", outside),
            store.open_artifact(artifact.id, outside),
        ):
            with pytest.raises(InvalidInputError) as caught:
                await opening
            assert caught.value.field == "byte_range"
    assert (await store.object(artifact.identity.blake3)).state is ObjectState.LIVE
    empty = await store.open_object(artifact.identity.blake3, ByteRange(size, 0))
    assert await read(empty) == b"", "the end itself is within"


async def test_content_that_is_not_read_to_its_end(store: ArtifactStore) -> None:
    stored = await store.put_object(LARGE)
    for _ in range(3):
        async with await store.open_object(stored.identity.blake3) as content:
            async for chunk in content.chunks():
                assert LARGE.startswith(chunk)
                break
        await content.close()
    assert await read(await store.open_object(stored.identity.blake3)) == LARGE


# --- damage, deletion -----------------------------------------------------------------------------------------------


async def test_damage_is_found_recorded_and_mended(bound: Bound) -> None:
    store = bound.store
    artifact, _ = await store.put_file("default", "a", DATA)
    blake, sha = digests(DATA)
    sound = await store.verify_object(sha)
    assert (sound.verified, sound.reason, sound.expected) == (True, None, artifact.identity)
    assert (sound.actual_blake3, sound.actual_sha256, sound.actual_size_bytes) == (blake, sha, len(DATA))
    flipped = bytes([DATA[0] ^ 1]) + DATA[1:]
    bound.damage(blake, flipped)
    found = await store.verify_object(blake)
    assert (found.verified, found.reason, found.expected) == (False, "digest-mismatch", artifact.identity)
    assert (found.actual_blake3, found.actual_sha256) == digests(flipped)
    for opening in (
        store.open_object(sha),
        store.open_object(blake, ByteRange(0, 1)),
        store.open_object(blake, ByteRange(0, 0)),
        store.open_file("default", "a"),
        store.open_artifact(artifact.id),
    ):
        with pytest.raises(ObjectDamagedError):
            await opening
    shown = await store.object(sha)
    assert (shown.identity, shown.state) == (artifact.identity, ObjectState.DAMAGED)
    assert await store.file("default", "a") == artifact, "its record is as it was"
    assert (await store.events(limit=1000))[-1].type == "object.damaged"
    stored = await store.put_object(DATA, expected=[blake])
    assert (stored.created, stored.state) == (False, ObjectState.LIVE)
    assert await read(await store.open_object(sha)) == DATA


async def test_a_copy_that_is_gone_or_cut_short_is_damage(bound: Bound) -> None:
    stored = await bound.store.put_object(LARGE)
    bound.damage(stored.identity.blake3, LARGE[:-1])
    with pytest.raises(ObjectDamagedError):
        await bound.store.open_object(stored.identity.blake3)
    assert (await bound.store.object(stored.identity.blake3)).state is ObjectState.DAMAGED
    bound.copy_of(stored.identity.blake3).unlink()
    found = await bound.store.verify_object(stored.identity.blake3)
    assert (found.verified, found.reason) == (False, "missing")
    assert (found.actual_blake3, found.actual_sha256, found.actual_size_bytes) == (None, None, None)
    await bound.store.put_object(LARGE, expected=[stored.identity.sha256])
    assert await read(await bound.store.open_object(stored.identity.blake3)) == LARGE


async def test_an_object_in_use_is_not_deleted(bound: Bound) -> None:
    store = bound.store
    artifact, _ = await store.put_file("default", "a", DATA)
    blake, sha = digests(DATA)
    for digest in (blake, sha):
        with pytest.raises(ObjectInUseError):
            await store.delete_object(digest)
    await store.delete_file("default", "a")
    assert (await store.artifact(artifact.id)).deleted
    with pytest.raises(ArtifactNotFoundError) as caught:
        await store.open_artifact(artifact.id)
    assert caught.value.detail == f"the artifact {artifact.id} is deleted"
    assert (await store.artifacts()).items == ()
    await store.delete_object(sha)
    with pytest.raises(ObjectNotFoundError):
        await store.delete_object(sha)
    assert not bound.copy_of(blake).exists()
    types = [event.type for event in await store.events()]
    assert types[-2:] == ["object.deleted", "object.purged"]
    assert (await store.put_file("default", "a", DATA))[0].version == 2, "the name goes on numbering"


# --- records --------------------------------------------------------------------------------------------------------


async def test_cursors_cover_a_search_without_gap_or_repeat(store: ArtifactStore) -> None:
    for number in range(7):
        await store.put_file("one", f"p/{number} &%", b"%d" % number)
    await store.put_file("one", "q", b"q")
    await store.put_file("two", "p/x", b"x")

    async def pages(limit: int, **query: Any) -> list[tuple[str, str, int]]:
        found: list[tuple[str, str, int]] = []
        cursor = None
        while True:
            page = await store.artifacts(limit=limit, cursor=cursor, **query)
            assert 0 < len(page.items) <= limit
            found += [(item.namespace, item.name, item.version) for item in page.items]
            if page.next is None:
                return found
            cursor = page.next

    for limit in (1, 3, 9, 10, 1000):
        assert await pages(limit) == [("one", f"p/{n} &%", 1) for n in range(7)] + [("one", "q", 1), ("two", "p/x", 1)]
        assert await pages(limit, namespace="two") == [("two", "p/x", 1)]
        assert len(await pages(limit, name_prefix="p/")) == 8
        assert await pages(limit, namespace="one", name="q") == [("one", "q", 1)]
    assert (await store.artifacts(namespace="three")).items == ()
    cursor = (await store.artifacts(limit=1)).next
    assert cursor is not None
    for attempt in (
        store.artifacts(limit=1, cursor=cursor, namespace="one"),
        store.artifacts(cursor=cursor[:-1]),
        store.artifacts(cursor=""),
        store.artifacts(cursor="ü"),
        store.artifacts(cursor="\ud800"),
    ):
        with pytest.raises(InvalidQueryError) as caught:
            await attempt
        assert caught.value.field == "cursor"


async def test_events_are_paged_in_order(store: ArtifactStore) -> None:
    assert await store.events() == ()
    await store.put_object(b"1")
    await store.put_file("default", "ü", b"2", metadata=METADATA)
    await store.delete_file("default", "ü")
    every = await store.events()
    assert [event.seq for event in every] == list(range(1, len(every) + 1))
    assert every[0].type == "object.stored"
    for event in every:
        assert isinstance(event.id, UUID)
        assert len(bytes.fromhex(event.leaf)) == 32
        assert type(event).parse(json.loads(json.dumps(event.document()))) == event
    one_by_one: list[artifactstore.spi.Event] = []
    while page := await store.events(after=len(one_by_one), limit=1):
        one_by_one += page
    assert tuple(one_by_one) == every


async def test_a_page_has_bounds(store: ArtifactStore) -> None:
    for attempt in [search(limit=limit) for search in (store.artifacts, store.events) for limit in (0, -1, 1001)]:
        with pytest.raises(InvalidQueryError) as caught:
            await attempt
        assert (caught.value.field, caught.value.detail) == ("limit", "limit is a whole number from 1 to 1000")
    with pytest.raises(InvalidQueryError) as caught:
        await store.events(after=-1)
    assert caught.value.field == "after"


async def test_retrievals_tell_who_read_a_version(store: ArtifactStore) -> None:
    artifact, _ = await store.put_file("default", "a", DATA)
    assert await store.retrievals(artifact.id) == ()
    await read(await store.open_file("default", "a"))
    await read(await store.open_artifact(artifact.id))
    await read(await store.open_artifact(artifact.id, ByteRange(0, 10)))
    await read(await store.open_object(artifact.identity.blake3))  # by digest: not a reading of the artifact
    await store.file("default", "a")
    found = await store.retrievals(artifact.id)
    assert sum(entry.count for entry in found) == 3
    assert sum(entry.size_bytes for entry in found) == 2 * len(DATA) + 10
    for entry in found:
        assert (entry.blake3, entry.artifact_id) == (artifact.identity.blake3, artifact.id)
        assert entry.actor
        assert len(entry.minute) == len("2026-01-31T23:59Z")


async def test_retrievals_are_paged_in_order(store: ArtifactStore) -> None:
    artifact, _ = await store.put_file("default", "a", DATA)
    await read(await store.open_artifact(artifact.id))
    (own,) = await store.retrievals(artifact.id)
    assert await store.retrievals(artifact.id, after=(own.minute, own.actor)) == ()
    actors = ("", own.actor[:-1], own.actor + " \u00fc+&%20")  # before its own, and after
    for actor in actors:
        found = await store.retrievals(artifact.id, after=(own.minute, actor or " "), limit=1)
        assert found == ((own,) if (actor or " ") < own.actor else ()), actor
    assert await store.retrievals(artifact.id, after=("2000-01-01T00:00Z", "zzz")) == (own,)
    assert await store.retrievals(artifact.id, after=("9999-01-01T00:00Z", "a")) == ()
    for after in (("", "a"), ("2026", "a"), ("2026-01-31T23:59Z", ""), ("2026-01-31T23:59Z", "a\nb"), ("", "")):
        with pytest.raises(InvalidQueryError) as caught:
            await store.retrievals(artifact.id, after=after)
        assert caught.value.field == "after"
    for limit in (0, 1001):
        with pytest.raises(InvalidQueryError) as caught:
            await store.retrievals(artifact.id, limit=limit)
        assert caught.value.field == "limit"


# --- its end --------------------------------------------------------------------------------------------------------


async def test_closing_is_idempotent(bound: Bound) -> None:
    await bound.store.put_object(DATA)
    await bound.store.close()
    await bound.store.close()


async def test_uploads_at_once(store: ArtifactStore) -> None:
    async def put(number: int) -> bool:
        data = LARGE if number % 2 else b"%d" % number
        return (await store.put_object(stream(data))).created

    created = await asyncio.gather(*(put(number) for number in range(8)))
    assert sum(created) == 5
