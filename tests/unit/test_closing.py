"""Opening and closing a root, cancelled and while others work: the lock is held as long as anything writes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from artifactstore import bootstrap
from artifactstore.bootstrap import open_local
from artifactstore.dataplane.staging import StagingArea
from artifactstore.domain.errors import ArtifactStoreError, RootLockedError
from artifactstore.registry import registry
from artifactstore.registry.log import EventLog
from artifactstore.storage.root import open_root
from artifactstore.store import Store
from tests.conftest import settings_for
from tests.syscalls import descriptors_under

DATA = b"x" * 300_000


class Held:
    """Holds a function that runs in a thread, at its beginning or after its end, until the test lets it go."""

    def __init__(self, part: Any, name: str, monkeypatch: pytest.MonkeyPatch, *, after: bool = False) -> None:
        self.reached = asyncio.Event()
        self.release = threading.Event()
        loop = asyncio.get_running_loop()
        inner: Callable[..., Any] = getattr(part, name)

        def held(*args: Any, **kwargs: Any) -> Any:
            result = inner(*args, **kwargs) if after else None
            loop.call_soon_threadsafe(self.reached.set)
            assert self.release.wait(30)
            return result if after else inner(*args, **kwargs)

        monkeypatch.setattr(part, name, held)


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def use(root: Path, opened: asyncio.Event, leave: asyncio.Event) -> None:
    async with open_local(settings_for(root)):
        opened.set()
        await leave.wait()


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("part", "name"), [(bootstrap, "open_root"), (StagingArea, "sweep"), (registry, "_prepared_writer")]
)
async def test_an_opening_that_is_cancelled_leaves_the_root_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: Any, name: str, after: bool
) -> None:
    root = tmp_path / "root"
    with monkeypatch.context() as patch:
        held = Held(part, name, patch, after=after)
        opening = asyncio.create_task(use(root, asyncio.Event(), asyncio.Event()))
        await held.reached.wait()
        for _ in range(2):
            opening.cancel()
            await turns()
            assert not opening.done(), "the thread still works on the root"
        held.release.set()
        with pytest.raises(asyncio.CancelledError):
            await opening
    assert descriptors_under(root) == []
    async with open_local(settings_for(root)) as store:
        assert (await store.put_object(DATA)).created


async def test_a_close_that_is_cancelled_keeps_the_lock_until_the_last_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "root"
    store = await open_store(root)
    held = Held(EventLog, "_transact", monkeypatch)
    upload = asyncio.create_task(store.put_object(DATA))
    await held.reached.wait()
    closing = asyncio.create_task(store.close())
    await turns()
    for _ in range(3):
        closing.cancel()
        await turns()
        assert not closing.done()
        with pytest.raises(RootLockedError):
            await asyncio.to_thread(open_root, root, writer=True)
    held.release.set()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert (await upload).created
    assert descriptors_under(root) == []
    async with open_local(settings_for(root), read_only=True) as reader:
        assert len(await reader.events()) == 1


@pytest.mark.parametrize("unnamed", [True, False])
async def test_closing_a_store_breaks_off_its_uploads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unnamed: bool
) -> None:
    monkeypatch.setattr(StagingArea, "_probe", lambda _: unnamed)
    root = tmp_path / "root"
    store = await open_store(root)
    waiting = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield DATA
        waiting.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(store.put_object(source()))
    await waiting.wait()
    await store.close()
    assert list((root / "staging").iterdir()) == []
    assert descriptors_under(root) == []
    with pytest.raises(ArtifactStoreError, match="closed"):
        await upload
    with pytest.raises(ArtifactStoreError, match="closed"):
        await store.put_object(DATA)
    with pytest.raises(ArtifactStoreError, match="closed"):
        await store.events()
    assert descriptors_under(root) == []


async def open_store(root: Path) -> Store:
    return await bootstrap._compose(settings_for(root), read_only=False, actor=None)
