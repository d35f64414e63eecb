"""The local backend, broken off before each of its system calls in turn: the old state is left, or the whole object."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from itertools import count

import pytest

from artifactstore.dataplane.staging import StagingArea
from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import StorageError
from artifactstore.storage.backends.localfs import LocalFileSystemBackend
from artifactstore.storage.root import open_root
from tests.backends import Place, stored_files
from tests.syscalls import Crash, Syscalls

DATA = b"the bytes to keep" * 3_000
OTHER = b"y" * len(DATA)


def restart(local: Place) -> Place:
    """What the next process makes of the root."""
    root = open_root(local.directory, writer=False)
    staging = StagingArea(root.staging, unnamed=local.staging.unnamed)
    staging.sweep()
    return Place(local.form, LocalFileSystemBackend(root), staging, local.directory)


async def crash_at_every_change(
    local: Place,
    syscalls: Syscalls,
    operation: Callable[[Digest], Awaitable[object]],
    before: bytes | None,
    after: bytes | None,
) -> None:
    """Break `operation` off before each of its changes in turn: the old state or the new one is left, and no more."""
    for nth in count(1):
        address = Digest.blake3(nth.to_bytes(32))
        if before is not None:
            await local.store(before, address)
        try:
            with syscalls.crashing(nth):
                await operation(address)
        except (Crash, StorageError):  # a native thread that is broken off can only tell its caller that it failed
            crashed = True
        else:
            crashed = False
        again = restart(local)
        receipt = await again.backend.stat(address)
        found = None if receipt is None else await again.read(address)
        assert found in ((before, after) if crashed else (after,))
        assert stored_files(local.directory / "staging") == []
        assert stored_files(local.directory / "objects") == ([local.path(address)] if found is not None else [])
        if after is not None:
            await again.store(after, address, replace=True)  # and going on works
            assert await again.read(address) == after
            await again.backend.delete(address)
        await again.backend.close()
        if not crashed:
            break
    assert nth > 2
    syscalls.forget()


@pytest.mark.parametrize("before", [None, b"of another size", DATA])
async def test_a_crash_in_put_leaves_the_old_state_or_the_whole_object(
    local: Place, syscalls: Syscalls, before: bytes | None
) -> None:
    async def put(address: Digest) -> None:
        file = local.stage(DATA)
        try:
            await local.backend.put(address, file)
        finally:
            os.close(file.fd)  # the end of the process

    await crash_at_every_change(local, syscalls, put, before, DATA)


@pytest.mark.parametrize("before", [None, b"of another size", DATA])
async def test_a_crash_in_put_bytes_leaves_the_old_state_or_the_whole_object(
    local: Place, syscalls: Syscalls, before: bytes | None
) -> None:
    async def put(address: Digest) -> None:
        await local.backend.put_bytes(address, DATA)

    await crash_at_every_change(local, syscalls, put, before, DATA)


async def test_a_crash_in_replace_leaves_one_copy_or_the_other(local: Place, syscalls: Syscalls) -> None:
    async def put(address: Digest) -> None:
        file = local.stage(DATA)
        try:
            await local.backend.put(address, file, replace=True)
        finally:
            os.close(file.fd)

    await crash_at_every_change(local, syscalls, put, OTHER, DATA)


async def test_a_crash_in_delete_leaves_the_object_or_nothing(local: Place, syscalls: Syscalls) -> None:
    for nth in count(1):
        address = Digest.blake3(nth.to_bytes(32))
        await local.store(DATA, address)
        try:
            with syscalls.crashing(nth):
                await local.backend.delete(address)
        except Crash:
            if await local.backend.stat(address) is not None:
                assert await local.read(address) == DATA
        else:
            assert await local.backend.stat(address) is None
            break
    assert nth == len(["open", "unlink", "open", "fsync"]) + 1
