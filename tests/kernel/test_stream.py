"""The state machine: any split, any alignment, any length, any point to leave and go on; and the group values."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactstore.hashing import (
    GROUP_BYTES,
    DualDigest,
    DualHasher,
    active_kernel,
    dual_digest,
    kernel_hits,
    kernels,
    reference,
)
from artifactstore.hashing._kernel import ffi, lib

ffi_: Any = ffi
lib_: Any = lib
DATA = random.Random(3).randbytes(400_000)


def expected(data: bytes | memoryview) -> DualDigest:
    return DualDigest(blake3(data).digest(), hashlib.sha256(data).digest())


def test_every_length_to_eight_chunks_and_one() -> None:
    view = memoryview(DATA)
    for length in range(8194):
        start = length % 64  # every alignment comes up 128 times
        assert dual_digest(view[start : start + length]) == expected(view[start : start + length]), length


@pytest.mark.parametrize("length", [55, 56, 63, 64, 65, 119, 120, 127, 128, 1023, 1024, 1025, 16384, 16385, 65537])
def test_every_alignment(length: int) -> None:
    for start in range(64):
        view = memoryview(DATA)[start : start + length]
        assert dual_digest(view) == expected(view)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 200_000), st.lists(st.integers(0, 40_000), max_size=12), st.booleans())
def test_any_split_gives_the_same(length: int, cuts: list[int], look: bool) -> None:
    data = DATA[:length]
    hasher = DualHasher()
    at = 0
    for cut in cuts:
        piece = data[at : at + cut]
        hasher.update(piece)
        at += len(piece)
        if look:
            assert hasher.digests() == expected(data[:at])
    hasher.update(data[at:])
    assert hasher.digests() == expected(data)
    assert hasher.length == length


@pytest.mark.parametrize("step", [1, 63, 64, 65, 1000, 1023, 1024, 1025, 16383, 16384, 16385])
def test_even_steps(step: int) -> None:
    length = 20_000 if step == 1 else 120_000
    hasher = DualHasher()
    for at in range(0, length, step):
        hasher.update(DATA[at : min(at + step, length)])
    assert hasher.digests() == expected(DATA[:length])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 70_000), st.integers(0, 70_000))
def test_an_exported_state_goes_on(first: int, second: int) -> None:
    hasher = DualHasher()
    hasher.update(DATA[:first])
    exported = hasher.export_state()
    resumed = DualHasher.import_state(exported)
    assert resumed.export_state() == exported
    for each in (hasher, resumed):
        each.update(DATA[first : first + second])
        assert each.digests() == expected(DATA[: first + second])


def test_a_copy_is_independent() -> None:
    hasher = DualHasher()
    hasher.update(DATA[:5000])
    other = hasher.copy()
    other.update(b"more")
    assert hasher.digests() == expected(DATA[:5000])
    assert other.digests() == expected(DATA[:5000] + b"more")


def test_what_is_no_state_is_refused() -> None:
    exported = DualHasher().export_state()
    for bad in (b"", exported[:-1], exported + b"\0", b"X" + exported[1:], exported[:6] + b"\x7f" + exported[7:]):
        with pytest.raises(ValueError, match="not an exported hasher"):
            DualHasher.import_state(bad)


def forged(chunks: int, stack: list[bytes], tail: bytes) -> DualHasher:
    """A hasher that believes it has taken `chunks` chunks, with these subtrees, and a tail."""
    length = chunks * 1024 + len(tail)
    state = bytearray(DualHasher().export_state())
    state[8:16] = length.to_bytes(8, "little")
    state[48 : 48 + len(tail)] = tail
    state[48 + 1024 : 48 + 1024 + 32 * len(stack)] = b"".join(stack)
    return DualHasher.import_state(bytes(state))


@pytest.mark.parametrize(
    ("chunks", "length"),
    [
        *((chunks, 5000) for chunks in (2**32 - 2, 2**32 - 1, 2**32, 2**33 + 5, 2**50 + 2**32)),
        *((chunks, 21_000) for chunks in (2**32 - 4, 2**32 - 8)),  # eight lanes on both sides of the carry
        (2**32 - 17, 36_000),  # a whole group before it, and one after
    ],
)
def test_the_chunk_counter_has_64_bits(chunks: int, length: int) -> None:
    stack = [random.Random(index).randbytes(32) for index in range(chunks.bit_count())]
    hasher = forged(chunks, stack, DATA[:1000])
    hasher.update(DATA[1000:length])
    # The same by the reference: the chunks one by one, merged as the binary number of those before them says.
    values = list(stack)
    pieces = [DATA[at : min(at + 1024, length)] for at in range(0, length, 1024)]
    for index, piece in enumerate(pieces[:-1]):
        value = reference.chunk_value(piece, chunks + index)
        number = chunks + index
        while number & 1:
            value = reference.parent_value(values.pop(), value)
            number >>= 1
        values.append(value)
    value = reference.chunk_value(pieces[-1], chunks + len(pieces) - 1)
    while values:
        value = reference.parent_value(values.pop(), value, root=not values)
    assert hasher.digests().blake3 == value


def group_values(data: bytes, cuts: list[int]) -> list[bytes]:
    """What the kernel hands out of 16 KiB groups on the way, then at the end."""
    state = ffi_.new("ah_state *")
    lib_.ah_init(state, lib_.AH_BOTH)
    found: list[bytes] = []
    at = 0
    for cut in [*cuts, len(data)]:
        piece = data[at : at + cut]
        room = ffi_.new("uint8_t[]", 32 * (len(piece) // GROUP_BYTES + 1))
        count = lib_.ah_update(state, piece, len(piece), room)
        found += [bytes(ffi_.buffer(room + 32 * index, 32)) for index in range(count)]
        at += len(piece)
    last = ffi_.new("uint8_t[32]")
    if lib_.ah_last_group(state, last):
        found.append(bytes(ffi_.buffer(last)))
    return found


@settings(max_examples=25, deadline=None)
@given(
    st.one_of(st.sampled_from([0, 1, 16383, 16384, 16385, 32768, 32769, 49152]), st.integers(0, 60_000)),
    st.lists(st.integers(0, 40_000), max_size=4),
)
def test_group_values_are_those_of_the_tree(length: int, cuts: list[int]) -> None:
    data = DATA[:length]
    found = group_values(data, cuts)
    if length <= GROUP_BYTES:
        assert found == []
        return
    groups = [data[at : at + GROUP_BYTES] for at in range(0, length, GROUP_BYTES)]
    assert found == [reference.subtree_value(group, index * 16) for index, group in enumerate(groups)]
    assert above(found) == blake3(data).digest()


def above(values: list[bytes], *, root: bool = True) -> bytes:
    """BLAKE3's tree over group values."""
    if len(values) == 1:
        return values[0]
    left = 1 << ((len(values) - 1).bit_length() - 1)
    return reference.parent_value(above(values[:left], root=False), above(values[left:], root=False), root=root)


def test_the_kernel_that_was_chosen_is_the_one_that_runs() -> None:
    before = kernel_hits()
    dual_digest(DATA)
    after = kernel_hits()
    assert tuple(after) == kernels()
    assert [name for name in after if after[name] > before[name]] == [active_kernel()]
