"""The composition root: settings become a store. The only module that knows which parts there are."""

from __future__ import annotations

import asyncio
import getpass
import logging
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from artifactstore.audit.retrievals import RetrievalRecorder
from artifactstore.cancellation import obtained, uninterrupted
from artifactstore.catalog import StatementPolicy
from artifactstore.dataplane.inproc import InProcessDataPlane
from artifactstore.dataplane.space import SpaceLedger
from artifactstore.dataplane.staging import StagingArea
from artifactstore.domain.errors import StorageFullError
from artifactstore.generations import Generations
from artifactstore.observation import Observer
from artifactstore.readcache import ReadCache
from artifactstore.registry.migration import DATABASE_FILE, SchemaTooOldError
from artifactstore.registry.registry import Registry
from artifactstore.settings import Settings
from artifactstore.spi import ArtifactStore
from artifactstore.storage.backends.localfs import LocalFileSystemBackend
from artifactstore.storage.root import Root, open_root
from artifactstore.store import Store

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_store(
    root_or_url: str | Path, *, read_only: bool = False, token: str | None = None
) -> AsyncIterator[ArtifactStore]:
    """The store over a root or a server, as `artifactstore.open` says."""
    if isinstance(root_or_url, str) and root_or_url.startswith(("http://", "https://")):
        from artifactstore.remote import RemoteStore  # here: a local root needs no HTTP client

        async with RemoteStore(root_or_url, token) as remote:
            yield remote
    else:
        settings = Settings.load(root=Path(root_or_url))
        async with open_local(settings, read_only=read_only) as store:
            yield store


@asynccontextmanager
async def open_local(
    settings: Settings,
    *,
    read_only: bool = False,
    actor: str | None = None,
    generations: Generations | None = None,
) -> AsyncIterator[Store]:
    """Compose the store over `settings.root`, recover what a crash left, and close it all in reverse order.

    With `read_only`, no lock is taken, nothing is cleaned, nothing is recorded; it works beside a writer. A root that
    is not there yet, or is of an older version, is made or migrated first, which takes the lock for a moment; so does
    one that a full disk keeps from being opened, since only a writer may give up the log's reserve.

    `generations` are advanced for processes that follow this one.
    """
    if read_only:
        try:
            opened = await _compose(settings, read_only=True, actor=actor)
        except (SchemaTooOldError, StorageFullError):
            await (await _compose(settings, read_only=False, actor=actor)).close()
            opened = await _compose(settings, read_only=True, actor=actor)
    else:
        opened = await _compose(settings, read_only=False, actor=actor, generations=generations)
    async with opened as store:
        yield store


@asynccontextmanager
async def open_follower(
    settings: Settings, generations: Generations, retrievals: RetrievalRecorder
) -> AsyncIterator[Store]:
    """The store over a root that another process has open, for reading; what it keeps in memory follows that process.

    Downloads are noted in `retrievals`, which stays the caller's to close.
    """
    opened = await _compose(settings, read_only=True, generations=generations, retrievals=retrievals)
    async with opened as store:
        yield store


async def _compose(
    settings: Settings,
    *,
    read_only: bool,
    actor: str | None = None,
    generations: Generations | None = None,
    retrievals: RetrievalRecorder | None = None,
) -> Store:
    held = AsyncExitStack()
    try:
        store = await _assemble(
            settings, held, read_only=read_only, actor=actor, generations=generations, retrievals=retrievals
        )
        if not read_only and (finished := await store.recover()):
            _log.info("finished %d deletions that were under way", finished)
    except BaseException:
        await uninterrupted(held.aclose())
        raise
    store.release = held.aclose
    return store


async def _assemble(
    settings: Settings,
    held: AsyncExitStack,
    *,
    read_only: bool,
    actor: str | None,
    generations: Generations | None,
    retrievals: RetrievalRecorder | None,
) -> Store:
    """Open the parts in order; `held` closes them. What runs in a thread is waited for, or it would act unlocked."""
    statements = None if read_only else await asyncio.to_thread(_statement_policy, settings)
    root = await obtained(
        asyncio.to_thread(open_root, settings.root, writer=not read_only),
        lambda opened: asyncio.to_thread(opened.close),
    )
    held.callback(root.close)
    # a reader stages nothing: it must not even look what the directory allows, which makes a name for a moment
    unnamed = False if read_only else None
    staging = await uninterrupted(asyncio.to_thread(StagingArea, root.staging, unnamed=unnamed))
    if not read_only:
        swept = await uninterrupted(asyncio.to_thread(staging.sweep))
        if swept.files:
            _log.info("removed %d unfinished uploads (%d bytes)", swept.files, swept.size_bytes)
    database = root.registry / DATABASE_FILE
    if not read_only and await asyncio.to_thread(_is_lost, database, root):
        _log.warning("the event log %s is missing, and there are objects: a new one begins without them", database)
    registry = await Registry.open(
        root.registry,
        reserve=root.reserve,
        read_only=read_only,
        reserve_bytes=settings.log_reserve_bytes,
        answers_kept=timedelta(seconds=settings.answers_kept),
    )
    held.push_async_callback(registry.close)
    # closed in reverse: uploads are broken off while what they have published can still be recorded
    backend = LocalFileSystemBackend(root, unnamed=staging.unnamed)
    held.push_async_callback(backend.close)
    space = SpaceLedger(root.path, settings.floor_bytes)
    dataplane = InProcessDataPlane(backend, staging=staging, space=space)
    held.push_async_callback(dataplane.close)
    if not read_only:
        retrievals = RetrievalRecorder(registry, settings.retrieval_interval)
        held.push_async_callback(retrievals.close)
    # a reader learns nothing of what the writer beside it commits, unless it follows that one's generations
    follows_nobody = read_only and generations is None
    cache = ReadCache(0 if follows_nobody else settings.cache_bytes, generations)
    held.callback(cache.close)
    store = Store(
        dataplane,
        registry,
        retrievals,
        actor=actor or f"local:{_user()}",
        max_object_bytes=settings.max_object_bytes,
        quotas=settings.namespace_quotas,
        cache=cache,
        statements=statements,
        generations=generations,
    )
    held.push_async_callback(store.stop_waiting)
    store.observer = Observer(dataplane, registry, retrievals, dataplane.activity)
    return store


def _statement_policy(settings: Settings) -> StatementPolicy:
    if not settings.attestation_keys:
        return StatementPolicy(refuse_bad_signatures=settings.refuse_bad_signatures)
    from artifactstore.manifests.keys import load_keys  # here: it loads a library of cryptography

    return StatementPolicy(load_keys(settings.attestation_keys), settings.refuse_bad_signatures)


def _is_lost(database: Path, root: Root) -> bool:
    return not database.exists() and any(path.is_file() for path in root.objects.rglob("*"))


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an id without an account, as in a container
        return str(os.getuid())
