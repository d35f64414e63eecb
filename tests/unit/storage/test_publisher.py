"""The publisher: each job has its own outcome, whatever becomes of others; nothing is left of those that fail."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from artifactstore.storage.publisher import DIRECTORIES, Publisher, Unlinked
from tests.syscalls import descriptors_under

PROJECT = Path(__file__).parents[3]


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    made = Publisher(8)
    yield made
    await made.close()


@pytest.fixture
def places(shared_memory: Path) -> tuple[Path, Path]:
    """Where files are staged, and where they belong."""
    staging, objects = shared_memory / "staging", shared_memory / "objects"
    staging.mkdir()
    objects.mkdir()
    return staging, objects


def publish(
    publisher: Publisher, places: tuple[Path, Path], name: str, data: bytes, *, temporary: str | None = None
) -> asyncio.Future[Unlinked | None]:
    staging, objects = places
    path = None if temporary is None else str(staging / temporary)
    return publisher.publish(data, str(staging), str(objects), name, lock=0, temporary=path)


@pytest.mark.parametrize("temporary", [None, "put-1"])
@pytest.mark.parametrize("data", [b"", b"x", random.Random(1).randbytes(100_000)])
async def test_what_is_published_is_there_when_the_outcome_is(
    publisher: Publisher, places: tuple[Path, Path], data: bytes, temporary: str | None
) -> None:
    assert await publish(publisher, places, "name", data, temporary=temporary) is None
    published = places[1] / "name"
    assert published.read_bytes() == data
    assert published.stat().st_mode & 0o7777 == 0o440
    assert published.stat().st_nlink == 1
    assert list(places[0].iterdir()) == []


async def test_many_more_jobs_than_threads_all_end(publisher: Publisher, places: tuple[Path, Path]) -> None:
    data = {f"{number:03}": os.urandom(number) for number in range(400)}
    outcomes = await asyncio.gather(*(publish(publisher, places, name, item) for name, item in data.items()))
    assert outcomes == [None] * len(data)
    assert {path.name: path.read_bytes() for path in places[1].iterdir()} == data


@pytest.mark.parametrize("temporary", [None, "put-1"])
async def test_a_name_that_is_taken_gives_the_synced_file_back(
    publisher: Publisher, places: tuple[Path, Path], temporary: str | None
) -> None:
    await publish(publisher, places, "name", b"first")
    unlinked = await publish(publisher, places, "name", b"second", temporary=temporary)
    assert isinstance(unlinked, Unlinked)
    assert os.pread(unlinked.fd, 100, 0) == b"second"
    assert unlinked.size_bytes == len(b"second")
    assert unlinked.path == (None if temporary is None else places[0] / temporary)
    unlinked.discard()
    assert (places[1] / "name").read_bytes() == b"first"
    assert list(places[0].iterdir()) == []
    assert descriptors_under(places[0].parent) == []


async def test_a_failure_says_why(publisher: Publisher, places: tuple[Path, Path]) -> None:
    elsewhere = (places[0] / "nowhere", places[1])
    with pytest.raises(FileNotFoundError):
        await publish(publisher, elsewhere, "name", b"data")
    unlinked = await publish(publisher, (places[0], places[1] / "nowhere"), "name", b"data")
    assert unlinked is not None  # there is no directory to link it in: the caller finds that out
    unlinked.discard()
    (places[0] / "put-1").touch()
    with pytest.raises(FileExistsError):
        await publish(publisher, places, "name", b"data", temporary="put-1")
    assert (places[0] / "put-1").exists()  # it was not the job's
    assert list(places[1].iterdir()) == []
    assert descriptors_under(places[0].parent) == []


async def test_closing_lets_jobs_end_and_takes_no_more(places: tuple[Path, Path]) -> None:
    publisher = Publisher(2)
    outcomes = [publish(publisher, places, str(number), b"data") for number in range(50)]
    await publisher.close()
    await publisher.close()
    assert [await outcome for outcome in outcomes] == [None] * 50
    with pytest.raises(OSError, match=os.strerror(errno.ECANCELED)):
        await publish(publisher, places, "late", b"data")
    assert len(list(places[1].iterdir())) == 50


async def test_an_outcome_that_nobody_waits_for_leaves_nothing(publisher: Publisher, places: tuple[Path, Path]) -> None:
    await publish(publisher, places, "name", b"first")
    with publisher.holding(0):
        abandoned = publish(publisher, places, "name", b"second", temporary="put-1")
        abandoned.cancel()
    await publisher.close()
    assert list(places[0].iterdir()) == []
    assert descriptors_under(places[0].parent) == []


async def test_nothing_is_linked_under_a_lock_that_is_held(publisher: Publisher, places: tuple[Path, Path]) -> None:
    with publisher.holding(0):
        waiting = publish(publisher, places, "name", b"data")
        other = publisher.publish(b"data", str(places[0]), str(places[1]), "other", lock=1, temporary=None)
        assert await other is None
        assert not waiting.done()
        assert not (places[1] / "name").exists()
    assert await waiting is None


async def test_there_is_no_lock_beyond_the_last(publisher: Publisher, places: tuple[Path, Path]) -> None:
    with pytest.raises(OSError, match=os.strerror(errno.EINVAL)):
        await publisher.publish(b"", str(places[0]), str(places[1]), "name", lock=DIRECTORIES, temporary=None)


@pytest.mark.parametrize("sanitizers", ["address,undefined", "thread"])
def test_the_threads_share_nothing_unguarded(tmp_path: Path, shared_memory: Path, sanitizers: str) -> None:
    """Four threads submit, two kinds of file, twins among them; another holds locks (tests/publisher/stress.c)."""
    program = tmp_path / "stress"
    sources = [PROJECT / "native/publisher/publisher.c", PROJECT / "tests/publisher/stress.c"]
    flags = ["-std=c11", "-O1", "-g", "-Wall", "-Wextra", "-Wconversion", "-Werror", f"-fsanitize={sanitizers}"]
    subprocess.run(
        ["cc", *flags, "-pthread", f"-I{PROJECT}/native/publisher", *map(str, sources), "-o", str(program)], check=True
    )
    ran = subprocess.run([program, shared_memory], capture_output=True, text=True, check=False)
    assert ran.stdout == "500 published, 300 met their twin, 0 failed\n", ran.stderr
    assert ran.returncode == 0
