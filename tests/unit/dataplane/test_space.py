from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from artifactstore.dataplane import space
from artifactstore.dataplane.space import LOOK_SECONDS, PLENTY_BYTES, STEP_BYTES, Promise, SpaceLedger
from artifactstore.domain.errors import StorageError, StorageFullError

FLOOR = STEP_BYTES
CAPACITY = 8 * STEP_BYTES
BLOCK = 4096
PLENTY = STEP_BYTES
SIZES = st.one_of(st.integers(0, 3 * STEP_BYTES), st.sampled_from([1, STEP_BYTES, CAPACITY - FLOOR, CAPACITY]))


class Disk:
    """A file system of 128 MiB that only the uploads fill."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.used = 0
        patch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=self.free // BLOCK, f_frsize=BLOCK))

    @property
    def free(self) -> int:
        return CAPACITY - self.used


class Promises(RuleBasedStateMachine):
    """Uploads that come, write, fail and go, in any order."""

    promises = Bundle("promises")

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.disk = Disk(self.patch)
        self.ledger = SpaceLedger(Path("/"), FLOOR)
        self.left: dict[Promise, int] = {}

    def teardown(self) -> None:
        for promise in self.left:
            promise.__exit__(None, None, None)
        assert self.ledger.outstanding == 0
        self.patch.undo()

    @rule(target=promises, size=SIZES)
    def begin(self, size: int) -> object:
        try:
            promise = self.ledger.promise(size)
        except StorageFullError:
            assert size > (self.disk.free // BLOCK) * BLOCK - self.ledger.outstanding - FLOOR
            return multiple()
        self.left[promise] = size
        return promise.__enter__()

    @rule(promise=promises, size=SIZES)
    def write(self, promise: Promise, size: int) -> None:
        left = self.left[promise]
        try:
            promise.spend(size)
        except StorageFullError:
            assert size - left > (self.disk.free // BLOCK) * BLOCK - sum(self.left.values()) - FLOOR
            return
        self.disk.used += size
        if size > left:  # a step ahead, or, where the disk ends, only what was needed
            assert self.ledger.outstanding - sum(self.left.values()) + left in (
                0,
                max(STEP_BYTES, size - left) - (size - left),
            )
        self.left[promise] = self.ledger.outstanding - sum(o for p, o in self.left.items() if p is not promise)

    @rule(promise=promises, size=SIZES)
    def extend(self, promise: Promise, size: int) -> None:
        try:
            promise.extend(size)
        except StorageFullError:
            return
        self.left[promise] += size

    @rule(promise=consumes(promises), failed=st.booleans())
    def end(self, promise: Promise, failed: bool) -> None:
        error = StorageError("it failed") if failed else None
        promise.__exit__(type(error) if error else None, error, None)
        self.left.pop(promise)

    @rule(size=st.integers(0, STEP_BYTES))
    def free_space(self, size: int) -> None:
        self.disk.used = max(0, self.disk.used - size)

    @invariant()
    def what_is_promised_is_the_sum_of_what_is_not_written(self) -> None:
        assert all(size >= 0 for size in self.left.values())
        assert self.ledger.outstanding == sum(self.left.values())

    @invariant()
    def nothing_is_promised_twice_and_the_floor_stays_free(self) -> None:
        assert self.disk.free - self.ledger.outstanding >= FLOOR


class RememberedPromises(Promises):
    """The same where a look counts for a moment, in which others may take what is called plenty, and no more."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.taken = 0  # by others, since the moment began
        self.patch.setattr(space, "PLENTY_BYTES", PLENTY)
        self.patch.setattr(space, "time", SimpleNamespace(monotonic=lambda: self.now))

    @rule()
    def a_moment_passes(self) -> None:
        self.now += LOOK_SECONDS
        self.taken = 0

    @rule(size=st.integers(0, PLENTY))
    def others_write(self, size: int) -> None:
        room = max(0, self.disk.free - self.ledger.outstanding - FLOOR)  # beyond that they take the floor themselves
        size = min(size, PLENTY - self.taken, room)
        self.taken += size
        self.disk.used += size


Promises.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestPromises = Promises.TestCase
RememberedPromises.TestCase.settings = Promises.TestCase.settings
TestRememberedPromises = RememberedPromises.TestCase


def test_what_another_upload_was_promised_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch)
    ledger = SpaceLedger(Path("/"), FLOOR)
    with ledger.promise(6 * STEP_BYTES):
        with pytest.raises(
            StorageFullError, match=f"no room for {2 * STEP_BYTES} bytes more: {STEP_BYTES} are neither"
        ):
            ledger.promise(2 * STEP_BYTES)
        with ledger.promise(STEP_BYTES), pytest.raises(StorageFullError):
            ledger.promise(1)
    with ledger.promise(7 * STEP_BYTES):
        pass
    assert ledger.outstanding == 0


def test_a_promise_is_given_back_when_the_upload_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch)
    ledger = SpaceLedger(Path("/"), FLOOR)
    with pytest.raises(KeyError), ledger.promise(100) as promise:
        promise.spend(30)
        assert ledger.outstanding == 70
        raise KeyError
    assert ledger.outstanding == 0


def test_near_the_end_of_the_disk_only_what_is_needed_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    disk.used = CAPACITY - FLOOR - STEP_BYTES // 2
    ledger = SpaceLedger(Path("/"), FLOOR)
    with ledger.promise() as promise:
        promise.spend(BLOCK)
        assert ledger.outstanding == 0
        with pytest.raises(StorageFullError):
            promise.spend(STEP_BYTES)


def test_a_stream_that_is_longer_than_it_said_is_promised_more(monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch)
    ledger = SpaceLedger(Path("/"), FLOOR)
    with ledger.promise(10) as promise:
        promise.spend(10)
        promise.spend(5)
        assert ledger.outstanding == STEP_BYTES - 5


def test_a_file_system_that_cannot_be_asked_is_a_storage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise OSError(errno.EIO, "a reason")

    monkeypatch.setattr(os, "statvfs", fail)
    ledger = SpaceLedger(Path("/"), 0)
    with pytest.raises(StorageError, match="a reason"):
        ledger.promise(1)
    assert ledger.outstanding == 0


def test_the_real_disk_has_room_for_a_byte_and_not_for_everything(tmp_path: Path) -> None:
    with SpaceLedger(tmp_path, 0).promise(1):
        pass
    with pytest.raises(StorageFullError):
        SpaceLedger(tmp_path, 2**60).promise(1)


def test_the_disk_is_looked_at_once_in_a_moment_where_there_is_plenty(monkeypatch: pytest.MonkeyPatch) -> None:
    looks, now, blocks = 0, 100.0, 2 * PLENTY_BYTES // BLOCK

    def look(_: object) -> SimpleNamespace:
        nonlocal looks
        looks += 1
        return SimpleNamespace(f_bavail=blocks, f_frsize=BLOCK)

    monkeypatch.setattr(os, "statvfs", look)
    monkeypatch.setattr(space, "time", SimpleNamespace(monotonic=lambda: now))
    ledger = SpaceLedger(Path("/"), 0)
    for _ in range(3):
        with ledger.promise(BLOCK) as promise:
            promise.spend(BLOCK)
    assert looks == 1
    now += LOOK_SECONDS
    with ledger.promise(BLOCK):
        assert looks == 2
    with ledger.promise(PLENTY_BYTES + 1), ledger.promise(BLOCK):  # no plenty is left beyond them
        assert looks == 4
    with pytest.raises(StorageFullError):
        ledger.promise(2 * PLENTY_BYTES + 1)
