"""The turns of the ingest suite. An upload is timed until its bytes are synced, by the server or else by the suite."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

import uvloop

from artifactstore.traffic import Job, Load, RandomBody, drive
from benchmarks import machine
from benchmarks.contenders import (
    ArtifactStore,
    Ceiling,
    Contender,
    DockerRegistry,
    Naive,
    Nginx,
    Rclone,
    start_all,
    sync_file_system,
)
from benchmarks.opponents import ceilings
from benchmarks.processes import NotMeasuredError
from benchmarks.results import GIGA, Ratio, Result, Row
from benchmarks.turns import Sample, Turn, cost, take_turns

_SMALL = 4096
_SMALL_CONNECTIONS = 64
_LATENCY_CONNECTIONS = 8  # few enough that a latency is not the time in a queue
_TOGETHER = 8
_SLOW = 64
_SLOW_PIECE, _SLOW_PAUSE = 256 * 1024, 0.05  # bytes and seconds: 5 MB/s each at most
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 512 * 2**20

DROP, DIGEST = "receive and drop", "receive and digest"
DIRECT, PROTOCOL = "O_DIRECT writes", "file protocol in C"

_STARTS: dict[str, Callable[[Path], Contender]] = {
    ArtifactStore.name: ArtifactStore.start,
    Naive.name: Naive.start,
    Nginx.name: Nginx.start,
    DockerRegistry.name: DockerRegistry.start,
    Rclone.name: Rclone.start,
    DROP: partial(Ceiling.start, digest=False),
    DIGEST: partial(Ceiling.start, digest=True),
}

type Taken = dict[str, list[Sample]]


def run(*, root: Path, size: int = 2**30, turns: int = 5, seconds: float = 110.0, small_seconds: float = 3.0) -> Result:
    """Measure, in the directory `root`; `size` is the large body's, in bytes."""
    facts = machine.facts(root)
    with ExitStack() as running:
        contenders, missing = start_all(_STARTS, root, running)
        servers = [item for item in contenders if not isinstance(item, Ceiling)]
        one, direct_missing = _one_upload(contenders, root, size, turns, seconds / 2)
        # of the slow ones, one upload says it
        several = [item for item in servers if not isinstance(item, DockerRegistry | Rclone)]
        together = _together(several, size // 8, turns, seconds / 4)
        small, protocol_missing = _small(servers, root, turns, small_seconds)
        idle, loaded = _beside_uploads(contenders[0], size, small_seconds)
        slow = _throttled(contenders[0], size // 8)
    memory, memory_missing = _in_memory(min(size // 2, _MEMORY_BYTES), turns)
    notes = {item.name: item.note for item in contenders} | {DIRECT: "the disk: no server", PROTOCOL: "no server"}
    works = (
        (_upload_title(size), "GB/s", one),
        (_together_title(size // 8), "GB/s", together),
        (f"{_SLOW} uploads of {size / 2**23:g} MiB at once, slow senders", "GB/s", {ArtifactStore.name: [slow]}),
        (f"one upload of {min(size // 2, _MEMORY_BYTES) / 2**20:g} MiB, to memory: no disk", "GB/s", memory),
    )
    rows = [
        *_rows(works, notes),
        *_rows(((f"4 KiB uploads, {_SMALL_CONNECTIONS} connections", "requests/s", small),), notes),
        *_rows(((f"4 KiB uploads, {_LATENCY_CONNECTIONS} connections", "requests/s", {"idle": [idle]}),), {}),
        *_rows(((f"4 KiB uploads, {_LATENCY_CONNECTIONS} connections", "requests/s", {_beside(size): [loaded]}),), {}),
    ]
    peak = Ratio(f"{_SLOW} slow uploads at once, peak memory in MiB", slow.extra["peak_mib"], 256.0, at_most=True)
    ratios = [*_ratios(one, together, small), _p99(idle, loaded), peak, *_memory_ratios(memory)]
    settings: dict[str, str | int | float] = {"size_bytes": size, "turns_at_most": turns, "seconds": seconds}
    lacking = tuple(dict.fromkeys([*missing, *direct_missing, *protocol_missing, *memory_missing]))
    return Result("ingest", facts, settings, tuple(rows), tuple(ratios), lacking)


def _upload_title(size: int) -> str:
    return f"one upload of {size / 2**20:g} MiB, until its bytes are synced"


def _together_title(size: int) -> str:
    return f"{_TOGETHER} uploads of {size / 2**20:g} MiB at once, in sum"


def _beside(size: int) -> str:
    return f"during two uploads of {size / 2**20:g} MiB"


def _rows(works: Sequence[tuple[str, str, Taken]], notes: dict[str, str]) -> Iterator[Row]:
    for work, unit, taken in works:
        for name, samples in taken.items():
            yield Row.of(work, name, unit, samples, notes.get(name, ""))


# --- large bodies ---------------------------------------------------------------------------------------------------


class _Bodies:
    """The same bodies for every contender in a turn, and others in the next."""

    def __init__(self, size: int, count: int) -> None:
        self._size, self._count = size, count
        self._served: set[str] = set()
        self._bodies: list[RandomBody] = []

    def for_turn_of(self, name: str) -> list[RandomBody]:
        if not self._bodies or name in self._served:
            self._served.clear()
            self._bodies = [RandomBody(self._size) for _ in range(self._count)]
        self._served.add(name)
        return self._bodies


def _upload(contender: Contender, bodies: _Bodies) -> Sample:
    """All bodies of a turn at once."""
    wanted = bodies.for_turn_of(contender.name)
    for body in wanted:
        contender.prepare(body)
    sync_file_system(contender.directory)  # nobody pays for what the one before has left
    server = contender.server
    server.reset_peak()
    with ThreadPoolExecutor(len(wanted)) as threads:
        cpu, begin = server.cpu_seconds(), time.perf_counter()
        for _ in threads.map(contender.store, wanted):
            pass
        answered = time.perf_counter() - begin
        if not contender.syncs:
            contender.sync()
        seconds = time.perf_counter() - begin
    amount = sum(body.size for body in wanted)
    figures = {"peak_mib": server.peak_mib()}
    if not contender.syncs:
        figures["answer_gb_per_s"] = amount / answered / GIGA
    sample = Sample(amount, seconds, server.cpu_seconds() - cpu, figures)
    contender.clear()
    return sample


def _one_upload(
    contenders: Sequence[Contender], root: Path, size: int, turns: int, seconds: float
) -> tuple[Taken, list[str]]:
    bodies = _Bodies(size, 1)
    work: dict[str, Turn] = {item.name: partial(_upload, item, bodies) for item in contenders}
    missing: list[str] = []
    try:
        ceilings.write_direct(root, size)
        work[DIRECT] = partial(_direct, root, size)
    except (NotMeasuredError, OSError) as error:
        missing.append(f"{DIRECT}: {error}")
    return take_turns(work, turns, seconds=seconds), missing


def _direct(root: Path, size: int) -> Sample:
    sync_file_system(root)  # as before every upload
    return ceilings.write_direct(root, size)


def _together(contenders: Sequence[Contender], size: int, turns: int, seconds: float) -> Taken:
    bodies = _Bodies(size, _TOGETHER)
    return take_turns(
        {item.name: partial(_upload, item, bodies) for item in contenders}, turns, seconds=seconds, least=min(turns, 2)
    )


class _Slow(RandomBody):
    """A body that its sender has time for."""

    def __iter__(self) -> Iterator[memoryview]:
        for piece in super().__iter__():
            for at in range(0, len(piece), _SLOW_PIECE):
                time.sleep(_SLOW_PAUSE)
                yield piece[at : at + _SLOW_PIECE]


def _throttled(ours: Contender, size: int) -> Sample:
    """Many slow uploads at once: what they take of memory."""
    bodies = [_Slow(size) for _ in range(_SLOW)]
    ours.server.reset_peak()
    with ThreadPoolExecutor(_SLOW) as threads:
        cpu, begin = ours.server.cpu_seconds(), time.perf_counter()
        for _ in threads.map(ours.store, bodies):
            pass
        seconds = time.perf_counter() - begin
    sample = Sample(_SLOW * size, seconds, ours.server.cpu_seconds() - cpu, {"peak_mib": ours.server.peak_mib()})
    ours.clear()
    return sample


def _in_memory(size: int, turns: int) -> tuple[Taken, list[str]]:
    """One upload where there is no disk to wait for: what the servers themselves allow."""
    if not os.access(_MEMORY, os.W_OK):
        return {}, [f"uploads to memory: {_MEMORY} cannot be written"]
    starts = {name: _STARTS[name] for name in (ArtifactStore.name, Naive.name, Nginx.name, DIGEST)}
    with tempfile.TemporaryDirectory(prefix="bench-", dir=_MEMORY) as directory, ExitStack() as running:
        contenders, missing = start_all(starts, Path(directory), running)
        bodies = _Bodies(size, 1)
        work: dict[str, Turn] = {item.name: partial(_upload, item, bodies) for item in contenders}
        return take_turns(work, turns, seconds=20.0), missing


# --- small bodies ---------------------------------------------------------------------------------------------------


def _puts(contender: Contender, going: Callable[[], bool]) -> Iterator[Job]:
    paths: list[str] = []
    while True:
        yield contender.put(os.urandom(_SMALL), paths)
        if not going():
            return


def _for(seconds: float) -> Callable[[], bool]:
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() < deadline


def _latencies(load: Load) -> dict[str, float]:
    return {"p50_ms": 1000 * load.percentile(0.5), "p99_ms": 1000 * load.percentile(0.99)}


def _put_for(contender: Contender, connections: int, going: Callable[[], Callable[[], bool]]) -> Sample:
    """Small uploads as long as `going`, which is made when the clock starts."""
    sync_file_system(contender.directory)
    contender.server.reset_peak()
    cpu = contender.server.cpu_seconds()
    load = uvloop.run(drive(contender.peer, _puts(contender, going()), connections))
    begin = time.perf_counter()
    if not contender.syncs:
        contender.sync()  # once for all: kinder to it than what it is compared with
    seconds = load.seconds + time.perf_counter() - begin
    figures = _latencies(load) | {"peak_mib": contender.server.peak_mib()}
    return Sample(len(load.latencies), seconds, contender.server.cpu_seconds() - cpu, figures)


def _small_turn(contender: Contender, seconds: float) -> Sample:
    # What it stores stays until the end. ext4 passes over inodes that were deleted in the last half minute one by one,
    # whoever makes the next file: a turn after thousands of deletions would pay for the turn before it (ADR-0028).
    return _put_for(contender, _SMALL_CONNECTIONS, lambda: _for(seconds))


def _small(contenders: Sequence[Contender], root: Path, turns: int, seconds: float) -> tuple[Taken, list[str]]:
    work: dict[str, Turn] = {item.name: partial(_small_turn, item, seconds) for item in contenders}
    missing: list[str] = []
    try:
        work[PROTOCOL] = partial(_protocol, ceilings.program("publish"), root / "publish", int(4000 * seconds))
    except NotMeasuredError as error:
        missing.append(f"{PROTOCOL}: {error}")
    return take_turns(work, min(turns, 3), seconds=60.0, least=1), missing


def _protocol(command: str, parent: Path, files: int) -> Sample:
    parent.mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(dir=parent))
    return ceilings.publish(command, directory, threads=_SMALL_CONNECTIONS, files=files)


def _beside_uploads(ours: Contender, size: int, seconds: float) -> tuple[Sample, Sample]:
    """Small uploads to ours alone, and while it takes two large ones."""
    idle = _put_for(ours, _LATENCY_CONNECTIONS, lambda: _for(seconds))
    uploads: list[Future[str]] = []
    with ThreadPoolExecutor(2) as threads:

        def begin() -> Callable[[], bool]:
            uploads.extend(threads.submit(ours.store, RandomBody(size)) for _ in range(2))
            return lambda: not all(item.done() for item in uploads)

        loaded = _put_for(ours, _LATENCY_CONNECTIONS, begin)
    for item in uploads:
        item.result()
    ours.clear()
    return idle, loaded


# --- the figures to reach -------------------------------------------------------------------------------------------


def _ratios(one: Taken, together: Taken, small: Taken) -> Iterator[Ratio]:
    ours, others = one[ArtifactStore.name], one
    for name, target in (
        (Naive.name, 2.0),
        (DIGEST, 0.85),
        (DIRECT, 0.9),
        (DockerRegistry.name, 3.0),
        (Nginx.name, 0.7),
    ):
        if name in others:
            limit = "" if name == DIRECT else _disk_limit(one, others[name])
            yield Ratio.of(f"one upload, speed / {name}", ours, others[name], target, limit=limit)
    if DIGEST in others:
        work = f"one upload, server CPU per GB / {DIGEST}"
        yield Ratio.of(work, ours, others[DIGEST], 1.3, measure=cost, at_most=True)
    eight, naive = together[ArtifactStore.name], together[Naive.name]
    yield Ratio.of(f"{_TOGETHER} at once / {Naive.name}", eight, naive, 2.5, limit=_disk_limit(one, naive))
    for name, target in ((DockerRegistry.name, 8.0), (PROTOCOL, 0.2)):
        if name in small:
            yield Ratio.of(f"4 KiB uploads / {name}", small[ArtifactStore.name], small[name], target)


def _disk_limit(one: Taken, theirs: Sequence[Sample]) -> str:
    """What no server that syncs can exceed: the disk's own speed against theirs."""
    return _limit(one, DIRECT, theirs, "by the disk")


def _limit(taken: Taken, ceiling: str, theirs: Sequence[Sample], by: str) -> str:
    """The ratio that a server would have which is as fast as the ceiling."""
    if ceiling not in taken:
        return ""
    most, other = (median(sample.amount / sample.seconds for sample in samples) for samples in (taken[ceiling], theirs))
    return f"{most / other:.2f}, {by}"


def _memory_ratios(memory: Taken) -> Iterator[Ratio]:
    """What the disk hides, where it is slower than a core."""
    for name, target in ((Naive.name, 2.0), (DIGEST, 0.85), (Nginx.name, 0.7)):
        if name in memory:
            limit = "" if name == DIGEST else _limit(memory, DIGEST, memory[name], "by receiving and digesting in C")
            work = f"one upload to memory, speed / {name}"
            yield Ratio.of(work, memory[ArtifactStore.name], memory[name], target, limit=limit)


def _p99(idle: Sample, loaded: Sample) -> Ratio:
    value = loaded.extra["p99_ms"] / idle.extra["p99_ms"] if idle.extra["p99_ms"] else 0.0
    return Ratio("p99 of 4 KiB uploads, beside two large uploads / idle", value, 5.0, at_most=True)
