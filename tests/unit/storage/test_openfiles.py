"""Files kept open between readers: what is given out is what the name leads to, and nothing is held for long."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from artifactstore.domain.digest import Digest
from artifactstore.domain.errors import ObjectNotFoundError
from artifactstore.storage.backends import openfiles
from tests.backends import Place
from tests.syscalls import descriptors_under

DATA = os.urandom(openfiles.LEAST_BYTES + 1)
OTHER = os.urandom(len(DATA))


def held(local: Place) -> int:
    """The descriptors that are open on objects, removed ones included."""
    return len(descriptors_under(local.directory))


async def read_and_leave(local: Place, address: Digest) -> tuple[int | None, bytes]:
    """The descriptor it was read by, and the bytes."""
    stored = await local.backend.open(address)
    data = await stored.read(0, 2 * len(DATA))
    descriptor = stored.fileno()
    await stored.close()
    return descriptor, data


async def test_a_large_object_is_opened_once(local: Place) -> None:
    address = await local.store(DATA)
    first = await read_and_leave(local, address)
    assert held(local) == 1
    assert await read_and_leave(local, address) == first
    assert first[1] == DATA


async def test_a_small_one_is_not_kept(local: Place) -> None:
    address = await local.store(DATA[: openfiles.LEAST_BYTES])
    await read_and_leave(local, address)
    assert held(local) == 0


async def test_readers_at_once_share_it_and_the_first_to_leave_closes_nothing(local: Place) -> None:
    address = await local.store(DATA)
    await read_and_leave(local, address)
    one, other = await local.backend.open(address), await local.backend.open(address)
    assert one.fileno() == other.fileno()
    assert await local.backend.delete(address)
    await one.close()
    assert one.fileno() is None
    assert await other.read(5, 10) == DATA[5:15]
    await other.close()
    assert held(local) == 0


async def test_opened_twice_at_the_same_moment_neither_is_lost(local: Place) -> None:
    address = await local.store(DATA)
    both = await asyncio.gather(*(local.backend.open(address) for _ in range(2)))
    for stored in both:
        assert await stored.read(0, len(DATA)) == DATA
        await stored.close()
    assert held(local) == 1


async def test_what_is_deleted_is_found_no_more_and_its_space_is_free(local: Place) -> None:
    address = await local.store(DATA)
    await read_and_leave(local, address)
    assert await local.backend.delete(address)
    assert held(local) == 0
    with pytest.raises(ObjectNotFoundError):
        await local.backend.open(address)


async def test_what_is_mended_is_read_anew(local: Place) -> None:
    address = await local.store(OTHER)
    await read_and_leave(local, address)
    await local.store(DATA, address, replace=True)
    assert (await read_and_leave(local, address))[1] == DATA
    assert held(local) == 1


async def test_what_others_remove_is_not_found(local: Place) -> None:
    address = await local.store(DATA)
    await read_and_leave(local, address)
    local.path(address).unlink()
    with pytest.raises(ObjectNotFoundError):
        await local.backend.open(address)
    assert held(local) == 0


async def test_what_others_replace_or_cut_short_is_seen(local: Place) -> None:
    address = await local.store(DATA)
    await read_and_leave(local, address)
    path = local.path(address)
    fresh = path.with_name("fresh")
    fresh.write_bytes(OTHER)
    fresh.rename(path)
    assert (await read_and_leave(local, address))[1] == OTHER
    os.truncate(path, 100_000 - len(DATA) % 1000)
    stored = await local.backend.open(address)
    assert stored.size_bytes == path.stat().st_size
    await stored.close()


async def test_only_so_many_are_kept(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openfiles, "LIMIT", 3)
    addresses = [await local.store(os.urandom(len(DATA))) for _ in range(5)]
    for address in addresses:
        await read_and_leave(local, address)
    assert held(local) == 3


async def test_what_is_idle_is_let_go(local: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openfiles, "IDLE_SECONDS", 0.01)
    idle, read = await local.store(DATA), await local.store(OTHER)
    await read_and_leave(local, idle)
    stored = await local.backend.open(read)
    await until(lambda: held(local) == 1)
    await asyncio.sleep(0.05)
    assert await stored.read(0, len(OTHER)) == OTHER  # somebody reads it still
    await stored.close()
    await until(lambda: held(local) == 0)


async def test_closing_lets_all_go_and_readers_keep_theirs(local: Place) -> None:
    address, read = await local.store(DATA), await local.store(OTHER)
    await read_and_leave(local, address)
    stored = await local.backend.open(read)
    await local.backend.close()
    assert held(local) == 1
    assert await stored.read(0, len(OTHER)) == OTHER
    await stored.close()
    assert held(local) == 0


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to pass")
