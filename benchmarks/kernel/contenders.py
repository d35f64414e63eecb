"""What digests a buffer here: others' ways first, then ours by each kernel."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import blake3

from artifactstore import hashing
from artifactstore.hashing._kernel import lib

HASHLIB = "hashlib SHA-256"
WHEEL = "blake3 wheel, 1 thread"
PAIR = "hashlib, then wheel"
DUAL_HASHER = "DualHasher"
DUAL_DIGEST = "dual_digest"
SHA256_ALONE = "SHA-256 alone"
BLAKE3_ALONE = "BLAKE3 alone"
TWO_LANES = "two lanes, both digests"
TWO_LANES_SHA256 = "two lanes of SHA-256 alone"


@dataclass(frozen=True, slots=True)
class Contender:
    """Digests a buffer of which it takes `streams` at once. `kernel` is the one of ours that it needs."""

    name: str
    digest: Callable[[bytes], object]
    kernel: str | None = None
    streams: int = 1

    def select(self) -> None:
        """Force its kernel; the library has a setting for a process, and no function, so this reaches below it."""
        if self.kernel is not None:
            lib.ah_select(self.kernel.encode())


def named(name: str, kernel: str) -> str:
    """One of our ways by one kernel."""
    return f"{name} [{kernel}]"


def theirs(threads: ThreadPoolExecutor) -> Iterator[Contender]:
    """hashlib and the wheel, alone and together."""

    def sha256(data: bytes) -> bytes:
        return hashlib.sha256(data).digest()

    def wheel(data: bytes) -> bytes:
        return blake3.blake3(data, max_threads=1).digest()

    def pair(data: bytes) -> tuple[bytes, bytes]:
        return sha256(data), wheel(data)

    def side_by_side(data: bytes) -> tuple[bytes, bytes]:
        other = threads.submit(wheel, data)
        return sha256(data), other.result()

    yield Contender(HASHLIB, sha256)
    yield Contender(WHEEL, wheel)
    yield Contender("blake3 wheel, AUTO", lambda data: blake3.blake3(data, max_threads=blake3.blake3.AUTO).digest())
    yield Contender(PAIR, pair)
    yield Contender("hashlib and wheel on 2 threads", side_by_side)


def ours(kernel: str) -> Iterator[Contender]:
    """All that this build can do by one kernel."""
    yield Contender(named(DUAL_HASHER, kernel), _dual_hasher, kernel)
    yield Contender(named(DUAL_DIGEST, kernel), hashing.dual_digest, kernel)
    yield Contender(named(SHA256_ALONE, kernel), partial(_single, "sha256"), kernel)
    yield Contender(named(BLAKE3_ALONE, kernel), partial(_single, "blake3"), kernel)
    yield Contender(named(TWO_LANES, kernel), _two_lanes, kernel, streams=2)
    yield Contender(named(TWO_LANES_SHA256, kernel), _two_lanes_sha256, kernel, streams=2)


def lacking() -> Iterator[str]:
    """What this CPU has not, that the figures to reach were set for."""
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    flags = found[1].split() if found else []
    for name, flag in (("SHA-NI", "sha_ni"), ("AVX-512", "avx512f")):
        if flag not in flags:
            yield f"{name}: this CPU has none; the targets are those of one with SHA-NI and AVX-512"


def _dual_hasher(data: bytes) -> hashing.DualDigest:
    hasher = hashing.DualHasher()
    hasher.update(data)
    return hasher.digests()


def _single(algorithm: Literal["blake3", "sha256"], data: bytes) -> bytes:
    hasher = hashing.SingleHasher(algorithm)
    hasher.update(data)
    return hasher.digest()


def _two_lanes(data: bytes) -> tuple[hashing.DualDigest, hashing.DualDigest]:
    first, second = hashing.DualHasher(), hashing.DualHasher()
    hashing.update_pair(first, data, second, data)
    return first.digests(), second.digests()


def _two_lanes_sha256(data: bytes) -> tuple[bytes, bytes]:
    first, second = hashing.SingleHasher("sha256"), hashing.SingleHasher("sha256")
    hashing.update_pair(first, data, second, data)
    return first.digest(), second.digest()
