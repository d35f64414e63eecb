"""Two streams at once, one digest by choice, and states that go from kernel to kernel."""

from __future__ import annotations

import hashlib
import random
import signal
import threading
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactstore.hashing import (
    DualDigest,
    DualHasher,
    HasherBusyError,
    SingleHasher,
    dual_digest,
    kernels,
    update_pair,
)
from artifactstore.hashing._kernel import lib

lib_: Any = lib
FIRST = random.Random(1).randbytes(300_000)
SECOND = random.Random(2).randbytes(300_000)


def expected(data: bytes) -> DualDigest:
    return DualDigest(blake3(data).digest(), hashlib.sha256(data).digest())


sizes = st.one_of(st.integers(0, 3000), st.integers(0, 100_000), st.integers(0, 6).map(lambda groups: groups * 16384))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(sizes, sizes), max_size=3))
def test_a_pair_gives_what_each_gives_alone(steps: list[tuple[int, int]]) -> None:
    first, second = DualHasher(), DualHasher()
    at = [0, 0]
    for one, other in steps:
        update_pair(first, FIRST[at[0] : at[0] + one], second, memoryview(SECOND)[at[1] : at[1] + other])
        at = [min(at[0] + one, len(FIRST)), min(at[1] + other, len(SECOND))]
    assert (first.length, second.length) == tuple(at)
    assert first.digests() == expected(FIRST[: at[0]])
    assert second.digests() == expected(SECOND[: at[1]])


@settings(max_examples=40, deadline=None)
@given(sizes, sizes, st.integers(0, 2000))
def test_a_pair_of_sha256_alone_and_a_mixed_pair(one: int, other: int, before: int) -> None:
    for hashers in (
        (SingleHasher("sha256"), SingleHasher("sha256")),
        (SingleHasher("blake3"), SingleHasher("blake3")),
        (SingleHasher("sha256"), SingleHasher("blake3")),
    ):
        hashers[0].update(FIRST[:before])
        update_pair(hashers[0], FIRST[before : before + one], hashers[1], SECOND[:other])
        for hasher, data in zip(hashers, (FIRST[: before + one], SECOND[:other]), strict=True):
            assert hasher.digest() == getattr(expected(data), hasher.algorithm)


@settings(max_examples=60, deadline=None)
@given(st.lists(sizes, max_size=5))
def test_one_digest_is_that_of_both(steps: list[int]) -> None:
    hashers = SingleHasher("blake3"), SingleHasher("sha256")
    at = 0
    for step in steps:
        for hasher in hashers:
            hasher.update(FIRST[at : at + step])
            assert hasher.digest() == getattr(expected(FIRST[: at + step]), hasher.algorithm)
        at = min(at + step, len(FIRST))


def test_a_pair_is_two_idle_hashers() -> None:
    hasher, other = DualHasher(), DualHasher()
    with pytest.raises(ValueError, match="two"):
        update_pair(hasher, b"a", hasher, b"b")
    with pytest.raises(BufferError):
        update_pair(hasher, b"a", other, memoryview(FIRST)[::2])
    with pytest.raises(TypeError):
        update_pair(hasher, b"a", object(), b"b")  # type: ignore[arg-type]  # what a caller might do
    assert hasher.digests() == other.digests() == expected(b"")


@pytest.mark.parametrize("swapped", [False, True])
def test_a_pair_of_which_one_is_busy_is_refused_and_frees_the_other(swapped: bool) -> None:
    hasher, other = DualHasher(), DualHasher()
    big = bytes(64 * 2**20)
    entered = threading.Event()

    def run() -> None:
        entered.set()
        other.update(big)

    thread = threading.Thread(target=run)
    thread.start()
    entered.wait()
    refused = 0
    while thread.is_alive():
        pair = (other, hasher) if swapped else (hasher, other)
        try:
            update_pair(pair[0], b"", pair[1], b"")
        except HasherBusyError:
            refused += 1
    thread.join()
    assert refused > 0
    assert hasher.digests() == expected(b"")
    assert other.digests() == dual_digest(big)


def test_an_interrupt_between_any_two_calls_leaves_hashers_usable() -> None:
    """Signals that raise come at every moment; whatever they break off, no hasher stays busy."""

    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    hasher, other = DualHasher(), DualHasher()
    dice = random.Random(6)
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(400):
            with pytest.raises(Interrupted):
                signal.setitimer(signal.ITIMER_REAL, dice.uniform(2e-5, 2e-4))
                while True:
                    hasher.copy()
                    DualHasher.import_state(other.export_state())
                    update_pair(hasher, b"", other, b"")
            hasher.export_state()
            update_pair(other, b"", hasher, b"")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert hasher.digests() == other.digests() == expected(b"")


def test_what_waits_is_taken_before_what_comes() -> None:
    hasher = DualHasher()
    hasher.update(b"waits")
    assert hasher.length == 5
    assert hasher.digests() == expected(b"waits")
    hasher.update(bytearray(b", then"))
    assert (hasher.length, hasher.digests()) == (11, expected(b"waits, then"))
    changing = bytearray(b"now")
    later = DualHasher()
    later.update(changing)
    changing[:] = b"not"
    assert later.digests() == expected(b"now")


def test_a_state_of_one_kernel_goes_on_under_another(kernel: str) -> None:
    for other in kernels():
        hasher = DualHasher()
        hasher.update(FIRST[:70_001])
        assert lib_.ah_select(other.encode()) == lib_.AH_OK
        resumed = DualHasher.import_state(hasher.export_state())
        resumed.update(FIRST[70_001:150_000])
        assert lib_.ah_select(kernel.encode()) == lib_.AH_OK
        resumed.update(FIRST[150_000:])
        assert resumed.digests() == expected(FIRST)


def test_every_length_in_two_pieces() -> None:
    view = memoryview(FIRST)
    places = random.Random(4)
    for length in range(8194):
        start = places.randrange(64)
        cut = start + places.randrange(length + 1)
        hasher = DualHasher()
        hasher.update(view[start:cut])
        hasher.update(view[cut : start + length])
        assert hasher.digests() == expected(FIRST[start : start + length]), (start, cut, length)
    assert dual_digest(b"") == expected(b"")
