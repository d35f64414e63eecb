"""Reading through the cache: it agrees with a store that has none, whatever happens in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from artifactstore.bootstrap import open_local
from artifactstore.domain.caller import Caller
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import (
    ArtifactNotFoundError,
    ArtifactStoreError,
    ObjectDamagedError,
    ObjectInUseError,
    ObjectNotFoundError,
)
from artifactstore.domain.ranges import ByteRange
from artifactstore.hashing import dual_digest
from artifactstore.store import Store
from tests.conftest import settings_for

DATA = b"content that is small"
#: Few, so that operations meet: two small ones, and one that is not kept in memory.
CONTENTS = (b"one", b"another", b"large" * 20_000)
NUMBERS = st.integers(0, len(CONTENTS) - 1)
NAMES = st.sampled_from(["a", "b"])


def blake3_of(data: bytes) -> Digest:
    return Digest.blake3(dual_digest(data).blake3)


def sha256_of(data: bytes) -> Digest:
    return Digest.sha256(dual_digest(data).sha256)


async def content_of(opening: Awaitable[Any]) -> bytes:
    async with await opening as content:
        chunks: AsyncIterator[bytes] = content.chunks()
        return b"".join([chunk async for chunk in chunks])


class ReadingMachine(RuleBasedStateMachine):
    """The store beside what it must answer, kept by the simplest means: no cache, no registry, no files."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = TemporaryDirectory()
        self.root = Path(self.directory.name) / "root"
        self.opened = open_local(settings_for(self.root))
        self.store: Store = self.runner.run(self.opened.__aenter__())
        self.objects: dict[int, str] = {}  # content -> "sound", "damaged" on the disk, or so "marked"
        self.names: dict[str, list[UUID]] = {}
        self.versions: dict[UUID, int] = {}
        self.deleted: set[UUID] = set()

    def do[T](self, work: Awaitable[T]) -> T | type[ArtifactStoreError]:
        async def attempt() -> T | type[ArtifactStoreError]:
            try:
                return await work
            except ArtifactStoreError as error:
                return type(error)

        return self.runner.run(attempt())

    def referred(self, number: int) -> bool:
        return any(self.versions[version] == number for live in self.names.values() for version in live)

    @rule(number=NUMBERS)
    def put(self, number: int) -> None:
        self.do(self.store.put_object(CONTENTS[number]))
        self._stored(number)

    @rule(number=NUMBERS, name=NAMES)
    def put_file(self, number: int, name: str) -> None:
        artifact, _ = self.runner.run(
            self.store.acting_as(Caller.named("somebody")).put_file("default", name, CONTENTS[number])
        )
        self._stored(number)
        self.names.setdefault(name, []).append(artifact.id)
        self.versions[artifact.id] = number

    def _stored(self, number: int) -> None:
        # a copy that is changed and not known to be is taken for sound by its size, until somebody looks
        self.objects[number] = "damaged" if self.objects.get(number) == "damaged" else "sound"

    @rule(name=NAMES)
    def delete_file(self, name: str) -> None:
        done = self.do(self.store.delete_file("default", name))
        assert done is (ArtifactNotFoundError if name not in self.names else None)
        self.deleted.update(self.names.pop(name, ()))

    @rule(number=NUMBERS)
    def delete_object(self, number: int) -> None:
        done = self.do(self.store.delete_object(sha256_of(CONTENTS[number])))
        if number not in self.objects:
            assert done is ObjectNotFoundError
        elif self.referred(number):
            assert done is ObjectInUseError
        else:
            assert done is None
            del self.objects[number]

    @rule(number=NUMBERS)
    def damage(self, number: int) -> None:
        """On the disk, behind the store's back; the size stays."""
        if self.objects.get(number) == "sound":
            key = blake3_of(CONTENTS[number]).hex
            path = self.root / "objects" / "blake3" / key[:2] / key
            path.chmod(0o640)
            path.write_bytes(b"?" + CONTENTS[number][1:])
            self.objects[number] = "damaged"

    @rule(number=NUMBERS)
    def heal(self, number: int) -> None:
        """On the disk, as a file system's own repair would; a mark stays until somebody verifies."""
        if number in self.objects:
            key = blake3_of(CONTENTS[number]).hex
            path = self.root / "objects" / "blake3" / key[:2] / key
            path.chmod(0o640)
            path.write_bytes(CONTENTS[number])
            self.objects[number] = "sound" if self.objects[number] != "marked" else "marked and sound"

    @rule(number=NUMBERS)
    def verify(self, number: int) -> None:
        outcome = self.do(self.store.verify_object(blake3_of(CONTENTS[number])))
        if number not in self.objects:
            assert outcome is ObjectNotFoundError
            return
        assert not isinstance(outcome, type)
        sound = self.objects[number] in ("sound", "marked and sound")
        assert outcome.verified is sound
        self.objects[number] = "sound" if sound else "marked"

    @rule(number=NUMBERS, by_sha256=st.booleans())
    def read_object(self, number: int, by_sha256: bool) -> None:
        digest = sha256_of(CONTENTS[number]) if by_sha256 else blake3_of(CONTENTS[number])
        self._check(number, self.do(content_of(self.store.open_object(digest))))

    @rule(name=NAMES)
    def read_file(self, name: str) -> None:
        found = self.do(content_of(self.store.open_file("default", name)))
        if name not in self.names:
            assert found is ArtifactNotFoundError
        else:
            self._check(self.versions[self.names[name][-1]], found)

    @rule(choice=st.integers(0, 100))
    def read_version(self, choice: int) -> None:
        if not self.versions:
            return
        version = list(self.versions)[choice % len(self.versions)]
        found = self.do(content_of(self.store.open_artifact(version)))
        if version in self.deleted:
            assert found is ArtifactNotFoundError
        else:
            self._check(self.versions[version], found)

    def _check(self, number: int, found: bytes | type[ArtifactStoreError]) -> None:
        content, state = CONTENTS[number], self.objects.get(number)
        if state == "sound":
            assert found == content
        elif state is None:
            assert found is ObjectNotFoundError
        elif state in ("marked", "marked and sound"):
            assert found is ObjectDamagedError
        elif len(content) > 64 * 1024:  # nobody has looked: what is larger is sent as it lies there
            assert found == b"?" + content[1:]
        elif found is ObjectDamagedError:  # read from the disk, found damaged and marked
            self.objects[number] = "marked"
        else:  # known from before the damage
            assert found == content

    def teardown(self) -> None:
        self.runner.run(self.opened.__aexit__(None, None, None))
        self.runner.close()
        self.directory.cleanup()


def test_reading_agrees_with_the_model() -> None:
    run_state_machine_as_test(
        ReadingMachine,
        settings=settings(
            max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


class Held:
    """A query of the registry whose answer, once read, is kept back until the test lets it go."""

    def __init__(self, store: Store, query: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answered = asyncio.Event()
        self.let_go = asyncio.Event()
        inner: Callable[..., Awaitable[Any]] = getattr(store.registry, query)
        first = True

        async def held(*args: Any) -> Any:
            nonlocal first
            mine, first = first, False
            answer = await inner(*args)
            if mine:
                self.answered.set()
                await self.let_go.wait()
            return answer

        monkeypatch.setattr(store.registry, query, held)


async def test_a_record_read_before_a_deletion_is_not_known_after_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    blake3 = (await store.put_object(DATA)).identity.blake3
    held = Held(store, "object", monkeypatch)
    reading = asyncio.create_task(content_of(store.open_object(blake3)))
    await held.answered.wait()
    await store.delete_object(blake3)
    held.let_go.set()
    with pytest.raises(ObjectNotFoundError):
        await reading
    with pytest.raises(ObjectNotFoundError):
        await content_of(store.open_object(blake3))


async def test_a_version_read_before_a_new_one_is_not_the_latest_after_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put_file("default", "name", b"old")
    held = Held(store, "latest", monkeypatch)
    reading = asyncio.create_task(content_of(store.open_file("default", "name")))
    await held.answered.wait()
    await store.acting_as(Caller.named("another")).put_file("default", "name", b"new")
    held.let_go.set()
    assert await reading == b"old"  # asked for before the new one was acknowledged
    assert await content_of(store.open_file("default", "name")) == b"new"


async def test_a_version_read_before_its_tombstone_is_not_known_after_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact, _ = await store.put_file("default", "name", DATA)
    held = Held(store, "artifact", monkeypatch)
    reading = asyncio.create_task(content_of(store.open_artifact(artifact.id)))
    await held.answered.wait()
    await store.delete_file("default", "name")
    held.let_go.set()
    assert await reading == DATA
    with pytest.raises(ArtifactNotFoundError):
        await content_of(store.open_artifact(artifact.id))


async def test_a_tombstone_whose_caller_was_cancelled_is_noticed(store: Store) -> None:
    await store.put_file("default", "name", DATA)
    assert await content_of(store.open_file("default", "name")) == DATA
    deletion = asyncio.create_task(store.delete_file("default", "name"))
    await asyncio.sleep(0)  # the command is with the log's writer
    deletion.cancel()
    with pytest.raises(asyncio.CancelledError):
        await deletion
    with pytest.raises(ArtifactNotFoundError):
        await content_of(store.open_file("default", "name"))


async def test_a_hot_object_needs_neither_the_registry_nor_the_disk(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact, _ = await store.put_file("default", "name", DATA)
    openings: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: store.open_object(artifact.identity.sha256),
        lambda: store.open_file("default", "name"),
        lambda: store.open_artifact(artifact.id),
    )
    for opening in openings:
        assert await content_of(opening()) == DATA
    for part, method in ((store.registry, "object"), (store.registry, "latest"), (store.registry, "artifact")):
        monkeypatch.delattr(type(part), method)
    monkeypatch.delattr(type(store._dataplane), "serve_object")
    for opening in openings:
        assert await content_of(opening()) == DATA
    part_of_it = await store.open_file("default", "name", ByteRange(3, 4))
    assert (part_of_it.held, await content_of(store.open_object(artifact.identity.blake3))) == (DATA[3:7], DATA)


async def test_a_small_content_that_is_not_what_its_digest_says_is_marked_and_not_sent(
    store: Store, tmp_path: Path
) -> None:
    blake3 = (await store.put_object(DATA)).identity.blake3
    (path,) = [path for path in (tmp_path / "root" / "objects").rglob("*") if path.is_file()]
    path.chmod(0o640)
    path.write_bytes(b"?" + DATA[1:])
    with pytest.raises(ObjectDamagedError):
        await content_of(store.open_object(blake3))
    assert (await store.record(blake3)).damage == "digest-mismatch"


async def test_a_reader_beside_a_writer_keeps_nothing(store: Store, tmp_path: Path) -> None:
    await store.put_file("default", "name", b"old")
    async with open_local(settings_for(tmp_path / "root"), read_only=True) as reader:
        assert await content_of(reader.open_file("default", "name")) == b"old"
        await store.put_file("default", "name", b"new")
        assert await content_of(reader.open_file("default", "name")) == b"new"
