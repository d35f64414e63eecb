"""What a driver does to a store, one function each, with the claims that it makes of the store afterwards.

To add an operation is to write a coroutine function under `@operation`. It wraps each request in `act.claim`, whose
keys (`object/...`, `file/...`; oracle.py observes them) have the given values once the request is acknowledged.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import random
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import blake3

from artifactstore.backups import restoring, taking
from artifactstore.content import LocalContent
from artifactstore.dataplane.blocks import BLOCK_BYTES
from artifactstore.domain.artifact import Artifact
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import ArtifactStoreError, ObjectNotFoundError
from artifactstore.domain.package import MemberSource
from artifactstore.domain.token import Scope, new_secret
from artifactstore.manifests.exports import ExportFormat
from artifactstore.registry.registry import Registry
from artifactstore.storage.durability import sync_directory
from artifactstore.store import Store
from tests.crash.journal import ABSENT, Journal, Value

STORED = "stored"
DAMAGED = "damaged"
#: A body that is digested in memory, and one that is staged in a file (64 KiB is the border).
SMALL, LARGE = 900, 150_000
#: More than one block of staging has room for.
STAGED = BLOCK_BYTES + 100_000
NAMESPACE = "default"


class Abandoned(Exception):
    """Whoever sent the bytes went away."""


@dataclass(frozen=True)
class Content:
    """Bytes that can be made again from `seed` and `size`; digested by others than the store."""

    seed: str
    size: int

    @classmethod
    def parse(cls, spec: str) -> Content:
        seed, _, size = spec.rpartition("+")
        return cls(seed, int(size))

    @property
    def key(self) -> str:
        return f"object/{self.seed}+{self.size}"

    @cached_property
    def data(self) -> bytes:
        return random.Random(self.seed).randbytes(self.size)

    @cached_property
    def sha256(self) -> Digest:
        return Digest.sha256(hashlib.sha256(self.data).digest())

    @cached_property
    def blake3(self) -> Digest:
        return Digest.blake3(blake3.blake3(self.data).digest())


class Act:
    """One client of one store: it makes up contents and writes down what it was promised."""

    def __init__(self, store: Store, journal: Journal, root: Path, seed: str, named: str = "") -> None:
        self.store = store
        self.journal = journal
        self.root = root
        self.dice = random.Random(seed)
        self._seed = seed
        self._named = named
        self._numbers = iter(range(1_000_000))

    @property
    def registry(self) -> Registry:
        return self.store.registry

    def content(self, size: int) -> Content:
        """New bytes."""
        return Content(f"{self._seed}-{next(self._numbers)}", size)

    def name(self, kind: str) -> str:
        """A name that nothing has yet."""
        return f"{kind}-{self._seed}-{next(self._numbers)}{self._named}"

    @asynccontextmanager
    async def claim(self, claims: dict[str, Value]) -> AsyncIterator[None]:
        number = self.journal.intend(claims)
        try:
            yield
        except (ArtifactStoreError, Abandoned, asyncio.CancelledError) as error:
            self.journal.failed(number, Exception(repr(error)))
            raise
        self.journal.done(number)

    async def put(self, content: Content) -> None:
        """Store bare bytes."""
        async with self.claim({content.key: STORED}):
            stored = await self.store.put_object(pieces(content.data))
            self.require(stored.identity.sha256 == content.sha256, "an upload's answer has other digests")

    async def put_file(self, name: str, content: Content) -> Artifact:
        """Store bytes as the next version of a name."""
        async with self.claim({content.key: STORED, f"file/{name}": content.sha256.hex}):
            artifact, _ = await self.store.put_file(NAMESPACE, name, pieces(content.data))
        self.journal.learned({f"artifact/{artifact.id}": [name, artifact.version, content.sha256.hex]})
        return artifact

    async def delete(self, content: Content) -> None:
        async with self.claim({content.key: ABSENT}):
            await self.store.delete_object(content.sha256)

    def stored_file(self, content: Content) -> Path:
        return self.root / "objects/blake3" / content.blake3.hex[:2] / content.blake3.hex

    def require(self, holds: bool, what: str) -> None:
        if not holds:
            self.journal.finding(what)


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(data), 60_000):
        yield data[begin : begin + 60_000]


type Operation = Callable[[Act], Awaitable[None]]
OPERATIONS: dict[str, Operation] = {}


def operation(function: Operation) -> Operation:
    OPERATIONS[function.__name__] = function
    return function


@operation
async def put_new(act: Act) -> None:
    for size in (SMALL, LARGE, STAGED):
        await act.put(act.content(size))


@operation
async def put_again(act: Act) -> None:
    content = act.content(SMALL)
    await act.put(content)
    await act.put(content)


@operation
async def put_twins(act: Act) -> None:
    """One is linked and not yet synced while the other is to be acknowledged."""
    for content in (act.content(SMALL), act.content(LARGE)):
        outcomes = await asyncio.gather(*(act.put(content) for _ in range(3)), return_exceptions=True)
        raise_first(outcomes)


@operation
async def aborted_put(act: Act) -> None:
    for size in (SMALL, LARGE, STAGED):
        content = act.content(size)

        async def leaving(data: bytes = content.data) -> AsyncIterator[bytes]:
            async for piece in pieces(data[:-1]):
                yield piece
            if len(data) > BLOCK_BYTES:  # a block of it is on its way to the disk, and arrives
                await asyncio.sleep(0.02)
            raise Abandoned

        with suppress(Abandoned):
            await act.store.put_object(leaving())
        act.journal.learned({content.key: ABSENT})


@operation
async def cancelled_put(act: Act) -> None:
    for size in (SMALL, LARGE, STAGED):
        content = act.content(size)
        task = asyncio.create_task(act.put(content))
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@operation
async def versions(act: Act) -> None:
    name = act.name("file")
    for size in (SMALL, LARGE, SMALL):
        await act.put_file(name, act.content(size))


@operation
async def tombstone(act: Act) -> None:
    name, content = act.name("gone"), act.content(SMALL)
    await act.put_file(name, content)
    async with act.claim({f"file/{name}": ABSENT}):
        await act.store.delete_file(NAMESPACE, name)
    await act.delete(content)
    await act.put_file(name, act.content(SMALL))


@operation
async def labels(act: Act) -> None:
    artifact = await act.put_file(act.name("labelled"), act.content(SMALL))
    for value in ("one", "two"):
        async with act.claim({f"labels/{artifact.id}": {"key": value}}):
            await act.store.relabel(artifact.id, {"key": value})


@operation
async def delete(act: Act) -> None:
    for size in (SMALL, LARGE):
        content = act.content(size)
        await act.put(content)
        await act.delete(content)


@operation
async def delete_and_put(act: Act) -> None:
    """What is deleted is put again, after it and beside it."""
    content = act.content(SMALL)
    await act.put(content)
    await act.delete(content)
    await act.put(content)

    async def later(request: Coroutine[Any, Any, None]) -> None:
        await asyncio.sleep(act.dice.random() / 500)  # as long as a request takes
        await request

    beside = (later(act.delete(content)), later(act.put(content)), later(act.put(content)))
    raise_first(await asyncio.gather(*beside, return_exceptions=True))


@operation
async def seal(act: Act) -> None:
    await sealed(act)


async def sealed(act: Act) -> tuple[UUID, dict[str, Content]]:
    name, members = act.name("package"), {"a": act.content(SMALL), "b": act.content(LARGE)}
    for content in members.values():
        await act.put(content)
    claimed = [[member, content.sha256.hex] for member, content in members.items()]
    sources = [MemberSource(content.sha256, member) for member, content in members.items()]
    async with act.claim({f"package/{name}": claimed}):
        package, _ = await act.store.seal_package(NAMESPACE, name, sources)
    return package.id, members


@operation
async def export(act: Act) -> None:
    package_id, members = await sealed(act)
    async with await act.store.open_export(package_id, ExportFormat.BAGIT_ZIP) as exported:
        received = b"".join([chunk async for chunk in exported.chunks()])
    with zipfile.ZipFile(io.BytesIO(received)) as archive:
        found = {Path(entry).name: archive.read(entry) for entry in archive.namelist() if "/data/" in entry}
    act.require(
        found == {member: content.data for member, content in members.items()}, "an export is not what was sealed"
    )


@operation
async def token(act: Act) -> None:
    name = act.name("token")
    async with act.claim({f"token/{name}": "issued"}):
        issued = await act.registry.issue_token(
            name,
            new_secret()[1],
            scopes=frozenset({Scope.READ}),
            namespaces=frozenset({NAMESPACE}),
            expires_at=None,
            actor="local:crash",
        )
    async with act.claim({f"token/{name}": "revoked"}):
        await act.registry.revoke_token(issued.id, actor="local:crash")


@operation
async def heal(act: Act) -> None:
    """A stored copy goes bad, is found bad, and is mended by an upload while readers hold what was there."""
    for size, replaced in ((SMALL, True), (LARGE, True), (SMALL, False)):
        content = act.content(size)
        if replaced:  # what a run that was broken off has spoilt would be trusted by its size
            with suppress(ObjectNotFoundError):
                await act.store.verify_object(content.sha256)
        await act.put(content)
        async with AsyncExitStack() as held:
            readers = []
            if replaced:
                readers.append((await held.enter_async_context(await opened(act, content)), content.data))
            async with act.claim({content.key: DAMAGED}):
                spoil(act.stored_file(content), replaced)
                if size == LARGE:  # a small one is read from memory
                    readers.append((await held.enter_async_context(await opened(act, content)), bytes(size)))
                if replaced:  # that it is cut short is seen by whoever puts it again
                    await act.store.verify_object(content.sha256)
            await mend(act, content, verify=replaced)
            for reader, had in readers:
                read = b"".join([chunk async for chunk in reader.chunks()])
                act.require(read == had, "a reader lost the copy that it held to a mend")
        if replaced:
            verified = await act.store.verify_object(content.sha256)
            act.require(verified.verified, "a mended object is not sound")
        else:  # no verification, since that syncs: the upload alone must have made it durable
            async with await opened(act, content) as reader:
                act.require(b"".join([chunk async for chunk in reader.chunks()]) == content.data, "a mend was none")


async def opened(act: Act, content: Content) -> LocalContent:
    return await act.store.open_object(content.sha256)


async def mend(act: Act, content: Content, *, verify: bool) -> None:
    """Put it again. If that fails, the copy may be sound: verifying it, or a further put, vouches for it."""
    try:
        await act.put(content)
    except ArtifactStoreError:
        if not verify:
            await act.put(content)
            return
        async with act.claim({content.key: STORED}):
            if not (await act.store.verify_object(content.sha256)).verified:
                raise


def spoil(path: Path, replaced: bool) -> None:
    """Bad bytes of the right size, in a file of their own; or a file that is cut short. Durably, or Abandoned."""
    try:
        if replaced:
            bad = path.with_name(f"{path.name}.bad")
            bad.write_bytes(bytes(path.stat().st_size))
            _sync(bad)
            bad.rename(path)
            sync_directory(path.parent)
        else:
            path.chmod(0o640)
            os.truncate(path, path.stat().st_size // 2)
            _sync(path)
    except OSError as error:  # the fault has met this, and not the store
        raise Abandoned from error


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


@operation
async def rebuild(act: Act) -> None:
    await act.registry.rebuild()


@operation
async def retrievals(act: Act) -> None:
    """Downloads, which are recorded together when the store is closed, or asked."""
    artifact = await act.put_file(act.name("read"), act.content(SMALL))
    async with await act.store.open_artifact(artifact.id) as content:
        async for _ in content.chunks():
            pass
    await act.store.retrievals(artifact.id)


#: What stands for a backup, or for the root that was made of it, that holds all that it names.
WHOLE = "whole"


@operation
async def backup(act: Act) -> None:
    """The root is backed up twice, beside the store that writes it, and a root is made of that.

    All runs on a volume have one directory for it: what one was broken off in, the next goes on with.
    """
    gone, restored = act.content(SMALL), act.root.parent / act.name("restored")
    await act.put(gone)
    await backed_up(act)
    await act.delete(gone)
    await act.put(act.content(LARGE))
    await backed_up(act)
    async with act.claim({f"restored/{restored}": WHOLE}):
        await asyncio.to_thread(restoring.restore, backup_of(act.root), restored)


async def backed_up(act: Act) -> None:
    async with act.claim({f"backup/{act.root}": WHOLE}):
        taken = await asyncio.to_thread(taking.take, act.root, backup_of(act.root))
        act.require(not taken.record.missing, f"a backup lacks {taken.record.missing}")


def backup_of(root: Path) -> Path:
    """Where the backup of a root lies: in a directory in which nothing else is made, whose sync would sync it."""
    return root.with_name("backups") / root.name


def raise_first(outcomes: Iterable[BaseException | None]) -> None:
    """Of calls that ran side by side, the first failure; a deletion may have come too late to find anything."""
    for outcome in outcomes:
        if outcome is not None and type(outcome).__name__ != "ObjectNotFoundError":
            raise outcome
