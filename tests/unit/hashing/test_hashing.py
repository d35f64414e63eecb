"""The Python face: buffers, misuse, the choice of the kernel, the reference."""

from __future__ import annotations

import array
import hashlib
import mmap
import os
import random
import subprocess
import sys
import threading
from collections.abc import Buffer
from contextlib import suppress

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from artifactstore.hashing import (
    DualHasher,
    HasherBusyError,
    SingleHasher,
    _face,
    active_kernel,
    dual_digest,
    kernels,
    reference,
)

DATA = random.Random(5).randbytes(10_000)


def test_any_contiguous_buffer_is_taken() -> None:
    mapped = mmap.mmap(-1, len(DATA))
    mapped[:] = DATA
    buffers: list[Buffer] = [
        DATA,
        bytearray(DATA),
        memoryview(DATA),
        array.array("I", DATA),
        mapped,
        memoryview(DATA).cast("H"),
    ]
    for buffer in buffers:
        hasher = DualHasher()
        hasher.update(buffer)
        assert dual_digest(buffer).sha256 == hasher.digests().sha256 == hashlib.sha256(DATA).digest()


def test_a_buffer_with_gaps_is_refused() -> None:
    gaps = memoryview(DATA)[::2]
    hasher = DualHasher()
    with pytest.raises(BufferError):
        hasher.update(gaps)
    with pytest.raises(BufferError):
        dual_digest(gaps)
    with pytest.raises(BufferError):
        SingleHasher("sha256").update(gaps)
    with pytest.raises(TypeError):
        hasher.update("text")  # type: ignore[arg-type]  # what a caller might do
    assert hasher.digests() == dual_digest(b"")


def test_a_hasher_is_made_with_its_own_arguments_only() -> None:
    assert SingleHasher("blake3").algorithm == "blake3"
    assert SingleHasher(algorithm="sha256").algorithm == "sha256"
    with pytest.raises(ValueError, match="md5"):
        SingleHasher("md5")  # type: ignore[arg-type]  # what a caller might do
    with pytest.raises(TypeError):
        DualHasher("blake3")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        _face.Hasher()


def test_two_threads_that_race_leave_the_digest_of_whole_calls() -> None:
    hasher = DualHasher()
    piece = bytes(4096)  # long enough to give the GIL away

    def run() -> None:
        for _ in range(500):
            with suppress(HasherBusyError):
                hasher.update(piece)
            with suppress(HasherBusyError):
                hasher.digests()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert hasher.length % len(piece) == 0
    assert hasher.digests() == dual_digest(bytes(hasher.length))


def test_two_threads_on_one_hasher_are_told_and_change_nothing() -> None:
    hasher = DualHasher()
    big = bytes(64 * 2**20)
    entered = threading.Event()

    def run() -> None:
        entered.set()
        hasher.update(big)

    other = threading.Thread(target=run)
    other.start()
    entered.wait()
    refused = dict.fromkeys(("digests", "length", "export_state"), 0)
    while other.is_alive():
        for name in refused:
            try:
                found = getattr(hasher, name)
                assert found in (0, len(big)) if name == "length" else found()
            except HasherBusyError:
                refused[name] += 1
    other.join()
    assert min(refused.values()) > 0
    assert hasher.digests() == dual_digest(big)


def test_one_hasher_for_each_thread_is_right_whatever_the_others_do() -> None:
    found: dict[int, bool] = {}

    def run(number: int) -> None:
        pieces = [random.Random(number).randbytes(size) for size in (1, 63, 2047, 2048, 4096, 70_000)]
        for turn in range(20):
            hasher = DualHasher()
            taken = pieces[turn % len(pieces) :] + pieces
            for piece in taken:
                hasher.update(piece)
            if hasher.digests() != dual_digest(b"".join(taken)):
                found[number] = False
                return
        found[number] = True

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == dict.fromkeys(range(6), True)


def ask(variable: str | None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "ARTIFACTSTORE_KERNEL"}
    if variable is not None:
        environment["ARTIFACTSTORE_KERNEL"] = variable
    code = "from artifactstore.hashing import active_kernel; print(active_kernel())"
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


def test_what_is_no_text_is_no_kernel() -> None:
    code = "import artifactstore.hashing"
    environment = {**os.environb, b"ARTIFACTSTORE_KERNEL": b"\xff\xfe"}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert ran.returncode == 1
    last = ran.stderr.decode().splitlines()[-1]
    assert "KernelUnavailableError: ARTIFACTSTORE_KERNEL=\\udcff\\udcfe: this CPU can run " in last


def test_a_state_of_a_stream_that_cannot_be_is_none() -> None:
    exported = bytearray(DualHasher().export_state())
    exported[8:16] = (2**61 - 1).to_bytes(8, "little")
    assert DualHasher.import_state(bytes(exported)).length == 2**61 - 1
    exported[8:16] = (2**61).to_bytes(8, "little")
    with pytest.raises(ValueError, match="not an exported hasher"):
        DualHasher.import_state(bytes(exported))


def test_the_best_kernel_is_the_default_and_each_can_be_forced() -> None:
    assert active_kernel() in kernels()
    assert kernels()[-1] == "portable"
    assert ask(None).stdout.strip() == ask("").stdout.strip() == kernels()[0]
    for name in kernels():
        assert ask(name).stdout.strip() == name


def test_an_unknown_kernel_is_an_error_that_lists_the_known() -> None:
    told = ask("warp")
    assert told.returncode != 0
    assert "ARTIFACTSTORE_KERNEL=warp" in told.stderr
    assert "portable" in told.stderr


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=3000))
def test_the_reference_agrees_with_others(data: bytes) -> None:
    assert reference.blake3(data) == blake3(data).digest()
    assert reference.sha256(data) == hashlib.sha256(data).digest()


def test_a_result_is_the_tuple_that_it_equals() -> None:
    hasher = DualHasher()
    for found in (dual_digest(b"x"), hasher.digests()):
        assert found == tuple(found)
        assert hash(found) == hash(tuple(found))
        assert found in {type(found)(*found)}


def test_a_hasher_of_one_kind_is_not_asked_for_the_other() -> None:
    class DualFirst(DualHasher, SingleHasher):
        pass

    class SingleFirst(SingleHasher, DualHasher):
        pass

    dual, single = DualFirst(), SingleFirst("sha256")  # type: ignore[call-arg]  # whose constructor it is
    assert dual.digests() == dual_digest(b"")
    assert single.digest() == hashlib.sha256(b"").digest()
    for ask in (dual.digest, lambda: dual.algorithm, single.digests):
        with pytest.raises(TypeError, match="this hasher is for"):
            ask()
