"""The turns of the kernel suite, and the ratios of its targets."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from artifactstore.hashing import active_kernel, kernels
from benchmarks import machine
from benchmarks.kernel import contenders as ways
from benchmarks.kernel.contenders import Contender, named
from benchmarks.kernel.masked import HASHLIB as MASKED_HASHLIB
from benchmarks.kernel.masked import PAIR as MASKED_PAIR
from benchmarks.kernel.masked import Masked
from benchmarks.results import Ratio, Result, Row
from benchmarks.turns import Sample, Turn, take_turns

KIB, MIB = 2**10, 2**20
SIZES = (64, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 8 * MIB, 64 * MIB)
_TURN_SECONDS = 0.004  # a turn digests a small buffer as often as fills this
_LARGE = 64 * KIB

type Samples = dict[int, dict[str, list[Sample]]]  # by size and contender


def run(*, sizes: Sequence[int] = SIZES, turns: int = 40, seconds: float = 50.0, root: Path = Path()) -> Result:
    """Measure; `seconds` are shared among the sizes, and each gets its turns in any case down to ten."""
    facts = machine.facts(root)
    before = active_kernel()
    samples: Samples = {}
    with Masked() as masked, ThreadPoolExecutor(1) as threads:
        contenders = [*ways.theirs(threads), *(ours for kernel in kernels() for ours in ways.ours(kernel))]
        try:
            for size in sizes:
                work = {**_native(contenders, os.urandom(size)), **_masked(masked, size)}
                samples[size] = take_turns(work, turns, seconds=seconds / len(sizes), least=min(turns, 10))
        finally:
            Contender("", len, before).select()
    rows = [
        Row.of(label(size), name, "GB/s", taken) for size, found in samples.items() for name, taken in found.items()
    ]
    ratios, out_of_reach = _ratios(samples)
    settings: dict[str, str | int | float] = {"turns_at_most": turns, "seconds": seconds}
    return Result(
        "kernel",
        facts,
        settings,
        tuple(rows),
        tuple(ratios),
        (*ways.lacking(), *out_of_reach),
        grid=True,
    )


def label(size: int) -> str:
    """`64 KiB`."""
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def _native(contenders: Sequence[Contender], data: bytes) -> dict[str, Turn]:
    return {item.name: partial(_turn, item, data, _calls(item, data)) for item in contenders}


def _calls(contender: Contender, data: bytes) -> int:
    """How many calls make a turn: found by one that warms up and one that is timed."""
    contender.select()
    contender.digest(data)
    begin = time.perf_counter()
    contender.digest(data)
    return max(1, int(_TURN_SECONDS / (time.perf_counter() - begin)))


def _turn(contender: Contender, data: bytes, calls: int) -> Sample:
    contender.select()
    digest = contender.digest
    begin, cpu = time.perf_counter(), time.process_time()
    for _ in range(calls):
        digest(data)
    used = time.process_time() - cpu
    return Sample(len(data) * calls * contender.streams, time.perf_counter() - begin, used)


def _masked(masked: Masked, size: int) -> dict[str, Turn]:
    calls = max(1, int(_TURN_SECONDS * 250e6 / (size + 1000)))
    return {way: partial(masked.sample, way, size, calls) for way in (MASKED_HASHLIB, MASKED_PAIR)}


def _ratios(samples: Samples) -> tuple[list[Ratio], list[str]]:
    """The figures to reach, each at the size where it is worst; and those that cannot be told here."""
    found: list[Ratio] = []
    missing: list[str] = []
    large = [size for size in samples if size >= _LARGE]
    for work, ours, theirs, sizes, target, limit in _targets(large):
        ratios = [
            Ratio.of(work, samples[size][ours], samples[size][theirs], target, limit=limit, note=f"at {label(size)}")
            for size in sizes
            if size in samples and ours in samples[size] and theirs in samples[size]
        ]
        if ratios:
            found.append(min(ratios, key=lambda ratio: ratio.value))
        else:
            missing.append(f"{work}: this build, CPU or choice of sizes lacks it")
    return found, missing


type Target = tuple[str, str, str, Sequence[int], float, str]  # work, ours, theirs, sizes, at least, limit


def _targets(large: Sequence[int]) -> Iterator[Target]:
    best = kernels()[0]
    one, alone = named(ways.DUAL_HASHER, best), named(ways.SHA256_ALONE, best)
    two, two_alone = named(ways.TWO_LANES, best), named(ways.TWO_LANES_SHA256, best)
    middle = [size for size in large if size <= 8 * MIB]
    yield f"{alone} / {ways.HASHLIB}, 64 KiB and more", alone, ways.HASHLIB, large, 0.98, "1.0"
    yield f"{one} / {alone}, 64 KiB and more", one, alone, large, 0.97, "1.0"
    yield f"{one} / {ways.PAIR}, 64 KiB and more", one, ways.PAIR, large, 1.15, "1.21"
    yield f"{one} / {ways.PAIR}, 1 and 4 KiB", one, ways.PAIR, (KIB, 4 * KIB), 1.4, "~1.8"
    digest = named(ways.DUAL_DIGEST, best)
    yield f"{digest} / {ways.PAIR}, 64 B", digest, ways.PAIR, (64,), 1.3, ""
    yield f"{two_alone}, in sum / {ways.HASHLIB}", two_alone, ways.HASHLIB, large, 1.45, "~1.55"
    yield f"{two}, in sum / {two_alone}", two, two_alone, large, 0.82, "1.0"
    blake3 = named(ways.BLAKE3_ALONE, best)
    yield f"{blake3} / {ways.WHEEL}, 64 KiB to 8 MiB", blake3, ways.WHEEL, middle, 0.98, ""
    for kernel in kernels():
        hasher = named(ways.DUAL_HASHER, kernel)
        if kernel == "sha-avx2":
            sha256 = named(ways.SHA256_ALONE, kernel)
            yield f"{hasher} / {sha256}, 64 KiB and more", hasher, sha256, large, 0.90, "1.0"
        if kernel in ("avx2", "avx512"):
            yield f"{hasher} / {MASKED_PAIR}, 64 KiB and more", hasher, MASKED_PAIR, large, 1.0, ""
