"""A root with something in it, and what it looks like from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifactstore.bootstrap import open_local
from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.store import Store
from tests.conftest import settings_for

CONTENTS = (b"", b"one", b"two" * 1000, bytes(range(256)) * 20_000)


async def put(store: Store, data: bytes) -> Digest:
    return (await store.put_object(data)).identity.blake3


async def read(store: Store, digest: Digest) -> bytes:
    async with await store.open_object(digest) as content:
        return b"".join([chunk async for chunk in content.chunks()])


async def contents_of(root: Path) -> dict[Digest, bytes]:
    """Every object of a root, each verified, and its views compared with its log."""
    async with open_local(settings_for(root)) as store:
        assert await store.registry.verify_views() is None
        found = {}
        for event in await store.registry.events(0, 1000):
            if event.type == "object.stored":
                digest = Digest.parse(event.subject)
                record = await store.registry.object(digest)
                assert record is not None
                if record.state.present:
                    assert (await store.verify_object(digest)).verified
                    found[digest] = await read(store, digest)
        return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    return tmp_path / "backup"


@pytest.fixture
async def filled(root: Path) -> dict[Digest, bytes]:
    """A root with objects under both digests, as a map of what it holds."""
    async with open_local(settings_for(root)) as store:
        kept = {await put(store, data): data for data in CONTENTS}
        artifact, _ = await store.put_file("default", "a/report.txt", b"a report")
        other = await store.put_object(b"under its SHA-256", primary_algorithm=Algorithm.SHA256)
        return {**kept, artifact.identity.blake3: b"a report", other.identity.blake3: b"under its SHA-256"}
