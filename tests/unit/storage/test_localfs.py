"""What the local backend adds to the port: its layout, its order of system calls, what a crash between them leaves."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.domain.errors import ObjectNotFoundError, StorageError, StorageFullError
from artifactstore.storage.backends import localfs
from tests.backends import Place, digest_of, stored_files
from tests.syscalls import Syscalls, descriptors_under, not_at_once

DATA = b"the bytes to keep" * 3_000
OTHER = b"y" * len(DATA)


def objects(local: Place) -> list[Path]:
    return stored_files(local.directory / "objects")


def staged(local: Place) -> list[Path]:
    return list((local.directory / "staging").iterdir())


# --- layout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_the_path_names_the_digest(local: Place, algorithm: Algorithm) -> None:
    address = await local.store(DATA, digest_of(DATA, algorithm))
    path = local.directory / "objects" / algorithm.value / address.hex[:2] / address.hex
    assert objects(local) == [path]
    assert path.read_bytes() == DATA
    receipt = await local.backend.stat(address)
    assert receipt is not None
    assert receipt.key == f"{algorithm.value}/{address.hex[:2]}/{address.hex}"
    assert receipt.backend_id == "local"


@pytest.mark.parametrize("replace", [False, True])
async def test_an_object_can_only_be_read(local: Place, replace: bool) -> None:
    address = await local.store(OTHER, digest_of(DATA))
    await local.store(DATA, address, replace=replace)
    assert stat.S_IMODE(local.path(address).stat().st_mode) == 0o440
    assert local.path(address).stat().st_nlink == 1


# --- the order of system calls ----------------------------------------------------------------------------------------


async def test_the_bytes_are_synced_before_they_are_named_and_the_name_before_put_returns(
    local: Place, syscalls: Syscalls
) -> None:
    address = await local.store(DATA)
    order = [line.split()[0] for line in syscalls.trace("writev", "fdatasync", "link", "rename", "fsync")]
    naming = ["link", "rename"] if local.form == "localfs-without-links" else ["link"]
    assert order == ["writev", "fdatasync", *naming, "fsync"]
    named = syscalls.trace(naming[-1])[-1]
    assert named.endswith(f"root/objects/blake3/{address.hex[:2]}/{address.hex}")
    assert syscalls.trace("fsync") == [f"fsync root/objects/blake3/{address.hex[:2]}"]


async def test_to_replace_is_one_rename_out_of_staging(local: Place, syscalls: Syscalls) -> None:
    address = await local.store(OTHER, digest_of(DATA))
    syscalls.forget()
    await local.store(DATA, replace=True)
    last = syscalls.trace("rename", "fsync")[-2:]
    assert last[0].startswith("rename root/staging/replace-")
    assert last[0].endswith(f" root/objects/blake3/{address.hex[:2]}/{address.hex}")
    assert last[1] == f"fsync root/objects/blake3/{address.hex[:2]}"


async def test_a_name_that_is_not_durable_is_taken_back(local: Place, syscalls: Syscalls) -> None:
    file = local.stage(DATA)
    with syscalls.failing("fsync", error=errno.EIO), pytest.raises(StorageError, match="could not be published"):
        await local.backend.put(digest_of(DATA), file)
    file.discard()
    assert objects(local) == staged(local) == []
    await local.store(DATA)
    assert await local.read(digest_of(DATA)) == DATA


async def test_a_duplicate_whose_directory_cannot_be_synced_is_an_error_and_stays(
    local: Place, syscalls: Syscalls
) -> None:
    address = await local.store(DATA)
    with syscalls.failing("fsync", error=errno.EIO), pytest.raises(StorageError):
        await local.store(DATA)
    assert await local.read(address) == DATA


async def test_a_replacement_whose_directory_cannot_be_synced_is_an_error_and_whole(
    local: Place, syscalls: Syscalls
) -> None:
    address = await local.store(OTHER, digest_of(DATA))
    with syscalls.failing("fsync", error=errno.EIO), pytest.raises(StorageError):
        await local.store(DATA, replace=True)
    assert await local.read(address) in (OTHER, DATA)
    assert staged(local) == []


async def test_a_replacement_that_fails_keeps_the_old_copy(local: Place, syscalls: Syscalls) -> None:
    address = await local.store(OTHER, digest_of(DATA))
    file = local.stage(DATA)
    final = str(local.path(address).relative_to(local.directory.parent))
    with syscalls.failing("rename", error=errno.EIO, path=final), pytest.raises(StorageError):
        await local.backend.put(address, file, replace=True)
    file.discard()
    assert await local.read(address) == OTHER
    assert staged(local) == []
    await local.store(DATA, replace=True)
    assert await local.read(address) == DATA


# --- opening ----------------------------------------------------------------------------------------------------------


async def test_what_is_in_memory_is_opened_without_a_thread(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    address = await local.store(DATA)
    await opened_and_read(local, address)
    backend: Any = local.backend
    started = 0

    def start(*arguments: Any) -> Any:
        nonlocal started
        started += 1
        return inner(*arguments)

    inner = backend._start
    monkeypatch.setattr(backend, "_start", start)
    await opened_and_read(local, address)
    assert started == 0
    monkeypatch.setattr(localfs, "open_cached", not_at_once)
    await opened_and_read(local, address)
    assert started == 1


async def opened_and_read(local: Place, address: Digest) -> None:
    stored = await local.backend.open(address)
    assert await stored.read(0, len(DATA)) == DATA
    await stored.close()


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
async def test_a_look_at_an_opened_file_that_fails_is_a_storage_error(
    local: Place, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    address = await local.store(DATA)

    def broken(_descriptor: int) -> os.stat_result:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", broken)
        with pytest.raises(StorageError):
            await local.backend.open(address)
    assert descriptors_under(local.directory) == []


# --- failing calls ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.EIO, StorageError),
        (errno.EROFS, StorageError),
        (errno.EXDEV, StorageError),
        (errno.ENOSPC, StorageFullError),
        (errno.EDQUOT, StorageFullError),
    ],
)
@pytest.mark.parametrize("replace", [False, True])
async def test_every_call_that_fails_is_an_error_that_leaves_the_old_state(
    local: Place, syscalls: Syscalls, code: int, kind: type[StorageError], replace: bool
) -> None:
    for nth in count(1):
        address = Digest.blake3(nth.to_bytes(32))
        if replace:
            await local.store(OTHER, address)
        file = local.stage(DATA)
        try:
            with syscalls.breaking(nth, code):
                await local.backend.put(address, file, replace=replace)
        except StorageError as error:
            assert type(error) is kind
            if await local.backend.stat(address) is None:
                assert not replace
            else:
                assert await local.read(address) in (OTHER, DATA)
                assert replace
        else:
            assert await local.read(address) == DATA
            break
        finally:
            file.discard()
        assert staged(local) == []
    assert nth > 2
    assert descriptors_under(local.directory) == []


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
async def test_reading_that_fails_is_a_storage_error(local: Place, syscalls: Syscalls, code: int) -> None:
    address = await local.store(DATA)
    stored = await local.backend.open(address)
    with syscalls.failing("pread", "stat", "open", error=code):
        with pytest.raises(StorageError):
            await stored.read(0, 10)
        with pytest.raises(StorageError):
            await local.backend.stat(address)
        with pytest.raises(StorageError):
            await local.backend.open(address)
    assert await stored.read(0, 10) == DATA[:10]
    await stored.close()
    with pytest.raises(ValueError, match="closed"):
        await stored.read(0, 10)


async def test_a_deletion_that_fails_is_a_storage_error(local: Place, syscalls: Syscalls) -> None:
    address = await local.store(DATA)
    with syscalls.failing("unlink", error=errno.EROFS), pytest.raises(StorageError, match="could not be removed"):
        await local.backend.delete(address)
    assert await local.read(address) == DATA


async def test_a_closed_backend_says_so(local: Place) -> None:
    await local.backend.close()
    with pytest.raises(StorageError, match="closed"):
        await local.backend.stat(digest_of(DATA))


async def test_opening_that_is_cancelled_leaves_no_descriptor(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    address = await local.store(DATA)
    loop = asyncio.get_running_loop()
    opened, release = asyncio.Event(), asyncio.Event()
    inner = os.fstat

    def held(descriptor: int) -> os.stat_result:
        loop.call_soon_threadsafe(opened.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        return inner(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(localfs, "open_cached", not_at_once)
        patch.setattr(os, "fstat", held)
        opening = asyncio.create_task(local.backend.open(address))
        await opened.wait()
        opening.cancel()
        await asyncio.sleep(0)
        release.set()
        with pytest.raises(asyncio.CancelledError):
            await opening
    await local.backend.close()
    assert descriptors_under(local.directory) == []


async def test_a_read_that_is_cancelled_has_ended_before_the_cancellation_goes_on(
    local: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = await local.backend.open(await local.store(DATA))
    loop = asyncio.get_running_loop()
    begun, release = asyncio.Event(), asyncio.Event()
    ended: list[bytes] = []
    inner = os.pread

    def held(descriptor: int, length: int, offset: int) -> bytes:
        loop.call_soon_threadsafe(begun.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        ended.append(inner(descriptor, length, offset))
        return ended[-1]

    monkeypatch.setattr(os, "pread", held)
    reading = asyncio.create_task(stored.read(0, 5))
    await begun.wait()
    for _ in range(3):
        reading.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not reading.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert ended == [DATA[:5]]
    await stored.close()


# --- what is not an object --------------------------------------------------------------------------------------------


def make_symlink(path: Path) -> None:
    path.with_name("elsewhere").write_bytes(DATA)
    path.symlink_to("elsewhere")


FOREIGN: dict[str, Callable[[Path], None]] = {
    "symlink": make_symlink,
    "dangling": lambda path: path.symlink_to("nowhere"),
    "directory": Path.mkdir,
    "fifo": os.mkfifo,
}


@pytest.mark.parametrize("kind", FOREIGN)
async def test_what_is_not_a_file_is_no_copy(local: Place, kind: str) -> None:
    address = digest_of(DATA)
    FOREIGN[kind](local.path(address))
    assert await local.backend.stat(address) is None
    with pytest.raises(StorageError) as caught:
        await local.backend.open(address)
    assert not isinstance(caught.value, ObjectNotFoundError)
    assert descriptors_under(local.directory) == []


@pytest.mark.parametrize("kind", ["symlink", "dangling", "fifo"])
async def test_what_is_not_a_file_is_replaced(local: Place, kind: str) -> None:
    path = local.path(digest_of(DATA))
    FOREIGN[kind](path)
    await local.store(DATA)
    assert path.is_file()
    assert not path.is_symlink()
    assert await local.read(digest_of(DATA)) == DATA


async def test_a_symlink_of_the_objects_size_is_not_kept(local: Place) -> None:
    data = b"nowhere"  # as long as the link's text
    local.path(digest_of(data)).symlink_to("nowhere")
    await local.store(data)
    assert await local.read(digest_of(data)) == data


async def test_a_directory_in_the_place_of_an_object_is_an_error(local: Place) -> None:
    path = local.path(digest_of(DATA))
    path.mkdir()
    for replace in (False, True):
        with pytest.raises(StorageError):
            await local.store(b"z" * path.lstat().st_size, digest_of(DATA), replace=replace)
    with pytest.raises(StorageError):
        await local.backend.delete(digest_of(DATA))
    path.rmdir()  # which it still is
    assert staged(local) == []


# --- health -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["objects", "staging"])
async def test_a_directory_that_is_gone_is_not_healthy(local: Place, name: str) -> None:
    (local.directory / name).rename(local.directory / "away")
    health = await local.backend.health()
    assert not health.healthy
    assert str(local.directory / name) in health.detail
    (local.directory / "away").rename(local.directory / name)
    assert (await local.backend.health()).healthy


@pytest.mark.parametrize("name", ["objects", "staging"])
async def test_a_directory_that_cannot_be_written_is_not_healthy(
    local: Place, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    inner = os.access

    def access(path: Path, mode: int) -> bool:  # what access(2) answers to whoever is not root
        return path != local.directory / name and inner(path, mode)

    monkeypatch.setattr(os, "access", access)
    health = await local.backend.health()
    assert not health.healthy
    assert str(local.directory / name) in health.detail
