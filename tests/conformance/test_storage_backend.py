"""The contracts of `storage.spi.StorageBackend`, sentence by sentence, on every backend."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from contextlib import suppress

import pytest

from artifactstore.domain.digest import Algorithm, Digest
from artifactstore.domain.errors import ObjectNotFoundError, StorageError, StorageFullError, UnreadableCopyError
from artifactstore.storage.spi import StagedFile, StorageBackend, StoredObject
from tests.backends import Place, digest_of, stored_files
from tests.syscalls import CHANGES, Syscalls, descriptors_under

DATA = b"some bytes that are kept" * 5_000
OTHER = b"x" * len(DATA)  # of the same size
SHORTER = b"a shorter copy"


async def test_the_parts_are_what_the_port_says(place: Place) -> None:
    assert isinstance(place.backend, StorageBackend)
    staged = place.stage(DATA)
    assert isinstance(staged, StagedFile)
    await place.backend.put(digest_of(DATA), staged)
    staged.discard()
    stored = await place.backend.open(digest_of(DATA))
    assert isinstance(stored, StoredObject)
    await stored.close()


async def test_the_backend_has_one_name_and_one_staging_directory(place: Place) -> None:
    assert place.backend.backend_id == place.backend.backend_id != ""
    directory = place.backend.staging_directory
    assert directory is None or directory.is_dir()


# --- put ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 5, 50])
@pytest.mark.parametrize("before", [None, OTHER, SHORTER])
@pytest.mark.parametrize("replace", [False, True])
async def test_putting_bytes_that_is_cancelled_has_ended_and_leaves_nothing_of_its_own(
    place: Place, steps: int, before: bytes | None, replace: bool
) -> None:
    address = digest_of(DATA)
    if before is not None:
        await place.store(before, address)
    putting = asyncio.create_task(place.backend.put_bytes(address, DATA, replace=replace))
    for _ in range(steps):
        await asyncio.sleep(0)
    putting.cancel()
    with suppress(asyncio.CancelledError):
        await putting
    receipt = await place.backend.stat(address)
    assert (before is None and receipt is None) or await place.read(address) in (before, DATA)
    assert stored_files(place.directory / "staging") == []
    assert descriptors_under(place.directory) == []
    await place.backend.put_bytes(address, DATA, replace=True)
    assert await place.read(address) == DATA


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("data", [b"", b"\0", DATA])
async def test_what_was_put_is_found_whole_under_its_address(place: Place, algorithm: Algorithm, data: bytes) -> None:
    address = digest_of(data, algorithm)
    staged = place.stage(data)
    receipt = await place.backend.put(address, staged)
    staged.discard()
    assert (receipt.backend_id, receipt.size_bytes) == (place.backend.backend_id, len(data))
    assert address.hex in receipt.key
    assert await place.read(address) == data
    assert await place.backend.stat(address) == receipt


async def test_addresses_of_different_digest_functions_are_different_places(place: Place) -> None:
    address = await place.store(DATA)
    twin = Digest.sha256(address.value)
    assert await place.backend.stat(twin) is None
    await place.store(SHORTER, twin)
    assert await place.read(address) == DATA
    assert await place.read(twin) == SHORTER


async def test_a_reader_never_finds_a_part(place: Place) -> None:
    data = DATA * 40
    address = digest_of(data)
    staged = [place.stage(data) for _ in range(4)]
    puts = [asyncio.create_task(place.backend.put(address, file)) for file in staged]
    looks = 0
    while not all(task.done() for task in puts):
        looks += 1
        with suppress(ObjectNotFoundError):
            assert await place.read(address) == data
        await asyncio.sleep(0)
    await asyncio.gather(*puts)
    assert looks
    assert await place.read(address) == data
    for file in staged:
        file.discard()


async def test_a_copy_of_the_same_size_is_kept(place: Place) -> None:
    address = await place.store(DATA)
    staged = place.stage(OTHER)
    receipt = await place.backend.put(address, staged)
    staged.discard()
    assert receipt == await place.backend.stat(address)
    assert await place.read(address) == DATA


async def test_a_copy_that_is_kept_is_made_durable(local: Place, syscalls: Syscalls) -> None:
    address = await local.store(DATA)
    syscalls.forget()
    await local.store(DATA)
    assert syscalls.trace("fsync") == [f"fsync root/objects/blake3/{address.hex[:2]}"]


async def test_a_new_name_is_made_durable(local: Place, syscalls: Syscalls) -> None:
    staged = local.stage(DATA)
    syscalls.forget()
    address = digest_of(DATA)
    await local.backend.put(address, staged)
    assert syscalls.trace(*CHANGES)[-1] == f"fsync root/objects/blake3/{address.hex[:2]}"
    staged.discard()


@pytest.mark.parametrize("earlier", [b"", SHORTER, DATA * 2])
async def test_a_copy_of_another_size_is_replaced(place: Place, earlier: bytes) -> None:
    address = await place.store(earlier, digest_of(DATA))
    reader = await place.backend.open(address)
    await place.store(DATA)
    assert await place.read(address) == DATA
    assert await reader.read(0, 2 * len(DATA) + 1) == earlier
    await reader.close()


async def test_replace_takes_the_place_of_a_copy_and_its_readers_keep_theirs(place: Place) -> None:
    address = await place.store(OTHER, digest_of(DATA))
    reader = await place.backend.open(address)
    await place.store(DATA, replace=True)
    assert await place.read(address) == DATA
    assert await reader.read(0, len(DATA)) == OTHER
    assert reader.size_bytes == len(OTHER)
    await reader.close()


async def test_replace_publishes_where_nothing_was(place: Place) -> None:
    address = await place.store(DATA, replace=True)
    assert await place.read(address) == DATA


async def test_a_replaced_copy_is_made_durable(local: Place, syscalls: Syscalls) -> None:
    address = await local.store(OTHER, digest_of(DATA))
    syscalls.forget()
    staged = local.stage(DATA)
    await local.backend.put(address, staged, replace=True)
    assert syscalls.trace(*CHANGES)[-1] == f"fsync root/objects/blake3/{address.hex[:2]}"
    staged.discard()


async def test_a_reader_of_a_copy_that_is_replaced_finds_one_or_the_other(place: Place) -> None:
    old, new = b"o" * 2**20, b"n" * 2**20
    address = await place.store(old, digest_of(new))
    staged = place.stage(new)
    put = asyncio.create_task(place.backend.put(address, staged, replace=True))
    while not put.done():
        assert await place.read(address) in (old, new)
        await asyncio.sleep(0)
    await put
    assert await place.read(address) == new
    staged.discard()


async def test_the_staged_file_stays_the_callers(place: Place) -> None:
    staged = place.stage(DATA)
    address = digest_of(DATA)
    await place.backend.put(address, staged)
    assert staged.fd >= 0
    assert staged.size_bytes == len(DATA)
    staged.discard()
    staged.discard()
    assert await place.read(address) == DATA
    if place.backend.staging_directory is not None:
        assert list(place.backend.staging_directory.iterdir()) == []


async def test_several_puts_of_one_address_at_once(place: Place) -> None:
    address = digest_of(DATA)
    staged = [place.stage(DATA) for _ in range(12)]
    receipts = await asyncio.gather(
        *(place.backend.put(address, file, replace=n % 3 == 0) for n, file in enumerate(staged))
    )
    assert len(set(receipts)) == 1
    for file in staged:
        file.discard()
    assert await place.read(address) == DATA
    assert await place.backend.delete(address)
    assert not await place.backend.delete(address)


async def test_a_put_that_fails_takes_nothing_from_another_of_the_same_address(
    local: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    syncing, release = asyncio.Event(), threading.Event()
    inner = os.fsync

    def first_fails(descriptor: int) -> None:
        if not syncing.is_set():
            loop.call_soon_threadsafe(syncing.set)
            assert release.wait(30)
            raise OSError(errno.EIO, "the disk")
        inner(descriptor)

    staged = [local.stage(DATA) for _ in range(2)]
    monkeypatch.setattr(os, "fsync", first_fails)
    failing = asyncio.create_task(local.backend.put(digest_of(DATA), staged[0]))
    await syncing.wait()
    other = asyncio.create_task(local.backend.put(digest_of(DATA), staged[1]))
    await asyncio.wait([other], timeout=0.1)  # as far as it comes: it may not trust the name that is not durable
    release.set()
    with pytest.raises(StorageError):
        await failing
    await other
    assert await local.read(digest_of(DATA)) == DATA
    for file in staged:
        file.discard()


async def test_different_addresses_at_once(place: Place) -> None:
    data = [f"object {n}".encode() * n for n in range(60)]
    addresses = await asyncio.gather(*map(place.store, data))
    assert await asyncio.gather(*map(place.read, addresses)) == data
    assert all(await asyncio.gather(*(place.backend.delete(address) for address in addresses[::2])))
    kept = [await place.backend.stat(address) is not None for address in addresses]
    assert kept == [False, True] * 30


async def test_a_put_that_fails_leaves_nothing_and_may_be_tried_again(place: Place, syscalls: Syscalls) -> None:
    staged = place.stage(DATA)
    address = digest_of(DATA)
    with syscalls.failing(place.publishing, error=errno.EIO), pytest.raises(StorageError):
        await place.backend.put(address, staged)
    staged.discard()
    assert await place.backend.stat(address) is None
    await place.store(DATA)
    assert await place.read(address) == DATA


@pytest.mark.parametrize("replace", [False, True])
async def test_a_full_disk_is_an_error_of_its_own(local: Place, syscalls: Syscalls, replace: bool) -> None:
    address = await local.store(SHORTER, digest_of(DATA))
    with syscalls.failing(local.publishing, error=errno.ENOSPC), pytest.raises(StorageFullError):
        await local.store(DATA, replace=replace)
    assert await local.read(address) == SHORTER
    assert list((local.directory / "staging").iterdir()) == []


# --- open and read --------------------------------------------------------------------------------------------------


async def test_what_is_not_there_cannot_be_opened(place: Place, syscalls: Syscalls) -> None:
    with pytest.raises(ObjectNotFoundError):
        await place.backend.open(digest_of(DATA))
    assert await place.backend.stat(digest_of(DATA)) is None


async def test_opening_makes_nothing(place: Place, syscalls: Syscalls) -> None:
    address = await place.store(DATA)
    syscalls.forget()
    await (await place.backend.open(address)).close()
    with pytest.raises(ObjectNotFoundError):
        await place.backend.open(digest_of(OTHER))
    assert {call.name for call in syscalls.calls} <= {"open"}
    assert await place.backend.stat(digest_of(OTHER)) is None


async def test_an_object_is_opened_by_many_at_once(place: Place) -> None:
    address = await place.store(DATA)
    readers = await asyncio.gather(*(place.backend.open(address) for _ in range(20)))
    pieces = await asyncio.gather(*(reader.read(n, 50) for n, reader in enumerate(readers)))
    assert pieces == [DATA[n : n + 50] for n in range(20)]
    for reader in readers:
        await reader.close()
    assert descriptors_under(place.directory) == []


async def test_a_read_gives_fewer_bytes_only_at_the_end(place: Place) -> None:
    stored = await place.backend.open(await place.store(DATA))
    size = len(DATA)
    assert stored.size_bytes == size
    assert await stored.read(0, size) == DATA
    assert await stored.read(0, size + 100) == DATA
    assert await stored.read(7, 11) == DATA[7:18]
    assert await stored.read(size - 3, 100) == DATA[-3:]
    assert await stored.read(3, 0) == b""
    assert await stored.read(size, 1) == b""
    assert await stored.read(size + 1000, 1) == b""
    await stored.close()


async def test_an_empty_object_has_no_bytes(place: Place) -> None:
    stored = await place.backend.open(await place.store(b""))
    assert stored.size_bytes == 0
    assert await stored.read(0, 10) == b""
    await stored.close()


async def test_a_descriptor_belongs_to_the_object(place: Place) -> None:
    stored = await place.backend.open(await place.store(DATA))
    assert (stored.fileno() is None) == (place.form == "memory")
    await stored.close()
    assert stored.fileno() is None
    await stored.close()
    assert descriptors_under(place.directory) == []


async def test_readers_keep_an_object_that_is_deleted(place: Place) -> None:
    address = await place.store(DATA)
    stored = await place.backend.open(address)
    assert await place.backend.delete(address)
    assert await stored.read(0, len(DATA)) == DATA
    await stored.close()


# --- stat -----------------------------------------------------------------------------------------------------------


async def test_looking_reads_no_content(place: Place, syscalls: Syscalls) -> None:
    address = await place.store(DATA)
    syscalls.forget()
    receipt = await place.backend.stat(address)
    assert receipt is not None
    assert receipt.size_bytes == len(DATA)
    assert {call.name for call in syscalls.calls} <= {"stat"}


# --- delete ---------------------------------------------------------------------------------------------------------


async def test_a_deletion_answers_true_then_false(place: Place) -> None:
    address = await place.store(DATA)
    assert await place.backend.delete(address) is True
    assert await place.backend.delete(address) is False
    with pytest.raises(ObjectNotFoundError):
        await place.backend.open(address)
    await place.store(DATA)
    assert await place.read(address) == DATA


async def test_a_copy_is_synced_and_one_that_is_not_there_is_not(place: Place) -> None:
    address = await place.store(DATA)
    await place.backend.sync(address)
    assert await place.read(address) == DATA
    await place.backend.delete(address)
    with pytest.raises(ObjectNotFoundError):
        await place.backend.sync(address)


async def test_a_sync_makes_bytes_and_name_durable(local: Place, syscalls: Syscalls) -> None:
    address = await local.store(DATA)
    syscalls.forget()
    await local.backend.sync(address)
    assert syscalls.trace("fdatasync", "fsync") == [
        f"fdatasync root/objects/blake3/{address.hex[:2]}/{address.hex}",
        f"fsync root/objects/blake3/{address.hex[:2]}",
    ]


async def test_what_lies_in_the_copy_is_told_from_what_passes(local: Place, syscalls: Syscalls) -> None:
    address = await local.store(DATA)
    for error, kind in ((errno.EIO, UnreadableCopyError), (errno.EMFILE, StorageError)):
        with syscalls.failing("open", error=error), pytest.raises(StorageError) as raised:
            await local.backend.open(address)
        assert type(raised.value) is kind


async def test_a_deletion_is_made_durable(local: Place, syscalls: Syscalls) -> None:
    address = await local.store(DATA)
    syscalls.forget()
    await local.backend.delete(address)
    assert syscalls.trace("unlink", "fsync") == [
        f"unlink root/objects/blake3/{address.hex[:2]}/{address.hex}",
        f"fsync root/objects/blake3/{address.hex[:2]}",
    ]


async def test_a_deletion_that_was_not_made_durable_is_so_when_it_is_tried_again(
    local: Place, syscalls: Syscalls
) -> None:
    address = await local.store(DATA)
    with syscalls.failing("fsync", error=errno.EIO), pytest.raises(StorageError):
        await local.backend.delete(address)
    syscalls.forget()
    assert await local.backend.delete(address) is False
    assert syscalls.trace("fsync") == [f"fsync root/objects/blake3/{address.hex[:2]}"]


async def test_a_deletion_needs_no_space(place: Place, syscalls: Syscalls) -> None:
    address = await place.store(DATA)
    with syscalls.failing("link", "mkdir", "rename", "write", "writev", "pwrite", error=errno.ENOSPC):
        assert await place.backend.delete(address) is True


# --- health, close, threads -----------------------------------------------------------------------------------------


async def test_a_backend_that_works_is_healthy(place: Place) -> None:
    health = await place.backend.health()
    assert health.healthy
    assert health.detail
    assert "\n" not in health.detail
    assert health.free_bytes is None or health.free_bytes > 0


async def test_health_never_raises(place: Place, syscalls: Syscalls) -> None:
    with syscalls.failing("statvfs", "open", "access", error=errno.EIO):
        assert (await place.backend.health()).healthy == (place.form == "memory")
    await place.backend.close()
    assert (await place.backend.health()).detail


async def test_objects_stay_readable_when_the_backend_is_closed(place: Place) -> None:
    stored = await place.backend.open(await place.store(DATA))
    await place.backend.close()
    await place.backend.close()
    assert await stored.read(5, 100) == DATA[5:105]
    await stored.close()


async def test_nothing_blocks_the_event_loop(place: Place, syscalls: Syscalls) -> None:
    staged = place.stage(DATA)
    address = digest_of(DATA)
    syscalls.forget()
    await place.backend.put(address, staged)
    await place.backend.put(address, staged)
    stored = await place.backend.open(address)
    await stored.read(0, 100)
    await place.backend.stat(address)
    await place.backend.health()
    await place.backend.delete(address)
    await stored.close()
    assert syscalls.calls
    assert threading.get_ident() not in {call.thread for call in syscalls.calls}
    staged.discard()


# --- put_bytes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b"\0", DATA])
async def test_bytes_are_found_whole_under_their_address(place: Place, data: bytes) -> None:
    address = digest_of(data)
    receipt = await place.backend.put_bytes(address, data)
    assert receipt == await place.backend.stat(address)
    assert await place.read(address) == data
    assert stored_files(place.directory / "staging") == []
    assert descriptors_under(place.directory) == []


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("earlier", [SHORTER, OTHER])
async def test_bytes_take_the_place_of_what_put_would_replace(place: Place, earlier: bytes, replace: bool) -> None:
    address = await place.store(earlier, digest_of(DATA))
    receipt = await place.backend.put_bytes(address, DATA, replace=replace)
    assert receipt.size_bytes == len(DATA)
    assert await place.read(address) == (OTHER if earlier is OTHER and not replace else DATA)


async def test_bytes_are_synced_before_they_have_a_name_and_the_name_after(local: Place, syscalls: Syscalls) -> None:
    address = digest_of(DATA)
    await local.backend.put_bytes(address, DATA)
    wanted = ("write", "fdatasync", local.publishing, "fsync")
    assert [call.split()[0] for call in syscalls.trace(*wanted)] == list(wanted)
    assert syscalls.trace("fsync") == [f"fsync root/objects/blake3/{address.hex[:2]}"]


async def test_a_copy_that_bytes_meet_is_made_durable(local: Place, syscalls: Syscalls) -> None:
    address = await local.store(DATA)
    syscalls.forget()
    await local.backend.put_bytes(address, DATA)
    assert syscalls.trace("fsync") == [f"fsync root/objects/blake3/{address.hex[:2]}"]


@pytest.mark.parametrize(
    ("call", "code", "kind"),
    [
        ("open", errno.EMFILE, StorageError),
        ("write", errno.ENOSPC, StorageFullError),
        ("fdatasync", errno.EIO, StorageError),
        ("publish", errno.EDQUOT, StorageFullError),
        ("fsync", errno.EIO, StorageError),
    ],
)
async def test_bytes_that_cannot_be_put_leave_nothing(
    local: Place, syscalls: Syscalls, call: str, code: int, kind: type[StorageError]
) -> None:
    address = digest_of(DATA)
    name = local.publishing if call == "publish" else call
    with syscalls.failing(name, error=code), pytest.raises(StorageError) as caught:
        await local.backend.put_bytes(address, DATA)
    assert type(caught.value) is kind
    assert await local.backend.stat(address) is None
    assert stored_files(local.directory / "staging") == []
    assert descriptors_under(local.directory) == []
    await local.backend.put_bytes(address, DATA)
    assert await local.read(address) == DATA


async def test_one_of_many_that_fails_fails_alone(local: Place, syscalls: Syscalls) -> None:
    data = [f"object {n}".encode() for n in range(40)]
    with syscalls.failing("fsync", error=errno.EIO, path="root/objects/blake3/", times=1):
        done = await asyncio.gather(
            *(local.backend.put_bytes(digest_of(item), item) for item in data), return_exceptions=True
        )
    failed = [item for item, outcome in zip(data, done, strict=True) if isinstance(outcome, StorageError)]
    assert len(failed) == 1
    for item in data:
        assert (await local.backend.stat(digest_of(item)) is None) == (item in failed)


async def test_a_write_of_bytes_that_is_cut_short_goes_on(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: inner(descriptor, data[:1000]))
    await local.backend.put_bytes(digest_of(DATA), DATA)
    assert await local.read(digest_of(DATA)) == DATA
